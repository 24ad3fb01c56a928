"""The Secrets and the Peer by which a cluster's own certificate authority stands in the cluster.

The CA's key is in one Secret of the gateways' namespace, which the controller alone reads; the gateways'
certificate is in another, which is mounted into their pods. The cluster's own Peer tells the hub which roots
others are to trust, and is told by it which of them all of them do.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.core.authority import DEFAULT_LIFETIMES, Authority, Lifetimes, advance, begin
from gateway.core.certificates import CertificateError, Leaf, pem_of, read_leaf, read_roots
from gateway.core.issuing import Issuer, issue, read_issuer
from gateway.core.objects import (
    CONTROLLER,
    FLOMESH,
    MANAGED_BY,
    Object,
    key_of,
    section,
    spec_of,
    texts,
    version_of,
)
from gateway.kube.acknowledgement import Loaded
from gateway.kube.client import KubeClient
from gateway.kube.errors import KubeError, NotFound
from gateway.kube.peer_objects import is_hub_peer, peer_name
from gateway.kube.resources import PEER, SECRET, Resource

CA_SECRET = "gateway-ca"  # noqa: S105  a name
CERTIFICATE_SECRET = "gateway-certificate"  # noqa: S105  a name
OWN_CA_SECRET = "gateway-own-ca"  # noqa: S105  a name
"""A CA of the user's, as cert-manager keeps one: read, and never written."""
ROUND_SECONDS = 10.0
"""How often it is looked whether something is due, which means four reads."""
SOON_SECONDS = 1.0
"""The same while others wait: gateways have no certificate yet, or do not trust all that they are to."""

FOLLOWING, RETIRED, RETIRED_UNTIL = "following", "retired.crt", "retired-until"
TLS = "kubernetes.io/tls"

log = logging.getLogger(__name__)


def encode(authority: Authority) -> dict[str, bytes | None]:
    """Data of the CA's Secret. None: not there."""
    following = authority.following
    return {
        "tls.crt": authority.current.pem,
        "tls.key": authority.current.key_pem,
        f"{FOLLOWING}.crt": following.pem if following is not None else None,
        f"{FOLLOWING}.key": following.key_pem if following is not None else None,
        RETIRED: pem_of(authority.retired) if authority.retired is not None else None,
        RETIRED_UNTIL: (
            authority.retired_until.isoformat().encode() if authority.retired_until is not None else None
        ),
    }


def decode(
    data: Mapping[str, bytes], leaf: Leaf | None, cluster_key: str, first: Callable[[Issuer], Leaf]
) -> Authority:
    """What the Secret holds. CertificateError says why it is no CA of this cluster; it is never replaced.

    `leaf`: the gateways' certificate; `first` issues one where there is none.
    """
    current = read_issuer(data.get("tls.crt", b""), data.get("tls.key", b""), cluster_key)
    following = retired = until = None
    if f"{FOLLOWING}.crt" in data:
        following = read_issuer(data[f"{FOLLOWING}.crt"], data.get(f"{FOLLOWING}.key", b""), cluster_key)
    if RETIRED in data:
        retired = read_roots(data[RETIRED].decode(errors="replace"), cluster_key)[0]
        until = _time(data.get(RETIRED_UNTIL, b"").decode(errors="replace"))
    return Authority(current, leaf or first(current), following, retired, until)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CertificateError(
            f"{RETIRED_UNTIL} {text!r} is no time with a zone, as 2026-01-02T03:04:05+00:00"
        )
    return found


def own_peer(cluster_key: str, authority: Authority, *, listening: bool) -> dict[str, Any]:
    """The Peer by which a cluster says its own roots, and whether all its gateways listen for others."""
    roots = [pem_of(root).decode() for root in authority.roots]
    return {
        "apiVersion": FLOMESH,
        "kind": PEER.kind,
        "metadata": {"name": peer_name(cluster_key), "labels": {MANAGED_BY: CONTROLLER}},
        "spec": {"clusterKey": cluster_key, "roots": roots, "listening": listening},
    }


