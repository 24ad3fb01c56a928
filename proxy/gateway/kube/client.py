"""A small asynchronous Kubernetes client: the calls we need and typed errors, nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, Self, cast

import aiohttp

from gateway.core.member_token import BEARER
from gateway.kube.client_config import ClientConfig
from gateway.kube.errors import KubeError, TooLong, Unreachable, error_for
from gateway.kube.resources import SERVICE_ACCOUNT, Resource

Object = Mapping[str, Any]

CALL_SECONDS = 10.0
"""A single call that takes longer has failed: the next attempt is more likely to succeed than this one."""
CONNECT_SECONDS = 5.0
TLS_GOODBYE_SECONDS = 0.05
"""aiohttp closes TLS connections in the background; an event loop that ends before that complains."""
PAGE = 500
"""Objects per list call, the value kubectl and client-go use: bounds what the API server holds for us."""
MAX_EVENT_BYTES = 4 << 20
"""Longest watch line. etcd refuses objects above 1.5 MiB; the rest is encoding."""
MAX_ANSWER_BYTES = 4 << 20
"""Longest answer to a call: an object of the size that etcd takes, or five hundred of 8 KiB. Some four times
as much memory while it is read."""
UNKEPT = {"Connection": "close"}
"""Of calls that may be answered with megabytes, and are rare: lists and watches. A TLS connection that has
read as much has half a MiB of buffers from then on; kept for the next call, all of a pool would in time."""
BRIEF = "application/json;as=Table;g=meta.k8s.io;v=v1, application/json"
"""Accept where only success matters: a row of the table that kubectl prints, instead of the object, which a
tenant may have made as large as etcd takes."""
WITHOUT_OBJECT = {"includeObject": "None"}
"""Query beside BRIEF: else the row carries the object's metadata, where its annotations are."""
MAX_CONTINUE = 4096
"""Characters of the token of a next page; those of Kubernetes have some 200."""
KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
"""A watch can be silent for minutes, so a vanished peer shows only by TCP keepalive: here after 25 s."""


class _Socket(socket.socket):
    """A socket of the event loop's: forgotten, it closes nothing.

    aiohttp closes it until it is connected, the loop from then on. When the peer resets just then, uvloop
    closes the descriptor and forgets to say so here; whoever has got its number since would lose his.
    """

    def __del__(self) -> None:
        self.detach()


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = _Socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


