"""Service identities: what outsiders write into a request reaches no route by them, and goes on to nobody.

The bytes are header fields, as they stand between the request line and the blank line.
"""

from __future__ import annotations

from fuzz.reference import read_requests
from gateway.core.errors import ProtocolError
from gateway.core.forward import forwarded_fields, request_start
from gateway.core.identity import BY_NAME, BY_PATH, PeersKeys
from gateway.core.limits import Limits
from gateway.core.objects import Object
from gateway.core.request import parse_request_head
from gateway.core.snapshot import compile_snapshot

FIELD = b"x-gateway-service"
OURS = "r/z/g/c"
PEERS = PeersKeys((b"a" * 32, b"b" * 32))
OTHERS = PEERS.sign("r/z/g/d", "n/b", 1, BY_NAME)
"""What this gateway tells another one."""


def _objects() -> list[Object]:
    rules = [{"path": "/a", "pathType": "Prefix", "portNumber": 1}]
    metadata = {"name": "a", "namespace": "n"}
    return [
        {"kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 1}]}},
        {"kind": "ServiceExport", "metadata": metadata, "spec": {"rules": rules}},
    ]


SNAPSHOT = compile_snapshot(_objects(), OURS, peers=PEERS).snapshot
KNOWN = {value for how in (BY_NAME, BY_PATH) for value in PEERS.accepted(OURS, "n/a", 1, how)}


def identities(data: bytes) -> None:
    """Only a value that peers make finds a route, and whoever is asked next gets ours or none."""
    head = b"GET /a HTTP/1.1\r\nHost: x\r\n" + data.strip(b"\r\n") + b"\r\n\r\n"
    try:
        request = parse_request_head(head, Limits())
    except ProtocolError:
        return
    if request.identity is not None:
        found = SNAPSHOT.identified(request.identity)
        assert (found is not None) == (request.identity in KNOWN), request.identity
        assert found is None or found.service == "n/a"
    _check(_forwarded(head, to_gateway=True, identity=OTHERS), OTHERS)
    _check(_forwarded(head, to_gateway=True, identity=b""), None)
    _check(_forwarded(head, to_gateway=False, identity=b""), None)


def _forwarded(head: bytes, *, to_gateway: bool, identity: bytes) -> bytes:
    request = parse_request_head(head, Limits())
    start = request_start(request, request.target, b"a.n:1", to_gateway=to_gateway, identity=identity)
    return start + forwarded_fields(b"10.9.9.9", request.host) + b"\r\n\r\n"


def _check(head: bytes, identity: bytes | None) -> None:
    """By our own parser and by another one the field says what we said, once, or is not there."""
    assert parse_request_head(head, Limits(head_fields=256)).identity == identity, head
    read = read_requests(head)
    assert not isinstance(read, str), f"{read} for {head!r}"
    said = [value for name, value in read[0].fields if name.lower() == FIELD]
    assert said == ([] if identity is None else [identity]), head