class AuthorityKeeper:
    """Keeps a cluster's authority where it should be, as long as `run` runs."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        cluster_key: str,
        loaded: Callable[[], Awaitable[Loaded | None]],
        *,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
        announced: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`namespace`: that of the gateways. `loaded`: what all of them have, None while that is not known.
        `announced`: other clusters are told that these gateways listen, when they do; else no more, once all
        of them serve others over plain HTTP. `clock` tells the time,
        with its zone.
        """
        self._client = client
        self._namespace = namespace
        self._key = cluster_key
        self._loaded = loaded
        self._lifetimes = lifetimes
        self._announced = announced
        self._clock = clock
        self._error = self._own_error = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            settled = True
            try:
                settled = await self.keep()
                self._error = ""
            except (KubeError, CertificateError) as error:
                if str(error) != self._error:  # once per cause
                    self._error = str(error)
                    log.error("the certificate authority of %s: %s", self._key, error)  # noqa: TRY400
            await asyncio.sleep(ROUND_SECONDS if settled else SOON_SECONDS)

    async def keep(self) -> bool:
        """Do what is due; whether nobody waits for more. KubeError when something cannot be read or written,
        to be tried again."""
        now = self._clock()
        ca, certificate = await self._read(CA_SECRET), await self._read(CERTIFICATE_SECRET)
        peer = await self._get(PEER, "", peer_name(self._key))
        own = self._own(await self._read(OWN_CA_SECRET), now)
        if ca is None:
            after = begin(self._key, now, self._lifetimes, given=own)
            log.info("%s has a new certificate authority", self._key)
        else:
            first = partial(self._first, now)
            before = decode(_data(ca), self._leaf(certificate), self._key, first)
            known = texts(section(peer, "status"), "known")
            after = advance(before, self._key, now, known, self._lifetimes, given=own)
        # In this order: whatever is used was kept and published before.
        await self._write(CA_SECRET, "Opaque", ca, encode(after))
        loaded = await self._loaded()
        if loaded is None:
            listening = spec_of(peer or {}).get("listening") is True
        else:
            listening = loaded.certificate and (self._announced or loaded.closed)
        await self._publish(peer, own_peer(self._key, after, listening=listening))
        await self._write(
            CERTIFICATE_SECRET, TLS, certificate, {"tls.crt": after.leaf.chain, "tls.key": after.leaf.key}
        )
        return loaded is not None and await self._acknowledge(loaded) and loaded.certificate

    async def _acknowledge(self, loaded: Loaded) -> bool:
        """Say in the Peers of other clusters which of their roots all gateways here trust, and where they ask
        them over TLS. Whether there are others, each of which is trusted by some root, and asked where it is
        said to listen.
        """
        listed, _, _ = await self._client.list(PEER)
        peers = list(filter(is_hub_peer, listed))
        settled = bool(peers)
        for peer in peers:
            key, before = str(spec_of(peer).get("clusterKey")), section(peer, "status")
            listens = section(spec_of(peer), "gateway")
            said = {"trusted": sorted(loaded.roots.get(key, ())), "asked": loaded.asked.get(key)}
            if (texts(before, "trusted"), before.get("asked")) != (said["trusted"], said["asked"]):
                await self._client.merge(PEER, *key_of(peer), {"status": said}, status=True)
            settled = settled and bool(said["trusted"]) and bool(said["asked"] or not listens)
        return settled

    def _own(self, secret: Object | None, now: datetime) -> Issuer | None:
        """The user's CA; None while there is none that can issue, and then what is there goes on."""
        if secret is None:
            return None
        data = _data(secret)
        try:
            found = read_issuer(data.get("tls.crt", b""), data.get("tls.key", b""), self._key)
            if now >= (ended := found.certificate.not_valid_after_utc):
                raise CertificateError(f"it has ended at {ended.isoformat()}")  # noqa: TRY301
        except CertificateError as error:
            if str(error) != self._own_error:  # once per cause
                self._own_error = str(error)
                where = f"{self._namespace}/{OWN_CA_SECRET}"
                log.error("the CA in Secret %s is not used: %s", where, error)  # noqa: TRY400
            return None
        self._own_error = ""
        return found

    def _first(self, now: datetime, issuer: Issuer) -> Leaf:
        return issue(issuer, self._key, now, self._lifetimes.leaf)

    def _leaf(self, secret: Object | None) -> Leaf | None:
        """The gateways' certificate; None, and a new one is made, when there is none that can be used."""
        if secret is None:
            return None
        data = _data(secret)
        try:
            return read_leaf(data.get("tls.crt", b""), data.get("tls.key", b""), self._key)
        except CertificateError as error:
            log.warning("Secret %s/%s is made again: %s", self._namespace, CERTIFICATE_SECRET, error)
            return None

    async def _read(self, name: str) -> Object | None:
        return await self._get(SECRET, self._namespace, name)

    async def _get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        try:
            return await self._client.get(resource, namespace, name)
        except NotFound:
            return None

    async def _write(
        self, name: str, kind: str, existing: Object | None, data: Mapping[str, bytes | None]
    ) -> None:
        wanted = {key: value for key, value in data.items() if value is not None}
        encoded = {key: b64encode(value).decode() for key, value in wanted.items()}
        if existing is None:
            metadata = {"name": name, "namespace": self._namespace, "labels": {MANAGED_BY: CONTROLLER}}
            body = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": encoded}
            await self._client.create(SECRET, self._namespace, body)
        elif _data(existing) != wanted:
            gone = dict.fromkeys(section(existing, "data").keys() - encoded.keys())
            patch = {"metadata": {"resourceVersion": version_of(existing)}, "data": {**encoded, **gone}}
            await self._client.merge(SECRET, self._namespace, name, patch)

    async def _publish(self, existing: Object | None, wanted: dict[str, Any]) -> None:
        name = wanted["metadata"]["name"]
        if existing is None:
            await self._client.create(PEER, "", wanted)
        elif dict(spec_of(existing)) != wanted["spec"]:
            metadata = {"resourceVersion": version_of(existing), "labels": wanted["metadata"]["labels"]}
            await self._client.merge(PEER, "", name, {"metadata": metadata, "spec": wanted["spec"]})


def _data(secret: Object) -> dict[str, bytes]:
    """The data of a Secret, without what is not base64."""
    found: dict[str, bytes] = {}
    for name, value in section(secret, "data").items():
        try:
            found[name] = b64decode(str(value), validate=True)
        except ValueError:
            continue
    return found
