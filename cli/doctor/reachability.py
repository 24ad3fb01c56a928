"""What a cluster's pods reach: names, other clusters' gateways, state stores; asked from a gateway pod."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cli.observe.api import Api, ApiError
from cli.observe.services import cluster_set_names
from cli.observe.view import (
    GATEWAY,
    SYSTEM,
    ClusterView,
    Platform,
    key_of,
    meta,
    spec,
)

ANSWER_SECONDS = 2.5
"""Patience of all questions together, which are asked at once."""
EXEC_SECONDS = 8.0
SELF = "kubernetes.default"
"""A name every cluster knows: when it does not resolve either, DNS itself is at fault."""

# Runs in the gateway's image, which has Python and nothing else. `OPTIONS *` is answered by the gateway
# itself whatever paths are exported; an inline PING is answered by Redis, with an error before login.
SCRIPT = """
import json, os, socket, sys, threading, time
names, addresses, gateways, stores, seconds = json.loads(sys.argv[1])
def resolve(name):
    found = {entry[4][0] for entry in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)}
    wanted = addresses.get(name)
    return "" if wanted in (None, *found) else "is %s, not %s" % (", ".join(sorted(found)), wanted)
def ask(text, line):
    host, _, port = text.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), seconds) as link:
        link.settimeout(seconds)
        link.sendall(line)
        answer = link.recv(200)
    return "" if answer else "closes the connection without an answer"
def http(text):
    return ask(text, b"OPTIONS * HTTP/1.1\\r\\nHost: doctor\\r\\nConnection: close\\r\\n\\r\\n")
def redis(text):
    return ask(text, b"PING\\r\\n")
found = {}
def run(kind, question, text):
    try:
        found[kind][text] = question(text)
    except OSError as error:
        found[kind][text] = error.strerror or str(error) or "no answer"
threads = []
questions = ("names", resolve, names), ("gateways", http, gateways), ("stores", redis, stores)
for kind, question, texts in questions:
    found[kind] = {text: "no answer within %g s" % seconds for text in texts}
    threads += [threading.Thread(target=run, args=(kind, question, text), daemon=True) for text in texts]
until = time.monotonic() + seconds
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(max(0, until - time.monotonic()))
print(json.dumps(found), flush=True)
os._exit(0)
"""


@dataclass(frozen=True, kw_only=True)
class Reachability:
    """Answers by what was asked: an empty text is a good one, else it says what went wrong.

    `error` says why nobody could be asked; then nothing is known.
    """

    error: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    gateways: Mapping[str, str] = field(default_factory=dict)
    stores: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What one cluster is asked."""

    names: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    """What a name has to resolve to, where that is known."""
    gateways: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()


def questions(view: ClusterView) -> Questions:
    """What follows from a cluster's own objects."""
    services = [key_of(obj) for kind in ("ServiceImport", "ServiceExport") for obj in view.all(kind)]
    gateways = {
        address for found in view.all("ServiceImport") for address in import_addresses(found).values()
    }
    stores = {store_address(component) for component in view.all("Component")}
    addresses = cluster_set_names(view)
    return Questions(
        names=tuple(sorted({SELF, *addresses, *(f"{name}.{namespace}" for namespace, name in services)})),
        addresses=addresses,
        gateways=tuple(sorted(gateways)),
        stores=tuple(sorted(stores - {""})),
    )


def import_addresses(imported: Mapping[str, object]) -> dict[str, str]:
    """host:port of each exporting cluster's gateway, by cluster key."""
    return {
        str(endpoint.get("clusterKey")): f"{endpoint['target'].get('ip')}:{endpoint['target'].get('port')}"
        for port in spec(imported).get("ports") or []
        for endpoint in port.get("endpoints") or []
        if isinstance(endpoint.get("target"), dict)
    }


def store_address(component: Mapping[str, object]) -> str:
    """host:port of the Redis a Dapr component names; empty for other kinds."""
    if not str(spec(component).get("type")).endswith(".redis"):
        return ""
    entries = spec(component).get("metadata") or []
    return next((str(entry.get("value") or "") for entry in entries if entry.get("name") == "redisHost"), "")


async def ask_all(platform: Platform, apis: Mapping[str, Api]) -> dict[str, Reachability]:
    """What each cluster's pods reach, by the cluster's name; all are asked at once."""
    views = platform.clusters
    reached = await asyncio.gather(*(_ask(view, apis.get(view.name)) for view in views))
    return {view.name: found for view, found in zip(views, reached, strict=True)}


async def _ask(view: ClusterView, api: Api | None) -> Reachability:
    if view.error or api is None:
        return Reachability(error=view.error or "not asked")
    pods = view.ready_pods(SYSTEM, {"app": GATEWAY})
    if unseen := view.unseen("Pod", SYSTEM):
        return Reachability(error=f"the gateway's pods {unseen}")
    if not pods:
        return Reachability(error="no gateway pod is ready to ask from")
    asked = questions(view)
    words = json.dumps([asked.names, asked.addresses, asked.gateways, asked.stores, ANSWER_SECONDS])
    pod = str(meta(pods[0])["name"])
    argv = ("exec", "-n", SYSTEM, pod, "-c", GATEWAY, "--", "python3", "-c", SCRIPT, words)
    try:
        found: dict[str, dict[str, str]] = json.loads(await api.execute(*argv, timeout=EXEC_SECONDS))
    except (ApiError, ValueError) as error:
        return Reachability(error=f"cannot ask from {pod}: {error}")
    return Reachability(names=found["names"], gateways=found["gateways"], stores=found["stores"])
