"""A Kubernetes API of a few lines, in memory and on loopback, for tests without a real one."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Path = tuple[str, str, str]
"""Plural, namespace, name."""
GOOD = "good"


class MiniApi:
    """All kinds, kept in memory; enough of list, watch, create, merge, apply of status and delete."""

    def __init__(self) -> None:
        self.objects: dict[Path, dict[str, Any]] = {}
        self.history: list[tuple[int, str, str, dict[str, Any]]] = []
        self.version = 1
        self.token = GOOD
        self.bootstrap: set[str] = set()
        """What may ask for tokens and do nothing else."""
        self.granted: dict[str, float] = {}
        """Tokens it has given, each with the time it ends."""
        self.callers: Counter[str] = Counter()
        """Requests by User-Agent, which is the field manager."""
        self.refused: set[str] = set()
        """Plurals answered 403."""
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def kubeconfig(self, token: str = GOOD) -> str:
        return json.dumps(
            {
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}],
                "users": [{"name": "it", "user": {"token": token}}],
            }
        )

    async def put(self, plural: str, namespace: str, name: str, **body: Any) -> None:
        before = self.objects.get((plural, namespace, name))
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": before["metadata"]["uid"] if before else f"{name}-{self.version}",
            **body.pop("metadata", {}),
        }
        status = {"status": before["status"]} if before and "status" in before else {}
        await self._store("MODIFIED" if before else "ADDED", plural, {**status, **body, "metadata": metadata})

    async def remove(self, plural: str, namespace: str, name: str) -> None:
        await self._delete(plural, self.objects[plural, namespace, name])

    async def _delete(self, plural: str, obj: dict[str, Any]) -> None:
        """Gone at once, or when the last finalizer is taken off."""
        if obj["metadata"].get("finalizers"):
            metadata = {**obj["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
            await self._store("MODIFIED", plural, {**obj, "metadata": metadata})
        else:
            await self._store("DELETED", plural, obj)

    async def _store(self, kind: str, plural: str, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        path = (plural, obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
        if kind == "DELETED":
            self.objects.pop(path, None)
        else:
            self.objects[path] = obj
        async with self._news:
            self.history.append((self.version, plural, kind, obj))
            self._news.notify_all()
        return obj

    async def _handle(self, request: web.Request) -> web.StreamResponse:  # noqa: PLR0911
        self.callers[request.headers["User-Agent"]] += 1
        parts = request.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        plural, name = parts[0], parts[1] if len(parts) > 1 else ""
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        good = bearer == self.token or self.granted.get(bearer, 0) > time.time()
        if parts[2:] == ["token"] and (good or bearer in self.bootstrap):
            return self._grant((await request.json())["spec"]["expirationSeconds"])
        if not good:
            return _status(401, "who are you")
        if plural in self.refused:
            return _status(403, f"{plural} is forbidden")
        if request.method == "GET" and not name:
            return await self._watch(request, plural) if "watch" in request.query else self._list(plural)
        body = await request.json() if request.can_read_body else {}
        if request.method == "POST":
            return await self._create(plural, namespace, body)
        found = self.objects.get((plural, namespace, name))
        if found is None:
            return _status(404, f"{plural} {name} not found")
        if request.method == "GET":
            return web.json_response(found)
        version = found["metadata"]["resourceVersion"]
        if request.method == "DELETE":
            await self._delete(plural, found)
        elif parts[2:] == ["status"]:
            await self._store("MODIFIED", plural, _patched(found, {"status": body.get("status", {})}))
        elif body.get("metadata", {}).get("resourceVersion", version) != version:
            return _status(409, "the object has been modified")
        else:
            await self._merge(plural, found, body)
        return web.json_response({})

    def _grant(self, seconds: int) -> web.Response:
        token = f"granted-{len(self.granted) + 1}"
        self.granted[token] = time.time() + seconds
        spec = {"expirationSeconds": seconds}
        return web.json_response({"spec": spec, "status": {"token": token}}, status=201)

    async def _merge(self, plural: str, found: dict[str, Any], body: dict[str, Any]) -> None:
        changed = {**found, "metadata": {**found["metadata"], **body.get("metadata", {})}}
        if "data" in body:
            changed["data"] = {**found.get("data", {}), **body["data"]}
        if "spec" in body:
            merged = {**found.get("spec", {}), **body["spec"]}
            changed["spec"] = {name: value for name, value in merged.items() if value is not None}
        if "data" in body:
            merged = {**found.get("data", {}), **body["data"]}
            changed["data"] = {name: value for name, value in merged.items() if value is not None}
        leaves = "deletionTimestamp" in changed["metadata"] and not changed["metadata"].get("finalizers")
        await self._store("DELETED" if leaves else "MODIFIED", plural, changed)

    def _list(self, plural: str) -> web.Response:
        items = [obj for path, obj in self.objects.items() if path[0] == plural]
        return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _create(self, plural: str, namespace: str, body: dict[str, Any]) -> web.Response:
        if plural == "serviceimports" and ("namespaces", "", namespace) not in self.objects:
            return _status(404, f'namespaces "{namespace}" not found')
        metadata = body["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{self.version}"
        if (plural, namespace, name) in self.objects:
            return _status(409, f"{name} already exists")
        created = {**metadata, "name": name, "uid": f"{name}-{self.version}"} | (
            {"namespace": namespace} if namespace else {}
        )
        return web.json_response(await self._store("ADDED", plural, {**body, "metadata": created}))

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        kinds = {"clusters": "Cluster", "serviceexports": "ServiceExport", "serviceimports": "ServiceImport"}
        version = "v1" if plural in {"services", "secrets"} else "flomesh.io/v1alpha1"
        while True:
            async with self._news:
                for at, about, kind, obj in [event for event in self.history if event[0] > seen]:
                    seen = at
                    if about == plural:
                        said = {"apiVersion": version, "kind": kinds.get(plural, plural), **obj}
                        try:
                            await response.write(json.dumps({"type": kind, "object": said}).encode() + b"\n")
                        except ConnectionError:
                            return response
                await self._news.wait()


def _patched(found: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(found) if isinstance(found, dict) else {}
    merged = {**kept, **{name: _patched(kept.get(name), value) for name, value in patch.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


@asynccontextmanager
async def serving(*apis: MiniApi) -> AsyncIterator[None]:
    """They answer while the block lasts, each with the namespace of the demo."""
    for api in apis:
        await api.start()
        await api.put("namespaces", "", "demo")
    yield
    for api in apis:
        await api.stop()
