"""A client at the port that gateways of other clusters come to, with whatever certificate."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from e2e.tls_mesh import EAST, GATEWAY, PORT, SERVICE, peers_port

from gateway.core.identity import BY_NAME, named


class Dialled:
    """What a client gets at the port that gateways of other clusters come to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def plain(self) -> bytes:
        with socket.create_connection((GATEWAY, peers_port(EAST)), timeout=20) as connection:
            try:
                return self._ask(connection, SERVICE)
            except ConnectionError:
                return b""

    def tls(self, certificate: bytes = b"", service: str = SERVICE) -> bytes:
        """With a certificate and its key in PEM, or none. Nothing when it is not let in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        if certificate:
            file = self._folder / "client.pem"
            file.touch(mode=0o600)
            file.write_bytes(certificate)
            context.load_cert_chain(file)
        with socket.create_connection((GATEWAY, peers_port(EAST)), timeout=20) as connection:
            try:
                with context.wrap_socket(connection) as secure:
                    return self._ask(secure, service)
            except (ssl.SSLError, ConnectionError):
                return b""

    @staticmethod
    def _ask(connection: socket.socket, service: str) -> bytes:
        field = named(service, PORT, BY_NAME)
        connection.sendall(
            b"GET /x HTTP/1.1\r\nHost: x\r\nX-Gateway-Service: %b\r\nConnection: close\r\n\r\n" % field
        )
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer
