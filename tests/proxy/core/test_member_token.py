"""The hub's token in a member: when it is good, what the next one is asked for with, how it is kept."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from gateway.core.member_token import (
    Credential,
    MemberToken,
    TokenRequest,
    credentials,
    decode,
    encode,
    fingerprint,
    token_request,
)

OWN, BOOTSTRAP = Credential.OWN, Credential.BOOTSTRAP
BEGUN = fingerprint("begin")
TOKEN = MemberToken("a.b.c", issued=1000.0, expires=4600.0, source=BEGUN)


@pytest.mark.parametrize(
    ("now", "asked"),
    [
        (1000.0, ()),
        (2799.9, ()),
        (2800.0, (OWN, BOOTSTRAP)),
        (4599.9, (OWN, BOOTSTRAP)),
        (4600.0, (BOOTSTRAP,)),
        (999.9, (OWN, BOOTSTRAP)),
    ],
)
def test_a_token_is_renewed_from_half_of_its_life_on(now: float, asked: tuple[Credential, ...]) -> None:
    assert credentials(TOKEN, BEGUN, now) == asked


@pytest.mark.parametrize(
    ("now", "asked"), [(1000.0, (BOOTSTRAP,)), (2800.0, (BOOTSTRAP, OWN)), (5000.0, (BOOTSTRAP,))]
)
def test_a_new_credential_to_begin_with_is_used_at_once(now: float, asked: tuple[Credential, ...]) -> None:
    assert credentials(TOKEN, fingerprint("another"), now) == asked


def test_without_a_token_the_first_is_asked_for() -> None:
    assert credentials(MemberToken(), BEGUN, 1.0) == (BOOTSTRAP,)
    assert credentials(MemberToken(source=BEGUN), BEGUN, 1.0) == (BOOTSTRAP,)


def test_what_is_kept_is_read_again() -> None:
    kept = {"data": encode(TOKEN)}
    assert decode(kept) == TOKEN
    assert TOKEN.text not in str(kept), "data of a Secret is base64"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("token", ""),
        ("token", "two\nlines"),
        ("token", "é"),
        ("issued", "soon"),
        ("expires", "inf"),
        ("expires", "1e300"),
        ("issued", "nan"),
        ("issued", "-1"),
    ],
)
def test_a_secret_with_something_else_keeps_no_token(field: str, text: str) -> None:
    data = encode(TOKEN) | {field: base64.b64encode(text.encode()).decode()}
    assert decode({"data": data}) == MemberToken()


@pytest.mark.parametrize("secret", [None, {}, {"data": {"token": "%%%"}}, {"data": 1}])
def test_a_secret_without_a_token(secret: object) -> None:
    assert decode(secret) == MemberToken()  # type: ignore[arg-type]


def test_a_token_is_in_no_text_that_shows_it() -> None:
    assert "a.b.c" not in repr(TOKEN)
    assert "a.b.c" not in repr(replace(TOKEN, expires=1.0))
    assert "begin" not in BEGUN


def test_what_a_cluster_asks_for() -> None:
    assert token_request({"spec": {"kubeconfigSecretRef": {"name": "one"}}}) is None
    least = {"namespace": "multicluster-system", "serviceAccount": "multicluster-hub", "secret": "one-token"}
    wanted = TokenRequest("multicluster-system", "multicluster-hub", "one-token")
    assert token_request({"spec": {"tokenRequest": least}}) == wanted
    most = {**least, "bootstrapSecret": "begin"}
    assert token_request({"spec": {"tokenRequest": most}}) == replace(wanted, bootstrap="begin")
