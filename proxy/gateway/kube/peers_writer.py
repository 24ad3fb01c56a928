"""Writes the hub's Peers into one cluster, and tells it which of its own roots all others know."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from gateway.core.objects import Key, Object, covers, section, spec_of, uid_of, version_of
from gateway.kube.client import KubeClient
from gateway.kube.errors import Conflict, Invalid, KubeError, NotFound
from gateway.kube.peer_objects import is_hub_peer
from gateway.kube.resources import PEER
from gateway.kube.watch import Informer

log = logging.getLogger(__name__)


class PeersWriter:
    """Of one cluster, whose Peers `informer` follows."""

    def __init__(self, name: str, client: KubeClient, informer: Informer) -> None:
        self._name = name
        self._client = client
        self._informer = informer
        self._refused: dict[Key, Mapping[str, Any]] = {}
        """Bodies that the API server did not accept, so as not to send the same again and again."""

    async def bring_about(
        self, wanted: Mapping[Key, Mapping[str, Any]] | None, own: Key, said: Mapping[str, Any]
    ) -> bool:
        """One round of writes; None is left as it is. `said`: of the cluster's own Peer, in its status. False
        when something is left to try again."""
        done = True
        existing = dict(self._informer.objects)
        for key, body in (wanted or {}).items():
            before = existing.get(key)
            if self._refused.get(key) != body and not _same(before, body):
                done = await self._try(key, self._put(key, body, before), body) and done
        for key, before in existing.items():
            if wanted is not None and is_hub_peer(before) and key not in wanted:
                done = await self._try(key, self._client.delete(PEER, *key, uid=uid_of(before))) and done
        peer = existing.get(own)
        if peer is not None and not covers(section(peer, "status"), said):
            call = self._client.merge(PEER, *own, {"status": dict(said)}, status=True)
            done = await self._try(own, call) and done
        return done

    async def withdraw(self) -> None:
        """Take back every Peer of the hub. KubeError when that cannot be done."""
        peers, _, _ = await self._client.list(PEER)
        for peer in filter(is_hub_peer, peers):
            await self._client.delete(PEER, "", str(peer["metadata"]["name"]), uid=uid_of(peer))

    async def _put(self, key: Key, body: Mapping[str, Any], before: Object | None) -> None:
        if before is None:
            await self._client.create(PEER, "", body)
        elif is_hub_peer(before):
            spec = {"gateway": None, **body["spec"]}
            metadata = {"resourceVersion": version_of(before)}
            await self._client.merge(PEER, *key, {"metadata": metadata, "spec": spec})

    async def _try(self, key: Key, call: Any, body: Mapping[str, Any] | None = None) -> bool:
        try:
            await call
        except NotFound:
            return True
        except Conflict:
            return False  # changed by someone else meanwhile: the watch tells, then decide again
        except Invalid as error:
            log.warning("%s: Peer %s is refused: %s", self._name, key[1], error)
            if body is not None:
                self._refused[key] = body
            return True
        except KubeError as error:
            log.warning("%s: Peer %s: %s", self._name, key[1], error)
            return False
        return True


def _same(existing: Object | None, wanted: Mapping[str, Any]) -> bool:
    return existing is not None and (not is_hub_peer(existing) or dict(spec_of(existing)) == wanted["spec"])
