"""Heads and where they lead: what is made of them, counted."""

from __future__ import annotations

from typing import Any

from gateway.core.balance import ClusterState
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.rewrite import Rewrite
from gateway.core.route import WeightedCluster
from gateway.edge.routed import USUAL_HEAD_BYTES, RoutedHead


def test_what_is_made_of_a_head_counts_too() -> None:
    """A short request can have a long target once it is rewritten."""
    cluster = ClusterState(WeightedCluster("c", (), rewrite=Rewrite("^/", "/" + "x" * 2000)), [])
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Limits())
    routed = RoutedHead(head, None, None, 1.0, 1.0)
    assert routed.loose == 0
    routed.aim(cluster)
    assert routed.loose == len(routed.target) - USUAL_HEAD_BYTES > 0
    assert routed.written(cluster, b"", b"").startswith(b"GET %b HTTP/1.1\r\nHost: x\r\n" % routed.target)


def test_a_head_without_a_route_is_known_to_lead_nowhere() -> None:
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Limits())
    routed = RoutedHead(head, None, None, 1.0, 1.0)
    assert (routed.state, routed.affine, routed.sticky) == (None, False, False)


async def test_one_head_is_sent_to_each_cluster_as_that_cluster_wants_it(
    net: Any, make: Any, ok: Any
) -> None:
    """Made for each cluster: the path prefix of one must not be sent to the other."""
    seen: list[bytes] = []

    def reply(head: bytes, body: bytes) -> bytes:
        seen.append(head.split(b"\r\n", 1)[0])
        return bytes(ok())

    local, remote = await net.app(reply), await net.app(reply)
    _, port, _ = await net.gateway(
        make.service(),
        make.slice("127.0.0.1", port=local),
        make.imported(path="/there", c1=remote),
        make.policy("ActiveActive"),
    )
    reader, writer = await net.connect(port)
    for _ in range(4):
        writer.write(b"GET /x HTTP/1.1\r\nHost: app.demo:3000\r\n\r\n")
        assert (await net.answer(reader))[0] == 200
    assert sorted(seen) == [b"GET /there/x HTTP/1.1"] * 2 + [b"GET /x HTTP/1.1"] * 2


async def test_an_answers_head_is_passed_on_the_same_the_second_time(net: Any, make: Any) -> None:
    """With other bytes behind it, and by a client that wants the connection closed."""
    bodies = iter([b"one", b"two", b"six", b"ten"])

    def reply(head: bytes, body: bytes) -> bytes:
        fields = b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\nContent-Length: 3\r\n"
        return b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + next(bodies)

    app = await net.app(reply)
    port, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    answers = [await net.ask(port, "/app") for _ in range(2)]
    answers.append(await net.ask(port, "/app", fields="Connection: close\r\n"))
    answers.append(await net.ask(port, "/app"))
    assert [body for _, _, body in answers] == [b"one", b"two", b"six", b"ten"]
    plain = b"HTTP/1.1 200 OK\r\nX-Kept: 1\r\nContent-Length: 3\r\n\r\n"
    closing = plain[:-2] + b"Connection: close\r\n\r\n"
    assert [head for _, head, _ in answers] == [plain, plain, closing, plain]
