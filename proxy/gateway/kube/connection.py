"""The connection to a cluster as its Cluster object has it: credential, gateway address, reconciler."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import logging
import socket
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from gateway.core.admission import may_export
from gateway.core.conditions import Condition, managed
from gateway.core.dialling import STRICT
from gateway.core.member_token import TokenRequest, token_request
from gateway.core.objects import HUB, Key, Object, key_of, number, section, spec_of, uid_of
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.cluster import ClusterReconciler
from gateway.kube.cluster_view import Address, ClusterView
from gateway.kube.errors import CredentialError
from gateway.kube.first_seen import FirstSeen
from gateway.kube.plan import Plan
from gateway.kube.timing import DEFAULT_TIMING, Timing
from gateway.kube.token_keeper import TokenKeeper, TokenStore

log = logging.getLogger(__name__)

RESOLVE_SECONDS = 30.0
"""How often a gateway's host name is looked up again; also the longest a lookup may take."""
RESTART_SECONDS = 5.0


def cluster_key(cluster: Object) -> str:
    """region/zone/group/name of a Cluster object."""
    spec = spec_of(cluster)
    parts = [str(spec.get(part) or "default") for part in ("region", "zone", "group")]
    return "/".join([*parts, key_of(cluster)[1]])


def kubeconfig_of(cluster: Object, secrets: Mapping[Key, Object]) -> str:
    """The kubeconfig's text, inline or from the Secret. CredentialError says what is missing."""
    spec = spec_of(cluster)
    if spec.get("kubeconfig"):
        return str(spec["kubeconfig"])
    reference = section(spec, "kubeconfigSecretRef")
    name, entry = str(reference.get("name") or ""), str(reference.get("key") or "kubeconfig")
    secret = next((obj for (_, found), obj in secrets.items() if found == name), None)
    if secret is None:
        raise CredentialError(f"there is no Secret {name!r} in the hub's namespace")
    data = section(secret, "data").get(entry)
    if data is None:
        raise CredentialError(f"Secret {name!r} has no key {entry!r}")
    try:
        return base64.b64decode(str(data)).decode()
    except (binascii.Error, ValueError) as error:
        raise CredentialError(f"key {entry!r} of Secret {name!r} is not text") from error


def cluster_of(key: str) -> Object:
    """The least of a Cluster object with this key."""
    region, zone, group, name = key.split("/")
    return {"metadata": {"name": name}, "spec": {"region": region, "zone": zone, "group": group}}


async def addresses_of(host: str) -> list[str]:
    """IPv4 addresses of a name, in order. OSError when it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


class Resolver:
    """The address of a gateway host, looked up again from time to time. Keeps the last one that was good."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._where: tuple[str, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self.address: Address | None = None
        self.error: str | None = None

    def update(self, host: str, port: int) -> None:
        if self._where == (host, port):
            return
        self.close()
        self._where, self.address, self.error = (host, port), None, None
        try:
            self._take(host, str(ipaddress.IPv4Address(host)), port)
        except ValueError:
            if host:
                self._task = asyncio.create_task(self._look_up(host, port), name=f"resolve {host}")

    def _take(self, host: str, ip: str, port: int) -> None:
        """Keep an address that other clusters may dial."""
        if reason := STRICT.refusal(ip):
            found = "" if ip == host else f" is {ip}, which"
            self.address = None
            self.error = (
                f"gatewayHost {host!r}{found} {reason}, and no gateway dials it: give one at which the "
                "others reach this cluster's gateway"
            )
        else:
            self.address, self.error = Address(host, ip, port), None

    async def _look_up(self, host: str, port: int) -> None:
        while True:
            before = (self.address, self.error)
            try:
                async with asyncio.timeout(RESOLVE_SECONDS):
                    addresses = await addresses_of(host)
                # Names with several addresses rotate; stay with the one in use while it is among them.
                used = self.address.ip if self.address is not None else ""
                self._take(host, used if used in addresses else addresses[0], port)
            except (OSError, TimeoutError) as error:
                self.error = (
                    f"gatewayHost {host!r} does not resolve to an IPv4 address: {error or 'timed out'}"
                )
            if (self.address, self.error) != before:
                self._on_change()
            await asyncio.sleep(RESOLVE_SECONDS if self.error is None else RESTART_SECONDS)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None


