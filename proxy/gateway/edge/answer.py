"""What an upstream's answer says: who sent it, where its body ends, which fields are added on its way."""

from __future__ import annotations

from gateway.core.affinity import Affinity, session_cookie
from gateway.core.answers import DOUBTFUL, PASSED_FIELD, UNANSWERED_FIELD, UNANSWERED_MARK
from gateway.core.balance import ClusterState, Pick
from gateway.core.body import Body, ChunkedBody, EndlessBody, LengthBody
from gateway.core.heads import CHUNKED, UNTIL_CLOSE
from gateway.core.health import EndpointHealth
from gateway.core.request import RequestHead
from gateway.core.response import ResponseHead
from gateway.core.sidecars import not_invoked
from gateway.edge.routed import RoutedHead

MALFORMED = b"malformed"
"""Why a gateway refuses a request before it looks for a route."""


def doubtful(answer: ResponseHead) -> bool:
    """Whether a load balancer, or whoever has got the address meanwhile, might have sent it as well."""
    return answer.status in DOUBTFUL and not answer.refused and not answer.passed


def turned_away(answer: ResponseHead) -> bool:
    """Whether another gateway can do nothing for a request that a third one might serve.

    What it says of the request itself, any of them would. Clients could else have exporters ejected, by
    requests that only the fields of a gateway in front make too long, or that claim to have passed too many.
    """
    return bool(answer.refused) and answer.refused != MALFORMED


def by_a_stranger(answer: ResponseHead, health: EndpointHealth) -> bool:
    """Whether somebody else seems to answer where a gateway that marks its answers was before."""
    return doubtful(answer) and health.marks


def unanswered(answer: ResponseHead) -> bool:
    """Whether another gateway says that the application, which may have seen the request, gave no answer."""
    return answer.passed == UNANSWERED_MARK


def by_a_sidecar(cluster: ClusterState, answer: ResponseHead, data: bytes, end: int) -> bool:
    """Whether a Dapr sidecar answers that no application did. The body begins at `end` of `data`."""
    return cluster.sidecar is not None and not_invoked(answer.status, data[end:])


def body_length(request: RequestHead, answer: ResponseHead) -> int:
    """Bytes of the body that follows the head, or CHUNKED or UNTIL_CLOSE (RFC 9112, section 6.3)."""
    if answer.status == 204 or answer.status == 304 or request.method == b"HEAD":  # noqa: PLR1714  hot
        return 0
    return answer.length


def framing(length: int, here: int, *, decode: bool) -> Body | None:
    """What finds the end of a body of which `here` bytes have come; None when that is all of it."""
    if length == CHUNKED:
        return ChunkedBody(decode=decode)
    if length == UNTIL_CLOSE:
        return EndlessBody()
    return LengthBody(length) if length and length != here else None


def added_fields(
    request: RoutedHead, answer: ResponseHead, pick: Pick, affinity: Affinity | None, secret: bytes
) -> bytes:
    """For the client a session cookie, for a gateway in front a mark: this is no stranger's.

    `secret` is what session tags are made with.
    """
    added = b""
    if request.sticky and request.route is not None and not pick.state.remote:
        cluster, endpoint = pick.state.cluster.key, pick.health.name
        if affinity is None or not (affinity.is_of(cluster) and affinity.is_at(endpoint)):
            added = session_cookie(request.route.service, cluster, endpoint, secret)
    if request.head.hops and (answer.passed or doubtful(answer)):
        added += UNANSWERED_FIELD if pick.state.remote and unanswered(answer) else PASSED_FIELD
    return added
