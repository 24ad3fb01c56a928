"""Service identity: how a gateway names to another one the service that a request is for.

Paths may change hands; what a request is for must not. So between gateways it carries a field whose value
names a Service's port and how it was asked for, with a tag that only who has the peers' key can make. The
value is one for one exporter, port and way of asking: neither side computes it for a request. One that was
made for another exporter, or with another key, is unknown here, and a request with it goes nowhere.

Over mutual TLS the peer's certificate takes the tag's place: the value names the service and no more.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

BY_NAME = "name"
"""By the Service's name: the target is what the caller sent, without the export's path."""
BY_PATH = "path"
"""By the export's path, at the front door: the target still has it."""

TAG_BYTES = 16
"""Of the tag that are sent: guessing 128 bits is out of reach."""


@dataclass(frozen=True, slots=True)
class PeersKeys:
    """The keys that the gateways of all clusters share. The first signs, every one is accepted."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What tells the keys apart and is no secret: who shares one sees the same."""
        return tuple(hmac.digest(key, b"fingerprint", "sha256")[:4].hex() for key in self.keys)

    def sign(self, exporter: str, service: str, port: int, how: str) -> bytes:
        """The value of the field for a service of an exporter; empty without a key.

        `exporter` is a cluster key, `service` is `namespace/name`.
        """
        return _value(self.keys[0], exporter, service, port, how) if self.keys else b""

    def accepted(self, exporter: str, service: str, port: int, how: str) -> Iterable[bytes]:
        """Every value by which others may ask this exporter for that service."""
        return [_value(key, exporter, service, port, how) for key in self.keys]


def named(service: str, port: int, how: str) -> bytes:
    """The value of the field over mutual TLS, where a certificate says whose word it is."""
    return f"{service}:{port};{how}".encode()


NO_KEYS = PeersKeys()
"""Of gateways that ask each other by path, as FSM's do."""


def _value(key: bytes, exporter: str, service: str, port: int, how: str) -> bytes:
    # JSON keeps the parts apart, whatever is in them: no exporter's key can pass for another and its service.
    said = json.dumps([exporter, service, port, how]).encode()
    tag = hmac.digest(key, said, "sha256")[:TAG_BYTES].hex()
    return b"%b;%b" % (named(service, port, how), tag.encode())
