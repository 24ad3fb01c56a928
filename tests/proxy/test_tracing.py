"""Spans of the hop on a real receiver, and what the next one is told."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from proxy.otlp import Receiver, answered, values

from gateway.edge import tracer
from gateway.edge.tracer import Tracer, parse_receiver
from gateway.options import add_tracing

HOST = "app.demo:3000"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"traceparent: 00-{TRACE}-{SPAN}-01\r\n"
TOLD = re.compile(rb"\r\n(?i:traceparent): ?([^\r]*)")


class Traced:
    """An application behind a gateway that traces, and who gets the spans."""

    def __init__(self, net: Any, make: Any, ok: Callable[..., bytes]) -> None:
        self.net, self.make, self.ok = net, make, ok
        self.receiver = Receiver()
        self.heads: list[bytes] = []
        self.tracers: list[Tracer] = []

    async def tracer(self, sampling: float = 1.0, url: str = "") -> Tracer:
        url = url or await self.receiver.start(self.net)
        made = Tracer(parse_receiver(url), sampling, self.make.key("here"))
        self.tracers.append(made)
        return made

    async def app(self) -> int:
        def reply(head: bytes, _body: bytes) -> bytes:
            self.heads.append(head)
            return self.ok()

        return int(await self.net.app(reply))

    async def gateway(self, sampling: float = 1.0, url: str = "") -> int:
        """The north-south port of a gateway before the application, which is exported at /app."""
        make = self.make
        objects = make.service(), make.slice("127.0.0.1", port=await self.app()), make.export()
        port, _, _ = await self.net.gateway(*objects, tracer=await self.tracer(sampling, url))
        return int(port)

    async def spans(self, count: int) -> list[Span]:
        """So many, once they are here, by the time at which they began; a hop before its first attempt."""
        await self.net.until(lambda: len(self.receiver.spans) >= count)
        assert len(self.receiver.spans) == count
        return sorted(self.receiver.spans, key=lambda span: (span.start_time_unix_nano, span.kind))

    def told(self) -> list[list[bytes]]:
        """The traceparent fields of each request that the application got."""
        return [TOLD.findall(head) for head in self.heads]


@pytest.fixture
def world(net: Any, make: Any, ok: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Traced:
    monkeypatch.setattr(tracer, "BATCH_SECONDS", 0.05)
    monkeypatch.setattr(tracer, "FIRST_PAUSE_SECONDS", 0.05)
    return Traced(net, make, ok)


async def test_a_hop_is_a_span_of_the_callers_trace_and_the_parent_of_the_next(world: Traced) -> None:
    port = await world.gateway(sampling=0.0)
    fields = SAMPLED + "tracestate: a=1\r\nX-Request-Id: mine\r\n"
    assert (await world.net.ask(port, "/app/x?secret=1", fields=fields))[0] == 200
    hop, attempt = await world.spans(2)
    assert (hop.trace_id.hex(), hop.parent_span_id.hex()) == (TRACE, SPAN)
    assert (attempt.trace_id, attempt.parent_span_id) == (hop.trace_id, hop.span_id)
    assert world.told() == [[f"00-{TRACE}-{attempt.span_id.hex()}-01".encode()]]
    assert b"\r\ntracestate: a=1\r\n" in world.heads[0]
    assert (hop.name, hop.kind, attempt.name, attempt.kind) == (
        "GET /app", Span.SPAN_KIND_SERVER, "GET", Span.SPAN_KIND_CLIENT,
    )  # fmt: skip
    assert hop.status.code == attempt.status.code == Status.STATUS_CODE_UNSET
    assert hop.start_time_unix_nano <= attempt.start_time_unix_nano < attempt.end_time_unix_nano
    assert attempt.end_time_unix_nano <= hop.end_time_unix_nano
    said = values(hop)
    assert {key: said[key] for key in said if not key.startswith("server.")} == {
        "http.request.method": "GET", "network.protocol.version": "1.1", "url.scheme": "http",
        "url.path": "/app/x", "client.address": "127.0.0.1", "http.request.header.x-request-id": ["mine"],
        "http.route": "/app", "http.response.status_code": 200, "multicluster.service": "demo/app",
        "multicluster.policy": "Locality", "multicluster.cluster": world.make.key("here"),
        "multicluster.reason": "local", "multicluster.attempts": 1,
    }  # fmt: skip
    assert values(attempt)["http.response.status_code"] == 200
    assert values(attempt)["url.full"].endswith("/app/x")
    assert world.receiver.resource["service.name"] == "multicluster-gateway"
    assert world.receiver.resource["k8s.cluster.name"] == "here"
    head = world.receiver.heads[0]
    assert head.startswith(b"POST /v1/traces HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in head


async def test_without_a_trace_of_its_callers_one_begins_here_for_the_part_that_is_sampled(
    world: Traced,
) -> None:
    port = await world.gateway(sampling=1.0)
    assert (await world.net.ask(port, "/app"))[0] == 200
    hop, attempt = await world.spans(2)
    assert hop.parent_span_id == b""
    assert world.told() == [[f"00-{hop.trace_id.hex()}-{attempt.span_id.hex()}-03".encode()]]


async def test_what_is_not_sampled_is_not_recorded_and_the_next_one_hears_so(world: Traced) -> None:
    port = await world.gateway(sampling=0.0)
    unsampled = f"00-{TRACE}-{SPAN}-00"
    for fields in ("", f"traceparent: {unsampled}\r\n"):
        assert (await world.net.ask(port, "/app", fields=fields))[0] == 200
    (made,), (kept,) = world.told()
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-02", made)
    assert kept == unsampled.encode(), "as it came"
    await asyncio.sleep(0.2)
    assert not world.receiver.requests


@pytest.mark.parametrize("sampling", [0.0, 1.0])
@pytest.mark.parametrize(
    "fields",
    [
        f"traceparent: 00-{'0' * 32}-{SPAN}-01\r\ntracestate: evil=1\r\n",
        f"traceparent: 00-{TRACE}-{SPAN}-01-<script>\r\n",
        SAMPLED * 2 + "TraceState: evil=1\r\n",
    ],
)
async def test_what_is_malformed_goes_no_further(world: Traced, sampling: float, fields: str) -> None:
    port = await world.gateway(sampling)
    assert (await world.net.ask(port, "/app", fields=fields))[0] == 200
    ((told,),) = world.told()
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[23]", told)
    assert TRACE.encode() not in told
    assert b"evil" not in world.heads[0]


async def test_a_gateway_that_does_not_trace_passes_on_what_came(world: Traced) -> None:
    make = world.make
    objects = make.service(), make.slice("127.0.0.1", port=await world.app()), make.export()
    port, _, server = await world.net.gateway(*objects)
    assert (await world.net.ask(port, "/app", fields="traceparent: whatever\r\n"))[0] == 200
    assert world.told() == [[b"whatever"]]
    assert "gateway_spans" not in (await server.metrics()).text


async def test_each_attempt_has_a_span_and_the_next_ones_parent_is_that_which_reached_it(
    world: Traced,
) -> None:
    make = world.make
    remote, _, _ = await world.net.gateway(
        make.service(), make.slice("127.0.0.1", port=await world.app()), make.export()
    )
    imported = make.imported(c1=world.net.dead_port(), c3=remote)
    _, port, _ = await world.net.gateway(
        imported, make.policy("FailOver", c1=2, c3=1), tracer=await world.tracer(1.0)
    )
    assert (await world.net.ask(port, host=HOST, method="POST", body=b"order"))[0] == 200
    hop, failed, served = await world.spans(3)
    assert [span.parent_span_id for span in (failed, served)] == [hop.span_id] * 2
    assert world.told() == [[f"00-{hop.trace_id.hex()}-{served.span_id.hex()}-03".encode()]]
    assert values(failed)["error.type"] == "unreachable"
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert "http.request.resend_count" not in values(failed)
    assert values(served)["http.request.resend_count"] == 1
    assert values(served)["multicluster.cluster"] == make.key("c3")
    assert (hop.name, values(hop)["multicluster.attempts"]) == ("POST", 2)
    assert "error.type" not in values(hop), "the caller got an answer"


async def test_two_gateways_on_the_way_are_one_trace(world: Traced) -> None:
    make = world.make
    objects = make.service(), make.slice("127.0.0.1", port=await world.app()), make.export()
    remote, _, _ = await world.net.gateway(*objects, tracer=await world.tracer(0.0))
    second = Tracer(parse_receiver(f"http://127.0.0.1:{world.receiver.port}"), 1.0, make.key("c2"))
    _, port, _ = await world.net.gateway(
        make.imported(c1=remote), make.policy("FailOver", c1=1), tracer=second
    )
    assert (await world.net.ask(port, host=HOST))[0] == 200
    spans = await world.spans(4)
    assert len({span.trace_id for span in spans}) == 1
    by_id = {span.span_id: span for span in spans}
    (inner,) = [
        one for one in spans if TOLD.findall(world.heads[0])[0].split(b"-")[2].decode() == one.span_id.hex()
    ]
    path = []
    while inner is not None:
        path.append(inner.kind)
        inner = by_id.get(inner.parent_span_id)
    assert path == [Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER] * 2


@pytest.mark.parametrize(
    ("status", "kind", "hop_failed"), [(b"404 Not Found", "404", False), (b"503 No", "503", True)]
)
async def test_an_answer_of_the_application_is_an_error_of_whose_it_is(
    world: Traced, status: bytes, kind: str, hop_failed: bool
) -> None:
    world.ok = lambda: b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status
    port = await world.gateway()
    await world.net.ask(port, "/app")
    hop, attempt = await world.spans(2)
    assert values(attempt)["error.type"] == kind
    assert (values(hop).get("error.type") == kind) is hop_failed
    assert (hop.status.code == Status.STATUS_CODE_ERROR) is hop_failed


async def test_a_request_that_leads_nowhere_and_a_client_that_leaves_have_spans(world: Traced) -> None:
    port = await world.gateway()
    assert (await world.net.ask(port, "/elsewhere"))[0] == 404
    (nowhere,) = await world.spans(1)
    assert (nowhere.name, values(nowhere)["multicluster.reason"]) == ("GET", "no-route")
    assert nowhere.status.code == Status.STATUS_CODE_UNSET
    world.ok = lambda: b""  # never an answer
    _, writer = await world.net.connect(port)
    writer.write(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
    await world.net.until(lambda: world.heads)
    writer.close()
    _, hop, attempt = await world.spans(3)
    for span in (hop, attempt):
        assert values(span)["error.type"] == "client-gone"
        assert "http.response.status_code" not in values(span)


# Export


async def test_a_receiver_that_does_not_answer_holds_up_no_request_and_what_it_misses_is_counted(
    world: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracer, "MOST_SPANS", 10)

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.sleep(60)

    port = await world.gateway(url=f"http://127.0.0.1:{await world.net.server(silent)}")
    started = asyncio.get_running_loop().time()
    for _ in range(20):
        assert (await world.net.ask(port, "/app"))[0] == 200
    assert asyncio.get_running_loop().time() - started < 5
    page = (await world.net.gateways[-1].metrics()).text
    for line in (
        "gateway_spans_dropped_total 30",
        "gateway_spans_waiting 10",
        "gateway_spans_exported_total 0",
    ):
        assert f"{line}\n" in page
    monkeypatch.setattr(tracer, "END_SECONDS", 0.1)


async def test_what_a_receiver_could_not_take_is_sent_again_and_what_it_refuses_is_not(world: Traced) -> None:
    answers = [
        answered(b"", b"503 Service Unavailable"), answered(b"", b"400 Bad Request"),
        answered(b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}'),
    ]  # fmt: skip
    world.receiver.answer = lambda: answers.pop(0) if answers else answered(b"{}")
    port = await world.gateway()
    assert (await world.net.ask(port, "/app"))[0] == 200
    (mine,) = world.tracers
    await world.net.until(lambda: mine.dropped == 2)
    assert len(world.receiver.requests) == 2
    assert world.receiver.requests[0] == world.receiver.requests[1]
    assert (await world.net.ask(port, "/app"))[0] == 200
    await world.net.until(lambda: mine.exported + mine.dropped == 4)
    assert (mine.exported, mine.dropped, mine.waiting) == (1, 3, 0)


async def test_a_receiver_that_comes_later_gets_what_waited(world: Traced) -> None:
    port = await world.gateway(url=f"http://127.0.0.1:{world.net.dead_port()}")
    assert (await world.net.ask(port, "/app"))[0] == 200
    (mine,) = world.tracers
    await asyncio.sleep(0.2)
    assert (mine.waiting, mine.exported, mine.dropped) == (2, 0, 0)
    mine.receiver = parse_receiver(await world.receiver.start(world.net))
    await world.spans(2)
    await world.net.until(lambda: mine.exported == 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 No Content\r\n\r\n",
    ],
)
async def test_an_answer_may_have_any_framing(world: Traced, answer: bytes) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
        for at in range(len(answer)):
            writer.write(answer[at : at + 1])
            await writer.drain()

    port = await world.gateway(url=f"http://127.0.0.1:{await world.net.server(reply)}")
    assert (await world.net.ask(port, "/app"))[0] == 200
    (mine,) = world.tracers
    await world.net.until(lambda: mine.exported == 2)


async def test_many_are_sent_in_batches_and_the_last_when_the_gateway_ends(
    world: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracer, "BATCH_SECONDS", 60.0)
    monkeypatch.setattr(tracer, "BATCH_SPANS", 8)
    port = await world.gateway()
    for _ in range(9):
        assert (await world.net.ask(port, "/app"))[0] == 200
    await world.net.until(lambda: len(world.receiver.spans) >= 8)
    await world.net.gateways[-1].drain(1.0)
    await world.spans(18)
    assert all(
        len(scope.spans) <= 8
        for request in world.receiver.requests
        for scope in request.resource_spans[0].scope_spans
    )


@pytest.mark.parametrize(
    "arguments", [["--tracing-sampling=2"], ["--tracing-sampling=some"], ["--tracing-endpoint=x"]]
)
def test_options_that_cannot_be_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_tracing(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(arguments)
    assert re.search("from 0 to 1|for example http://otel-collector", capsys.readouterr().err)


def test_nothing_is_traced_without_an_endpoint() -> None:
    parser = argparse.ArgumentParser()
    add_tracing(parser)
    assert parser.parse_args([]).tracing_endpoint is None
    assert parser.parse_args(["--tracing-sampling=0"]).tracing_sampling == 0


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("http://otel-collector.monitoring:4318", "otel-collector.monitoring:4318", "/v1/traces"),
        ("https://otlp.example.org", "otlp.example.org:443", "/v1/traces"),
        ("http://otlp.example.org/otlp/", "otlp.example.org:80", "/otlp/v1/traces"),
        ("http://[2001:db8::1]:4318", "[2001:db8::1]:4318", "/v1/traces"),
    ],
)
def test_a_receiver_is_said_by_its_url(url: str, address: str, path: str) -> None:
    receiver = parse_receiver(url)
    assert (receiver.authority, receiver.path, receiver.tls) == (address, path, url.startswith("https"))


@pytest.mark.parametrize(
    "url",
    [
        "", "otel:4318", "grpc://otel:4317", "http://", "http://a:b", "http://a:99999", "http://u:p@a", "http://a?b",
        "http://a/b c", "http://\N{LATIN SMALL LETTER E WITH ACUTE}", "http://a/\x7f", "http://[::1",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_receiver_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match="for example http://otel-collector"):
        parse_receiver(url)
