"""What a rewrite makes of a client's target."""

from __future__ import annotations

import pytest

from gateway.core.errors import ProtocolError
from gateway.core.rewrite import Rewrite


@pytest.mark.parametrize(
    "target",
    [
        b"/shop/static../secret",
        b"/shop/static%2e%2e/secret",
        b"/shop/static..%2Fsecret",
        b"/shop/static..;/x",
    ],
)
def test_no_target_climbs_by_a_rewrite(target: bytes) -> None:
    """As where a slash is forgotten: `/static..` is a name, `/files/..` is not."""
    with pytest.raises(ProtocolError, match="rewritten request target with dot segments"):
        Rewrite("/shop/static(.*)", "/files/$1").apply(target)


def test_dots_of_names_and_queries_stay() -> None:
    rewrite = Rewrite("/shop/static(.*)", "/files$1")
    assert rewrite.apply(b"/shop/static/a..b/c.?d=/../e") == b"/files/a..b/c.?d=/../e"
    with pytest.raises(ProtocolError, match="dot segments"):
        Rewrite("/shop", "").apply(b"/shop../a")
