"""Runs in a container beside the host's network: prints what goes over TCP ports of one network.

Standard library only. One JSON list a line: sender, its port, receiver, its port, sequence number, payload
in hex. A packet that passes several interfaces is seen several times.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
import time

ETHERTYPE_IPV4 = 0x0800
TCP = 6
BUFFER_BYTES = 16 << 20


def tcp_segment(packet: bytes) -> tuple[str, int, str, int, int, bytes] | None:
    """Sender, receiver, sequence number and payload of a packet; None when it is no TCP (RFC 791, 9293)."""
    start = (packet[0] & 15) * 4
    if packet[9] != TCP or len(packet) < start + 20:
        return None
    whole = int.from_bytes(packet[2:4], "big")
    sender, receiver = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    segment = packet[start:whole]
    sport, dport = int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big")
    return (
        sender,
        sport,
        receiver,
        dport,
        int.from_bytes(segment[4:8], "big"),
        segment[(segment[12] >> 4) * 4 :],
    )


def main(seconds: str, network: str, *ports: str) -> None:
    within, wanted = ipaddress.ip_network(network), {int(port) for port in ports}
    # Of every interface, and without the head of the link's layer.
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(ETHERTYPE_IPV4)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        raw.settimeout(0.2)
        print("ready", flush=True)
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline:
            try:
                found = tcp_segment(raw.recv(65536))
            except TimeoutError:
                continue
            if found is None:
                continue
            sender, sport, receiver, dport, _, payload = found
            ours = {sport, dport} & wanted and payload
            if ours and (ipaddress.ip_address(sender) in within or ipaddress.ip_address(receiver) in within):
                print(json.dumps([*found[:5], payload.hex()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
