"""What is fuzzed: each target takes any bytes and fails by an assertion, never by anything else.

The first byte says in how many pieces the rest arrives, as many bytes after it how long the pieces are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from proxy.fakes import Harness

from fuzz.identities import identities
from fuzz.joined import joined
from fuzz.members import members
from fuzz.reference import read_answers, read_requests
from fuzz.rewrites import rewrites
from fuzz.scans import scans
from fuzz.tenants import tenants
from gateway.core.balance import RouteState
from gateway.core.health import EndpointHealth
from gateway.core.path_table import PathTable
from gateway.core.route import Endpoint, Route, WeightedCluster, normal_prefix
from gateway.core.snapshot import compile_snapshot

LISTENING = range(20000, 20256)
"""Service ports."""

HEADERS: tuple[dict[bytes, bytes], ...] = (
    {},
    {b"x-canary": b"true"},
    {b"user-agent": b"a" * 2000, b"cookie": b"\xff"},
)
"""Of requests that matches of the seeds take, and do not."""


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """The stream in `data`, whole and as it arrives."""
    count = data[0] % 16 if data else 0
    lengths, stream = data[1 : 1 + count], data[1 + count :]
    found, at = [], 0
    for length in lengths:
        found.append(stream[at : at + length])
        at += length
    return stream, [*found, stream[at:]]


def requests(data: bytes) -> None:
    """However requests arrive, the application gets what was asked, framed so that no parser can err."""
    stream, arriving = pieces(data)
    whole, parts = Harness(), Harness()
    whole.feed(stream)
    for piece in arriving:
        parts.feed(piece)
    assert _outcome(parts) == _outcome(whole), "arrival changes nothing"
    for request in whole.complete:
        read = read_requests(request)
        assert not isinstance(read, str), f"{read} for {request!r}"
        head = request.partition(b"\r\n\r\n")[0].lower()
        assert head.count(b"\r\ncontent-length:") + head.count(b"\r\ntransfer-encoding:") <= 1, "one framing"
        assert head.count(b"\r\nhost:") == 1, "one host"
        assert len(read) == 1, f"{request!r} is one request, not {len(read)}"
        assert read[0].complete, f"{request!r} is all of it"


def _outcome(harness: Harness) -> tuple[list[bytes], list[bytes]]:
    """Of several faults in one head, the first to arrive names the refusal: which one is all the same."""
    complete, statuses = harness.result()
    return complete, [status if status < b"400" else b"refused" for status in statuses]


BROKEN = b"\r\n\r\nthe service's answer cannot be passed on: "


def answers(data: bytes) -> None:
    """Whatever an application answers, the client gets at most one answer, and what follows it is dropped."""
    stream, arriving = pieces(data)
    told: list[object] = []
    for chunks in ([stream], arriving):
        harness = Harness(answer=b"")
        harness.feed(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        upstream = harness.asked()
        for chunk in chunks:
            if chunk and not harness.lost(upstream):
                upstream.data_received(chunk)
        if not harness.lost(upstream) and upstream.user is not None:
            upstream.eof_received()
            upstream.connection_lost(None)
        closing = harness.transport.closing or harness.client.lingered >= 0
        said = harness.transport.data
        read = read_answers(said)
        assert not isinstance(read, str), f"{read} for {said!r}"
        final = [message for message in read if message.status >= 200 or message.status == 101]
        assert len(final) <= 1, f"{said!r} is one answer"
        if not closing:
            assert final, "the client's connection goes on only after an answer"
            assert final[0].complete, "and only after all of it"
        # Of a fault behind the head the client learns by a 502, or by a cut when the head has gone on.
        fault = BROKEN in said or harness.transport.closing
        told.append("a fault" if fault else (said, closing, harness.lost(upstream)))
    assert told[0] == told[1], "arrival changes nothing"


def objects(data: bytes) -> None:
    """Whatever stands in an object, it becomes routes or a problem, and a good route stays."""
    try:
        raw = json.loads(data)
    except ValueError:
        return
    listed = raw if isinstance(raw, list) else [raw]
    good = {"kind": "Service", "metadata": {"name": "a", "namespace": "n"}, "spec": {"ports": [{"port": 1}]}}
    rule = {"path": "/a-good-path", "pathType": "Exact", "portNumber": 1}
    export = {"kind": "ServiceExport", "metadata": {"name": "a", "namespace": "n"}, "spec": {"rules": [rule]}}
    given = [item for item in listed if isinstance(item, Mapping) and not _is_ours(item)]
    compiled = compile_snapshot([*given, good, export], "r/z/g/c", front_door=True, listening=LISTENING)
    snapshot = compiled.snapshot
    assert b"/a-good-path" in snapshot.paths.exact
    route = snapshot.hosts.find(b"a.n")
    assert route is not None
    assert (route.service, route.port) == ("n/a", 1), "nobody takes another's host"
    assert snapshot.hosts.find(b"a") in {route, None}
    assert all(port in LISTENING for port in snapshot.ports)
    for found in [*snapshot.host_routes(), *snapshot.path_routes()]:
        for fields in HEADERS:
            assert found.of(fields).service == found.service, "a match leads to nobody else"


def _is_ours(item: Mapping[str, Any]) -> bool:
    """An object of the name of the good one, or an older claim on its path, may well take its place."""
    return "a-good-path" in json.dumps(item) or '"a"' in json.dumps(item.get("metadata"))


def routes(data: bytes) -> None:
    """A target finds the route a slow reading of the rules finds: lines of rules, then lines of targets."""
    lines = data.split(b"\n")
    rules = [line for line in lines if line[:1] in {b"E", b"P"} and line[1:2] == b"/" and line.isascii()]
    exact = {line[1:]: _route(line) for line in rules if line[:1] == b"E"}
    prefix = {normal_prefix(line[1:].decode()): _route(line) for line in rules if line[:1] == b"P"}
    table = PathTable(exact, prefix)
    for target in lines:
        if target[:1] == b"/":
            assert table.find(target) is _slowly(exact, prefix, target), target


def _route(line: bytes) -> Route:
    return Route("n/a", 1, line.decode(), "Locality", ())


def _slowly(exact: Mapping[bytes, Route], prefix: Mapping[bytes, Route], target: bytes) -> Route | None:
    path = target.split(b"?")[0]
    if path in exact:
        return exact[path]
    fitting = [key for key in prefix if path == key or path.startswith(key + b"/")]
    return prefix[max(fitting, key=len)] if fitting else None


def weights(data: bytes) -> None:
    """Of as many requests as the weights add up to, each cluster gets exactly its weight."""
    wanted = {f"r/z/g/c{number}": weight % 101 for number, weight in enumerate(data[:5])}
    clusters = [
        WeightedCluster(cluster, (Endpoint("10.0.0.1", port),), weight=weight, remote=True)
        for port, (cluster, weight) in enumerate(wanted.items(), 1)
    ]
    state = RouteState(
        Route("n/a", 1, "a.n:1", "ActiveActive", (tuple(clusters),)),
        lambda _route, _share, at: EndpointHealth(at),
    )
    for _ in range(2):
        picks = [state.pick(0.0) for _ in range(sum(wanted.values()))]
        counts = Counter(pick.state.cluster.key for pick in picks if pick is not None)
        assert counts == {cluster: weight for cluster, weight in wanted.items() if weight}


TARGETS: dict[str, Callable[[bytes], None]] = {
    "requests": requests,
    "answers": answers,
    "objects": objects,
    "routes": routes,
    "weights": weights,
    "rewrites": rewrites,
    "identities": identities,
    "members": members,
    "tenants": tenants,
    "scans": scans,
    "joined": joined,
}
JSON_TARGETS = frozenset({"objects", "members", "tenants"})
"""Targets whose bytes are JSON text."""
NATIVE_TARGETS = frozenset({"scans", "joined"})
"""Targets that compare what is written in C with its reference."""
