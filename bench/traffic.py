"""Traffic as programs send it, as scripts for wrk: each request has trace context and identifiers of its own.

The application answers each with an identifier of its own as well (`peers/backend.conf`): no head is met
twice, on either side.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.load import REPORT, quoted

TOKEN = "eyJhbGciOiJSUzI1NiJ9." + "QmVhcmVyIHRva2VuIG9mIGEgYmVuY2htYXJr" * 8
"""A bearer token of some 300 characters, as identity providers make them."""

TRACE = "Traceparent: 00-{trace}-{id}-01"
"""W3C Trace Context, 3.2."""

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36"
)

SHOP = "shop.example.com"

SIDECAR = (
    f"Host: {SHOP}",
    "User-Agent: fasthttp",
    "Content-Type: application/json",
    "Accept-Encoding: gzip",
    f"Authorization: Bearer {TOKEN}",
    "Dapr-Caller-App-Id: checkout",
    "Dapr-Callee-App-Id: orders",
    "Forwarded: for=10.42.0.17;by=10.42.0.17;host=checkout-5d7f9c8b6d-x2x7q",
    "X-Forwarded-For: 10.42.0.17",
    "X-Forwarded-Host: checkout-5d7f9c8b6d-x2x7q",
    TRACE,
    "X-Request-Id: {trace}",
)
BROWSER = (
    f"Host: {SHOP}",
    "Connection: keep-alive",
    'Sec-Ch-Ua: "Chromium";v="128", "Not;A=Brand";v="24", "Google Chrome";v="128"',
    "Sec-Ch-Ua-Mobile: ?0",
    f"User-Agent: {CHROME}",
    'Sec-Ch-Ua-Platform: "Linux"',
    "Accept: application/json, text/plain, */*",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    "Referer: https://shop.example.com/orders?page={id}",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9",
    "Cookie: session={trace}; theme=dark; consent=all",
    TRACE,
    "X-Request-Id: {trace}",
)
GRPC_GATEWAY = (
    f"Host: {SHOP}",
    "User-Agent: Go-http-client/1.1",
    "Content-Type: application/json",
    "Accept: application/json",
    "Accept-Encoding: gzip",
    f"Grpcgateway-Authorization: Bearer {TOKEN}",
    "Grpcgateway-User-Agent: grpc-go/1.66.0",
    "Grpc-Metadata-Tenant: europe-west",
    "Grpc-Timeout: 5S",
    TRACE,
    "Tracestate: dapr={id}",
    "X-Request-Id: {trace}",
)
FIELD_SETS: Mapping[str, Sequence[str]] = {
    "sidecar": SIDECAR,
    "browser": BROWSER,
    "gRPC gateway": GRPC_GATEWAY,
}
"""What a Dapr sidecar, a browser and a gRPC gateway send; `{trace}` and `{id}` differ in every request."""


@dataclass(frozen=True)
class Shape:
    """Requests that differ in path and identifiers only."""

    fields: Sequence[str]
    target: str = "{path}/orders/{id}"
    """Behind the route's path; what it asks for is in `peers/backend.conf`."""
    body: int = 0
    """Bytes; none is a GET."""

    def text(self) -> str:
        """The request with `{path}`, `{trace}`, `{id}` to be filled in, its body left out."""
        lines = [f"{'POST' if self.body else 'GET'} {self.target} HTTP/1.1", *self.fields]
        return "\r\n".join([*lines, *([f"Content-Length: {self.body}"] if self.body else []), "", ""])


def shapes(sender: str) -> list[Shape]:
    """Ten requests of one sender: seven small answers, two of 4 KiB, one body of 1 KiB."""
    fields = FIELD_SETS[sender]
    small, page = Shape(fields), Shape(fields, "{path}/orders/{id}/4k")
    upload = Shape(fields, "{path}/orders/{id}/upload", 1024)
    return [small, small, page, small, small, upload, small, page, small, small]


def mixed(senders: Sequence[str]) -> list[Shape]:
    """The requests of several senders by turns."""
    return [shape for turn in zip(*map(shapes, senders), strict=True) for shape in turn]


def unlike(asked: Sequence[Shape], paths: Sequence[str], host: str = "") -> str:
    """A script that sends these by turns to all paths, each with identifiers of its own, in any run.

    `host`: asked for in place of theirs.
    """
    makers = ",\n".join(f"  function(path, trace, id) return {_expression(shape)} end" for shape in asked)
    makers = makers.replace(f"Host: {SHOP}\\", f"Host: {host or SHOP}\\")
    listed = ",".join(quoted(path) for path in paths)
    return (
        f"{REPORT}local makers = {{\n{makers}\n}}\nlocal paths = {{{listed}}}\nlocal asked = 0\n"
        # The step keeps neighbours apart.
        f"function request()\n  asked = asked + 1\n  local id = string.format('%016x', asked)\n"
        f"  return makers[asked % {len(asked)} + 1](paths[asked * 7 % {len(paths)} + 1], "
        f"'{os.urandom(8).hex()}' .. id, id)\nend\n"
    )


def _expression(shape: Shape) -> str:
    """A request as an expression of Lua."""
    text = quoted(shape.text())
    for name in ("path", "trace", "id"):
        text = text.replace(f"{{{name}}}", f'" .. {name} .. "')
    return f'{text} .. string.rep("x", {shape.body})' if shape.body else text