class KubeClient:
    """One API server, one credential. Every method raises KubeError or a subclass, and nothing else."""

    def __init__(self, config: ClientConfig, *, field_manager: str) -> None:
        self._config = config
        self._manager = field_manager
        self._session: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        return self._config.server

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(
            ssl=self._config.ssl or True, limit=32, keepalive_timeout=60, socket_factory=_socket
        )
        self._session = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
            await asyncio.sleep(TLS_GOODBYE_SECONDS)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def list(
        self, resource: Resource, namespace: str | None = None, *, limit: int = PAGE, continue_: str = ""
    ) -> tuple[list[Object], str, str]:
        """One page: objects, the list's resourceVersion, and the token of the next page ("" for none)."""
        query = {"limit": str(limit)} | ({"continue": continue_} if continue_ else {})
        body = await self._call("GET", resource.collection(namespace), query, headers=UNKEPT)
        meta, found = body.get("metadata") or {}, body.get("items") or []
        if not isinstance(meta, dict) or not isinstance(found, list):
            raise KubeError(f"{self.server} answers for {resource.plural} with something else than a list")
        if not all(_is_object(item) for item in found):
            raise KubeError(f"{self.server} lists {resource.plural} that are no objects")
        # Lists leave apiVersion and kind out of their items; everyone downstream wants them.
        items: list[Object] = [
            {**item, "apiVersion": resource.api_version, "kind": resource.kind} for item in found
        ]
        token = str(meta.get("continue") or "")
        if len(token) > MAX_CONTINUE:
            raise KubeError(f"{self.server} continues the list of {resource.plural} with a token too long")
        return items, str(meta.get("resourceVersion") or ""), token

    async def watch(
        self, resource: Resource, namespace: str | None, version: str, seconds: int
    ) -> AsyncGenerator[Mapping[str, Any]]:
        """Events after `version` until the server ends the watch (about `seconds`). ERROR events are raised.

        The first one is ours, of type OPEN: the server has accepted the watch.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=seconds + CALL_SECONDS
        )
        try:
            async with self._request(
                "GET", resource.collection(namespace), query, timeout=timeout, headers=UNKEPT
            ) as response:
                await _check(response)
                try:
                    yield {"type": "OPEN"}
                    async for line in _lines(response.content):
                        yield _event(line, resource)
                finally:
                    # Left early, the connection is of no further use, and a vanished peer would never answer
                    # TLS's goodbye.
                    if response.connection is not None and response.connection.transport is not None:
                        response.connection.transport.abort()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self.server, error) from error

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._call("GET", resource.item(namespace, name))

    async def may_list(self, resource: Resource) -> None:
        """Ask for the shortest list, of all namespaces. Whether it is answered is all that is told."""
        await self._brief("GET", resource.collection(None), {"limit": "1"})

    async def create(self, resource: Resource, namespace: str, body: Object) -> None:
        """POST: Conflict when there is one already, whoever made it."""
        await self._brief("POST", resource.collection(namespace), {"fieldManager": self._manager}, body)

    async def apply(
        self, resource: Resource, namespace: str, name: str, body: Object, *, status: bool = False
    ) -> None:
        """Server-side apply, taking over fields others own. With `status`, of the status subresource."""
        path = resource.item(namespace, name) + ("/status" if status else "")
        query = {"fieldManager": self._manager, "force": "true"}
        await self._brief("PATCH", path, query, body, content="application/apply-patch+yaml")

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, status: bool = False
    ) -> None:
        """JSON merge patch. With metadata.resourceVersion in it: Conflict if the object changed since.

        With `status`, of the status subresource.
        """
        path = resource.item(namespace, name) + ("/status" if status else "")
        query = {"fieldManager": self._manager}
        await self._brief("PATCH", path, query, patch, content="application/merge-patch+json")

    async def request_token(self, namespace: str, account: str, seconds: float) -> tuple[str, int]:
        """A token of a ServiceAccount (TokenRequest), and for how many seconds the server grants it."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": int(seconds)},
        }
        answer = await self._call(
            "POST",
            f"{SERVICE_ACCOUNT.item(namespace, account)}/token",
            body=body,
            headers={"Content-Type": "application/json"},
        )
        status, spec = answer.get("status"), answer.get("spec")
        text = status.get("token") if isinstance(status, dict) else None
        granted = spec.get("expirationSeconds") if isinstance(spec, dict) else None
        if not isinstance(text, str) or not BEARER.fullmatch(text) or not isinstance(granted, int):
            raise KubeError(f"{self.server} answers a TokenRequest for {namespace}/{account} without a token")
        return text, min(granted, int(seconds))

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete; with `uid` only that very object (Conflict otherwise). NotFound when it is gone already."""
        body: dict[str, Any] = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
        }
        body |= {"preconditions": {"uid": uid}} if uid else {}
        await self._brief("DELETE", resource.item(namespace, name), {}, body)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        timeout: aiohttp.ClientTimeout,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.client._RequestContextManager:
        if self._session is None:
            raise RuntimeError("KubeClient is used outside `async with`")
        fields = {"Accept": "application/json", "User-Agent": self._manager, **(headers or {})}
        if token := self._config.bearer():
            fields["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else None
        return self._session.request(
            method,
            self.server + path,
            params=query,
            headers=fields,
            data=data,
            timeout=timeout,
            allow_redirects=False,
            server_hostname=self._config.server_name,
        )

    async def _brief(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        *,
        content: str = "application/json",
    ) -> None:
        """A call whose answer says no more than that it was good."""
        headers = {"Accept": BRIEF} | ({"Content-Type": content} if body is not None else {})
        await self._call(method, path, {**query, **WITHOUT_OBJECT}, body, headers=headers)

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._request(
                method, path, query or {}, timeout=timeout, body=body, headers=headers
            ) as response:
                await _check(response)
                answer = json.loads(await _whole(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self.server, error) from error
        except (ValueError, RecursionError) as error:
            raise KubeError(f"{self.server}{path} did not answer in JSON") from error
        if not isinstance(answer, dict):
            raise KubeError(f"{self.server}{path} did not answer with an object")
        return cast("Object", answer)


def _text(raw: Any, otherwise: str) -> str:
    """What a server says, if it is text: anything else may be too deep to be written."""
    return raw if isinstance(raw, str) and raw else otherwise


def _is_object(raw: Any) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("metadata"), dict)


async def _whole(response: aiohttp.ClientResponse) -> bytearray:
    """The body. KubeError when it is longer than any answer should be."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise TooLong(f"{response.url.path} answers with more than {MAX_ANSWER_BYTES} bytes")
    return body


async def _lines(stream: aiohttp.StreamReader) -> AsyncGenerator[bytearray]:
    """Whole lines, without their ends and without empty ones."""
    buffer = bytearray()
    async for chunk in stream.iter_any():
        buffer += chunk
        if b"\n" in chunk:
            *lines, buffer = buffer.split(b"\n")
            for line in filter(None, lines):
                yield line
        if len(buffer) > MAX_EVENT_BYTES:
            raise KubeError(f"a watch event is longer than {MAX_EVENT_BYTES} bytes")


def _event(line: bytes | bytearray, resource: Resource) -> Mapping[str, Any]:
    """One event. Its object is what was asked for, whatever the server calls it."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise KubeError("a watch event is not JSON") from error
    obj = event.get("object") if isinstance(event, dict) else None
    if not isinstance(obj, dict):
        raise KubeError("a watch event has no object")
    if event.get("type") == "ERROR":
        code = obj.get("code")
        message = _text(obj.get("message"), line[:500].decode(errors="replace"))[:500]
        raise error_for(code if isinstance(code, int) else 0, _text(obj.get("reason"), ""), message)
    if not _is_object(obj):
        raise KubeError("a watch event has an object without metadata")
    return {**event, "object": {**obj, "apiVersion": resource.api_version, "kind": resource.kind}}


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 300:
        return
    text = (await response.content.read(64 << 10)).decode(errors="replace")
    reason, message = "", text[:500]
    with suppress(ValueError, RecursionError):  # a proxy in between answers in HTML; its text is the message
        status = json.loads(text)
        if isinstance(status, dict):
            reason, message = _text(status.get("reason"), ""), _text(status.get("message"), message)
    raise error_for(response.status, reason, message or f"HTTP {response.status}")


def _unreachable(server: str, error: BaseException) -> Unreachable:
    what = "timed out" if isinstance(error, asyncio.TimeoutError) else (str(error) or type(error).__name__)
    return Unreachable(f"{server}: {what}")
