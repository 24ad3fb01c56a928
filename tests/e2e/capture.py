"""What goes over the network between clusters, as streams, and whether they are TLS and nothing else."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Self

Stream = tuple[str, int, str, int]
"""Sender, its port, receiver, its port."""
RECORD_HEAD = 5
CONTENT_TYPES = range(20, 24)
"""Of TLS records: change of cipher, alert, handshake, data (RFC 8446, 5.1)."""
VERSIONS = (b"\x03\x01", b"\x03\x03")
WRAP = 1 << 32


def is_tls(data: bytes) -> bool:
    """Whether it is records of TLS, one after another; the last may be cut off."""
    at = 0
    while at < len(data):
        head = data[at : at + RECORD_HEAD]
        if head[0] not in CONTENT_TYPES or head[1:3] not in [
            version[: len(head[1:3])] for version in VERSIONS
        ]:
            return False
        at += RECORD_HEAD + int.from_bytes(head[3:5], "big")
    return True


def streams(segments: list[tuple[Stream, int, bytes]]) -> dict[Stream, bytes]:
    """What each sender said, from the first segment that was seen to the first gap.

    Of a connection that is older than the capture that segment is taken to begin a record: the records here
    are small.
    """
    parts: dict[Stream, dict[int, bytes]] = defaultdict(dict)
    for stream, number, payload in segments:
        known = parts[stream]
        first = next(iter(known), number)
        if (number - first) % WRAP < WRAP // 2:  # not one from before, sent again
            known.setdefault(number, payload)
    return {stream: _joined(known) for stream, known in parts.items()}


def _joined(known: dict[int, bytes]) -> bytes:
    number = next(iter(known))
    data = b""
    while number in known:
        data += known[number]
        number = (number + len(known[number])) % WRAP
    return data


class Capture:
    """Everything on these ports of a network while the block lasts, at most `seconds`."""

    def __init__(
        self, env: Mapping[str, str], image: str, network: str, ports: tuple[int, ...], seconds: float = 60.0
    ) -> None:
        """`image` has Python in it. It runs beside the host's own network, where each packet passes."""
        script = Path(__file__).with_name("sniffer.py").read_text()
        self._argv = [
            "docker", "run", "--rm", "--network=host", "--user=0", "--cap-add=NET_RAW", "--entrypoint=python",
            image, "-c", script, str(seconds), network, *map(str, ports),
        ]  # fmt: skip
        self._env = env
        self.segments: list[tuple[Stream, int, bytes]] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._argv, env=dict(self._env), stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            sender, sport, receiver, dport, number, payload = json.loads(line)
            self.segments.append(((sender, sport, receiver, dport), number, bytes.fromhex(payload)))

    def __exit__(self, *_: object) -> None:
        # It prints what it has seen and ends by itself: who ends it would lose the last of it.
        self._process.wait()
        self._reader.join(timeout=10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def streams(self) -> dict[Stream, bytes]:
        return streams(self.segments)
