"""What Dapr's sidecars send, on raw sockets."""

from __future__ import annotations

from typing import Any

import pytest

TOKEN = b"the-callers-own-secret"
REQUESTS = {
    "one": b"GET %b HTTP/1.1\r\nHost: app.demo:3000\r\nDapr-API-Token: %b\r\nAccept: */*\r\n\r\n",
    "two": b"GET %b HTTP/1.1\r\nHost: app.demo:3000\r\ndapr-api-token: x\r\nAccept: */*\r\n"
    b"dapr-api-token:%b\r\n\r\n",
    "1.0": b"GET %b HTTP/1.0\r\nhost: app.demo:3000\r\nDAPR-API-TOKEN:\t%b\r\nConnection: keep-alive\r\n\r\n",
    "named by Connection": b"GET %b HTTP/1.1\r\nHost: app.demo:3000\r\nDapr-Api-Token: %b\r\n"
    b"Connection: dapr-api-token, close\r\n\r\n",
    "upgrade": b"GET %b HTTP/1.1\r\nHost: app.demo:3000\r\nDapr-Api-Token: %b\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "trailer": b"POST %b HTTP/1.1\r\nHost: app.demo:3000\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\nDapr-Api-Token: %b\r\n\r\n",
    "beside other fields that are dropped": b"GET %b HTTP/1.1\r\nHost: app.demo:3000\r\nTE: trailers\r\n"
    b"X-Forwarded-For: 1.2.3.4\r\nDapr-Api-Token: %b\r\nForwarded: for=1.2.3.4\r\n\r\n",
}


@pytest.mark.parametrize("request_form", REQUESTS)
@pytest.mark.parametrize("hop", ["to the own pods", "from outside", "to another cluster"])
async def test_the_callers_token_reaches_nobody(net: Any, make: Any, hop: str, request_form: str) -> None:
    seen = bytearray()

    async def record(reader: Any, writer: Any) -> None:
        while data := await reader.read(65536):
            seen.extend(data)
            if seen.endswith(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server = await net.server(record)
    if hop == "to another cluster":
        objects = [make.imported(c1=server), make.policy("ActiveActive", c1=100)]
    else:
        objects = [make.service(), make.slice("127.0.0.1", port=server), make.export()]
    outside, east_west, _ = await net.gateway(*objects)
    port, target = (outside, b"/app/x") if hop == "from outside" else (east_west, b"/x")
    reader, writer = await net.connect(port)
    writer.write(REQUESTS[request_form] % (target, TOKEN))
    assert (await net.answer(reader))[0] == 200
    assert b"/x HTTP/1.1\r\n" in seen
    assert b"dapr-api-token" not in seen.lower()
    assert TOKEN not in seen


async def test_other_fields_of_a_sidecar_pass(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda head, _body: ok(head))
    _, port, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n"
    head = (await net.ask(port, "/", "app.demo", fields=trace + "dapr-caller-app-id: shop\r\n"))[2]
    assert trace.encode() in head
    assert b"\r\ndapr-caller-app-id: shop\r\n" in head
