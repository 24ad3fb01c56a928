"""Rewritten targets: whatever an export asks for and a client sends, one request line goes on."""

from __future__ import annotations

import re

from fuzz.reference import read_requests
from gateway.core.errors import ProtocolError
from gateway.core.fields import FieldError, path_text
from gateway.core.forward import forwarded_fields, request_start
from gateway.core.limits import Limits
from gateway.core.paths import normalise
from gateway.core.request import RequestHead, parse_request_head
from gateway.core.rewrite import MAX_RESULT_BYTES, Rewrite, RewriteError
from gateway.core.route import WeightedCluster, normal_prefix
from gateway.core.sidecars import invoke_prefix

ORIGIN_FORM = re.compile(rb"/[\x21\x22\x24-\x7e]*")
"""RFC 9112 section 3.2.1, and what clients send beyond it: nothing that ends a target or a line."""
MORE = Limits(target_bytes=3 * MAX_RESULT_BYTES, head_bytes=4 * MAX_RESULT_BYTES)
"""What the next hop has to take: the path of an export may come before the longest target."""


def rewrites(data: bytes) -> None:
    """A rewritten target is one target: lines of pattern, replacement, export path, then targets."""
    source, to, path, *targets = [line.decode("latin-1") for line in data.split(b"\n")] + [""] * 3
    try:
        rewrite = Rewrite(source, to) if source else None
        prefix = normal_prefix(path_text(path, "path")) if path else b""
    except (RewriteError, FieldError):
        return
    for target in targets:
        head = f"{'OPTIONS' if target == '*' else 'GET'} {target} HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"
        try:
            request = parse_request_head(head.encode("latin-1"), Limits())
        except ProtocolError:
            continue
        _check(request, WeightedCluster("r/z/g/c", (), remote=True, prefix=prefix))
        _check(request, WeightedCluster("r/z/g/c", (), rewrite=rewrite))
        _check(request, WeightedCluster("r/z/g/c", (), rewrite=rewrite, rewritten_prefix=prefix))
        invoke = invoke_prefix("app", "n")
        _check(request, WeightedCluster("r/z/g/c", (), rewrite=rewrite, prefix=invoke, sidecar=b"token"))


def _check(request: RequestHead, cluster: WeightedCluster) -> None:
    try:
        made = cluster.target(request.target)
    except ProtocolError:
        return
    assert made == cluster.target(request.target), "remembered as it was"
    assert ORIGIN_FORM.fullmatch(made) or made == request.target == b"*", made
    assert len(made) <= MAX_RESULT_BYTES + len(cluster.prefix) + 1, len(made)
    inside = made.partition(b"?")[0].removeprefix(cluster.prefix)
    assert len(inside) < len(made) or not cluster.prefix
    assert inside[:1] in ({b"", b"*"} if request.target == b"*" else {b"/"}), (
        f"{made!r} is not inside {cluster.prefix!r}"
    )
    start = request_start(request, made, b"a.n:1", to_gateway=cluster.remote, sidecar=cluster.sidecar)
    head = start + forwarded_fields(b"10.9.9.9", request.host) + b"\r\n\r\n"
    others = read_requests(head)
    assert not isinstance(others, str), f"{others} for {head!r}"
    assert [one.complete for one in others] == [True], "one request"
    if cluster.remote:
        read = parse_request_head(head, MORE)
        assert (read.method, read.target, read.host) == (request.method, made, request.host)
        assert read.path.startswith(normalise(cluster.prefix))