class Connection:
    """Keeps one cluster connected as its Cluster object says. Never raises for a faulty object.

    The hub's own cluster is one of them; its client is there already.
    """

    def __init__(
        self,
        name: str,
        on_change: Callable[[], None],
        timing: Timing = DEFAULT_TIMING,
        *,
        home: KubeClient | None = None,
        store: TokenStore | None = None,
        mutual_tls: bool = False,
    ) -> None:
        """`home`: the client of the hub's own cluster, which no kubeconfig is asked for. `store` keeps the
        tokens of the others.

        `mutual_tls`: gateways may prove by certificates whose they are.
        """
        self.name = name
        self.key = ""
        self._on_change = on_change
        self._timing = timing
        self._home = home
        self._mutual_tls = mutual_tls
        self._peers_port = 0
        self._store = store
        self._resolver = Resolver(on_change)
        self._reconciler: ClusterReconciler | None = None
        self._credential: tuple[str, TokenRequest | None] = ("", None)
        self._credential_error = ""
        self._fault = ""
        """What is said of a member that serves nonsense."""
        self._may_export: Collection[str] | None = None
        self._first_seen: FirstSeen | None = None
        self._client: KubeClient | None = None
        self._tokens: TokenKeeper | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def update(self, cluster: Object, secrets: Mapping[Key, Object]) -> None:
        """Follow a changed Cluster object or Secret; a new credential starts a new reconciler."""
        spec = spec_of(cluster)
        self.key = cluster_key(cluster)
        self._resolver.update(str(spec.get("gatewayHost") or ""), int(spec.get("gatewayPort") or 80))
        self._may_export = may_export(cluster)
        self._peers_port = number(spec, "gatewayPeersPort")
        if self._first_seen is None and uid_of(cluster):  # else there is no object that could keep the dates
            self._first_seen = FirstSeen(cluster)
        if self._home is not None:
            if self._reconciler is None:
                self._start(self._home)
            return
        try:
            credential = kubeconfig_of(cluster, secrets), token_request(cluster)
            if credential != self._credential:
                await self._connect(*credential, secrets)
            self._credential_error = ""
        except CredentialError as error:
            # A reconciler that runs goes on: only its API server can say that the old credential is void.
            self._credential_error = str(error)
        if self._client is not None and self._reconciler is None and self._has_token():
            self._start(self._client)

    async def _connect(
        self, kubeconfig: str, request: TokenRequest | None, secrets: Mapping[Key, Object]
    ) -> None:
        config = from_kubeconfig(kubeconfig)
        tokens: TokenKeeper | None = None
        if request is not None and self._store is not None:
            tokens = TokenKeeper(
                self.name,
                config,
                request=request,
                store=self._store,
                kept=self._store.read(request.kept, secrets),
                on_change=self._on_change,
                timing=self._timing,
            )
            config = tokens.config
        await self._disconnect(withdraw=False)
        self._credential, self._tokens = (kubeconfig, request), tokens
        self._client = KubeClient(config, field_manager=HUB)
        await self._client.open()
        if tokens is not None:
            self._run("tokens", tokens.run)

    def _has_token(self) -> bool:
        return self._tokens is None or bool(self._tokens.token.text)

    def _start(self, client: KubeClient) -> None:
        self._reconciler = ClusterReconciler(
            self.name, client, self._on_change, self._timing, mutual_tls=self._mutual_tls
        )
        self._run("reconciler", self._reconciler.run)

    def _run(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(self._supervise(work), name=f"{self.name}: {what}"))

    async def _supervise(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                # A defect met by one cluster's objects must not take the other clusters down with it.
                log.exception("%s: a task failed; starting again in %g s", self.name, RESTART_SECONDS)
            await asyncio.sleep(RESTART_SECONDS)

    async def _disconnect(self, *, withdraw: bool) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._reconciler is not None and withdraw:
            await self._reconciler.withdraw()
        self._reconciler = None
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def close(self, *, withdraw: bool) -> None:
        """Stop; with `withdraw` also take back what the hub wrote into the cluster."""
        self._resolver.close()
        await self._disconnect(withdraw=withdraw)

    def view(self) -> ClusterView:
        """What is known of the cluster now."""
        found = ClusterView(self.key, self._resolver.address, None)
        if self._reconciler is not None:
            found = self._reconciler.view(self.key, self._resolver.address)
        times = self._first_seen.times if self._first_seen is not None else None
        return replace(
            found,
            may_export=self._may_export,
            first_seen=times,
            front_door=self._home is not None,
            peers_port=self._peers_port,
        )

    def see(self, now: float) -> bool:
        """Date what is new of the exports. True when `first_seen` is to be written."""
        exports = self._reconciler.exports if self._reconciler is not None else None
        if exports is None or self._first_seen is None:
            return False
        return self._first_seen.see(exports, now, believed=self._home is not None)

    def first_seen(self) -> Object:
        """The part of the Cluster's status that keeps the dates."""
        return self._first_seen.status() if self._first_seen is not None else {}

    def token(self) -> Object:
        """The part of the Cluster's status that tells of the hub's token; empty where there is none."""
        return self._tokens.status() if self._tokens is not None else {}

    @property
    def token_expires(self) -> float:
        """When the hub's token ends, in seconds since 1970; 0 where it has none."""
        return self._tokens.token.expires if self._tokens is not None else 0.0

    def take(self, plan: Plan) -> None:
        """Bring the cluster to what the plan has for it."""
        self._fault = plan.faults.get(self.key, "")
        if self._reconciler is not None:
            self._reconciler.take(
                plan.imports.get(self.key),
                plan.conditions[self.key],
                plan.peers.peers.get(self.key),
                plan.peers.said.get(self.key, {}),
            )

    def managed(self) -> Condition | None:
        """Whether the cluster is under the hub's management now, and if not why. None: not asked yet."""
        errors = [self._credential_error, self._resolver.error, self._fault]
        errors.append(self._tokens.missing if self._tokens is not None else None)
        errors.append(self._reconciler.error if self._reconciler is not None else None)
        if found := "; ".join(error for error in errors if error):
            return managed(found)
        if self._reconciler is None or not self._reconciler.asked:
            return None
        return managed(home=self._home is not None)
