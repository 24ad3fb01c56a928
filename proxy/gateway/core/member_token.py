"""The hub's token in a member: how long one is good, and with which credentials the next one is asked for.

It is one of a ServiceAccount of the member (TokenRequest, authentication.k8s.io/v1) and ends within the hour.
A credential to begin with buys the first one and is of no use afterwards; from then on a token buys the next.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.core.objects import Object, section, spec_of

LIFE_SECONDS = 3600
"""How long a token is asked for. API servers give none shorter than ten minutes."""


BEARER = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}={0,2}")
"""A token that can be sent (RFC 6750, section 2.1); the member's API server says what it is."""
LATEST = 1e11
"""Later than any time that is one."""


class Credential(Enum):
    """What a token is asked for with."""

    OWN = "the token itself"
    BOOTSTRAP = "the credential to begin with"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a Cluster object says of the hub's tokens: whose they are and where they are kept.

    `account` is a ServiceAccount in `namespace` of the member, `kept` a Secret beside the hub. `bootstrap` is
    the Secret of the member that holds the credential to begin with; empty when nobody is to delete it.
    """

    namespace: str
    account: str
    kept: str
    bootstrap: str = ""


@dataclass(frozen=True, slots=True)
class MemberToken:
    """A token with the time it was asked for and the time it ends, in seconds since 1970 by the hub's clock.

    `source` is the fingerprint of the credential that the first of the row was asked for with.
    """

    text: str = field(default="", repr=False)
    issued: float = 0.0
    expires: float = 0.0
    source: str = ""

    def is_good(self, now: float) -> bool:
        """Whether it can still be used."""
        return bool(self.text) and now < self.expires

    def is_due(self, now: float) -> bool:
        """Whether half of its time is over, or the clock was set back and cannot tell."""
        return not self.issued <= now < (self.issued + self.expires) / 2


def token_request(cluster: Object) -> TokenRequest | None:
    """What the Cluster object asks for; None where its kubeconfig is used as it is."""
    found = section(spec_of(cluster), "tokenRequest")
    if not found:
        return None
    return TokenRequest(
        namespace=str(found.get("namespace") or ""),
        account=str(found.get("serviceAccount") or ""),
        kept=str(found.get("secret") or ""),
        bootstrap=str(found.get("bootstrapSecret") or ""),
    )


def fingerprint(credential: str) -> str:
    """Sixteen bytes of a hash, in hexadecimal: tells credentials apart and is no secret."""
    return hashlib.sha256(credential.encode()).hexdigest()[:32]


def credentials(token: MemberToken, source: str, now: float) -> tuple[Credential, ...]:
    """The credentials to ask with now, in order, until one is accepted; none while there is no need to.

    `source` is the fingerprint of the credential to begin with: a new one is used at once, even beside a good
    token, for the sooner it is of no use the better.
    """
    own = (Credential.OWN,) if token.is_good(now) and token.is_due(now) else ()
    if token.source != source:
        return (Credential.BOOTSTRAP, *own)
    return (*own, Credential.BOOTSTRAP) if own or not token.is_good(now) else ()


def encode(token: MemberToken) -> dict[str, str]:
    """The data of the Secret that keeps it."""
    said = {
        "token": token.text,
        "issued": f"{token.issued:.3f}",
        "expires": f"{token.expires:.3f}",
        "source": token.source,
    }
    return {name: base64.b64encode(text.encode()).decode() for name, text in said.items()}


def decode(secret: Object | None) -> MemberToken:
    """The token that a Secret keeps; an empty one when it keeps none, or something else."""
    data = section(secret, "data")
    try:
        return MemberToken(
            text=_bearer(_text(data, "token")),
            issued=_seconds(data, "issued"),
            expires=_seconds(data, "expires"),
            source=_text(data, "source"),
        )
    except (binascii.Error, ValueError):
        return MemberToken()


def _text(data: Mapping[str, object], name: str) -> str:
    return base64.b64decode(str(data.get(name) or ""), validate=True).decode("ascii")


def _bearer(text: str) -> str:
    if not BEARER.fullmatch(text):
        raise ValueError("not a token")
    return text


def _seconds(data: Mapping[str, object], name: str) -> float:
    found = float(_text(data, name))
    if not 0 <= found < LATEST:
        raise ValueError(f"{name} is no time")
    return found
