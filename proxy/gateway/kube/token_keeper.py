"""Keeps a good token of one member: asks for it, writes it to a Secret beside the hub, renews it.

Clock and API servers are here; what to ask with, and when, is decided in `core.member_token`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.core.member_token import (
    Credential,
    MemberToken,
    TokenRequest,
    credentials,
    decode,
    encode,
    fingerprint,
)
from gateway.core.objects import HUB, Key, Object
from gateway.kube.client import KubeClient
from gateway.kube.client_config import ClientConfig
from gateway.kube.errors import CredentialError, KubeError, NotFound
from gateway.kube.resources import SECRET
from gateway.kube.status import LONGEST_MESSAGE, timestamp
from gateway.kube.timing import DEFAULT_TIMING, Timing

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
"""Seconds between attempts that fail. A new credential to begin with is used at once all the same."""


@dataclass(frozen=True)
class TokenStore:
    """The Secrets beside the hub, in `namespace`. They are there already: the hub may write these alone."""

    client: KubeClient
    namespace: str

    def read(self, name: str, secrets: Mapping[Key, Object]) -> MemberToken:
        """The token that is kept, of what an informer knows."""
        return decode(secrets.get((self.namespace, name)))

    async def keep(self, name: str, token: MemberToken) -> None:
        """Write it for the next hub. Raises KubeError."""
        await self.client.merge(SECRET, self.namespace, name, {"data": encode(token)})


class TokenKeeper:
    """The tokens of one member. `problem` says why there is no new one; the last one may still be good."""

    def __init__(
        self,
        name: str,
        config: ClientConfig,
        *,
        request: TokenRequest,
        store: TokenStore,
        kept: MemberToken,
        on_change: Callable[[], None],
        timing: Timing = DEFAULT_TIMING,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`config` has the credential to begin with. CredentialError when that is no token."""
        if not config.token:
            raise CredentialError(f"tokenRequest of {name} needs a kubeconfig with a token to begin with")
        self._name, self._config, self._request, self._store = name, config, request, store
        self._source = fingerprint(config.token)
        self._on_change, self._timing, self._now = on_change, timing, now
        self._pause = timing.check
        self._is_kept = bool(kept.text)
        self._is_spent = False
        """Whether the credential to begin with has been deleted where it was issued."""
        self.token = kept
        self.problem = ""

    @property
    def config(self) -> ClientConfig:
        """The member's API server, to be asked with the token of the moment."""
        return replace(self._config, token="", source=lambda: self.token.text)

    @property
    def missing(self) -> str:
        """Why there is no good token; empty while there is one."""
        if self.token.is_good(self._now()):
            return ""
        if not self.token.text:
            return f"the hub has no token yet: {self.problem}" if self.problem else ""
        return (
            f"the hub's token expired at {timestamp(self.token.expires)} and could not be renewed: give the "
            f"cluster a new credential to begin with ({self.problem or 'not asked yet'})"
        )

    def status(self) -> Object:
        """What the Cluster object tells of the token; nothing of it is secret."""
        if not self.token.text:
            return {}
        times = {"issued": timestamp(self.token.issued), "expires": timestamp(self.token.expires)}
        # A merge patch takes out what is None.
        return {**times, "message": self.problem[:LONGEST_MESSAGE] or None}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.step()
            # Never as long as the token is good: a machine that slept has a clock that went on.
            await asyncio.sleep(self._pause)

    async def step(self) -> None:
        """Ask for a token when it is time to, keep it, and have the credential to begin with deleted."""
        now, errors = self._now(), list[str]()
        asked = credentials(self.token, self._source, now)
        for credential in asked:
            try:
                self._take(await self._ask(credential, now))
                errors = []
                break
            except KubeError as error:
                errors.append(str(error))
        try:
            await self._settle()
        except KubeError as error:
            errors.append(str(error))
        before, self.problem = self.problem, "; ".join(dict.fromkeys(errors))
        if self.problem != before:
            if self.problem:
                log.warning("%s: no new token: %s", self._name, self.problem)
            self._on_change()
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if errors else self._timing.check

    async def _ask(self, credential: Credential, now: float) -> MemberToken:
        own = credential is Credential.OWN
        wanted = self._request
        async with self._client(self.token.text if own else self._config.token) as client:
            text, seconds = await client.request_token(
                wanted.namespace, wanted.account, self._timing.token_seconds
            )
        return MemberToken(text, now, now + seconds, self.token.source if own else self._source)

    def _take(self, token: MemberToken) -> None:
        log.info("%s: the hub has a token until %s", self._name, timestamp(token.expires))
        self.token, self._is_kept = token, False
        self._on_change()

    async def _settle(self) -> None:
        """Keep the token, and only then delete what bought it: a hub that ends in between begins again."""
        if not self._is_kept and self.token.text:
            await self._store.keep(self._request.kept, self.token)
            self._is_kept = True
        if self._is_kept and not self._is_spent and self.token.source == self._source:
            if self._request.bootstrap:
                try:
                    async with self._client(self.token.text) as client:
                        await client.delete(SECRET, self._request.namespace, self._request.bootstrap)
                except NotFound:
                    pass  # by an earlier hub
            self._is_spent = True

    def _client(self, token: str) -> KubeClient:
        return KubeClient(replace(self._config, token=token), field_manager=HUB)
