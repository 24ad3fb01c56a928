"""Leader election by a Lease: of several candidates the holder writes, the others stand by.

The holder renews its Lease; whoever sees it unchanged for `LeaseTiming.lease` on its own clock takes it
(clocks of different machines are never compared). A holder that cannot renew stops within
`LeaseTiming.give_up`, before anybody else may begin, so that two never write at once. A single hub needs none
of this, and without it goes on bringing exports from member to member while its own API server is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from gateway.core.objects import Object, spec_of, version_of
from gateway.kube.client import KubeClient
from gateway.kube.errors import Conflict, KubeError, NotFound
from gateway.kube.resources import LEASE
from gateway.kube.timing import DEFAULT_LEASE_TIMING, LeaseTiming

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What came of asking for the Lease."""

    HELD = "it is ours"
    TAKEN = "somebody else holds it"
    UNKNOWN = "the API server did not say"


class Claim:
    """What one candidate makes of the Lease. Pure: the caller brings object and clock."""

    def __init__(self, namespace: str, name: str, identity: str, seconds: float) -> None:
        """`seconds`: how long a holder that fell silent is waited for."""
        self._namespace, self._name, self.identity = namespace, name, identity
        self._seconds = seconds
        self._seen: tuple[str, float] = ("", float("-inf"))

    def body(self, lease: Object | None, now: float, wall: datetime) -> Mapping[str, Any] | None:
        """What to write to hold the Lease from `now` (monotonic); None while somebody else holds it."""
        spec = spec_of(lease or {})
        holder = str(spec.get("holderIdentity") or "")
        if holder not in {"", self.identity}:
            version = version_of(lease or {})
            if version != self._seen[0]:
                self._seen = (version, now)
            if now - self._seen[1] < self._seconds:
                return None
        stamp = wall.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        fresh = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._seconds),
            "renewTime": stamp,
        }
        if holder != self.identity:
            fresh |= {"acquireTime": stamp, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        metadata = {"name": self._name, "namespace": self._namespace}
        if lease is not None:
            metadata["resourceVersion"] = version_of(lease)
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": fresh}


class Elected:
    """Runs work while holding the Lease `name` in `namespace`."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        name: str,
        identity: str,
        timing: LeaseTiming = DEFAULT_LEASE_TIMING,
    ) -> None:
        """`identity` is unlike that of every other candidate; the pod's name is."""
        self._client = client
        self._where = (namespace, name)
        self._claim = Claim(namespace, name, identity, timing.lease)
        self._timing = timing
        self._error = ""
        self.holds = False

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Until cancelled, or until the work fails. The Lease is given back at the end."""
        try:
            while True:
                while await self._ask() is not Outcome.HELD:  # noqa: ASYNC110  the answer is on another machine
                    await asyncio.sleep(self._timing.renew)
                log.info("%s holds the Lease %s/%s", self._claim.identity, *self._where)
                self.holds = True
                async with asyncio.TaskGroup() as tasks:
                    working = tasks.create_task(work(), name="elected")
                    tasks.create_task(self._keep(working), name="keep the Lease")
                self.holds = False
                log.warning("the Lease %s/%s is lost: standing by", *self._where)
        finally:
            if self.holds:
                self.holds = False
                await self._give_back()

    async def _keep(self, working: asyncio.Task[None]) -> None:
        """Renew until that is refused or has failed for too long, then stop the work."""
        loop = asyncio.get_running_loop()
        good = loop.time()
        while True:
            await asyncio.sleep(self._timing.renew)
            begun = loop.time()
            try:
                async with asyncio.timeout_at(good + self._timing.give_up):
                    outcome = await self._ask()
            except TimeoutError:
                outcome = Outcome.TAKEN  # or it may be soon
            if outcome is Outcome.TAKEN:
                working.cancel()
                return
            if outcome is Outcome.HELD:
                good = begun

    async def _ask(self) -> Outcome:
        """Take or renew the Lease."""
        now = asyncio.get_running_loop().time()
        try:
            try:
                lease = await self._client.get(LEASE, *self._where)
            except NotFound:
                lease = None
            body = self._claim.body(lease, now, datetime.now(UTC))
            if body is None:
                return Outcome.TAKEN
            if lease is None:
                await self._client.create(LEASE, self._where[0], body)
            else:
                await self._client.merge(LEASE, *self._where, body)
        except Conflict:
            return Outcome.UNKNOWN  # somebody wrote at the same moment: ask again
        except KubeError as error:
            if str(error) != self._error:  # once per cause
                self._error = str(error)
                log.warning("the Lease %s/%s: %s", *self._where, error)
            return Outcome.UNKNOWN
        self._error = ""
        return Outcome.HELD

    async def _give_back(self) -> None:
        """Let the next one begin at once instead of after `LeaseTiming.lease`."""
        try:
            async with asyncio.timeout(self._timing.renew):
                lease = await self._client.get(LEASE, *self._where)
                if spec_of(lease).get("holderIdentity") == self._claim.identity:
                    metadata = {"resourceVersion": version_of(lease)}
                    body = {"metadata": metadata, "spec": {"holderIdentity": ""}}
                    await self._client.merge(LEASE, *self._where, body)
        except (KubeError, TimeoutError) as error:
            log.warning("the Lease %s/%s could not be given back: %s", *self._where, error or "timed out")
