"""A small Kubernetes API client: discovery, typed errors, plain JSON objects."""

import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from airgap.plugins.kubernetes.access import Access

_CONNECT_SECONDS = 30.0
_TOTAL_SECONDS = 120.0
_JSON = "application/json"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"

Object = dict[str, Any]


class ApiError(Exception):
    """The API server said no: HTTP `code`, its own message and details."""

    def __init__(self, code: int, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}


class UnreachableError(OSError):
    """The API server did not answer."""


class NoKindError(Exception):
    """The API server serves no such kind (yet)."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f'no matches for kind "{kind}" in version "{api_version}"')


@dataclass(frozen=True)
class Kind:
    """How a kind is served."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """The URL path of a collection or, with a name, of one object."""
        middle = f"/namespaces/{namespace or 'default'}" if self.namespaced else ""
        return f"{_root(self.api_version)}{middle}/{self.plural}" + (f"/{name}" if name else "")


def _root(api_version: str) -> str:
    return f"/{'apis' if '/' in api_version else 'api'}/{api_version}"


@dataclass
class Client:
    """One API server. Make it inside a running event loop; close it at the end."""

    access: Access
    _kinds: dict[str, dict[str, Kind]] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = _JSON,
    ) -> Any:
        """One call; answers the parsed JSON. Raises ApiError or UnreachableError."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self.access.tls or True, limit=0),
                timeout=aiohttp.ClientTimeout(total=_TOTAL_SECONDS, sock_connect=_CONNECT_SECONDS),
                headers={**self.access.headers, "Accept": _JSON, "User-Agent": "pulumi-kubernetes"},
            )
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(
                method,
                self.access.server + path,
                params=params,
                data=data,
                headers={"Content-Type": content_type} if data is not None else None,
                server_hostname=self.access.tls_server_name,
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnreachableError(f"{method} {self.access.server}{path}: {error or 'timed out'}") from error
        if response.status >= 400:
            raise _api_error(response.status, text)
        return json.loads(text) if text else {}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def kind(self, api_version: str, kind: str) -> Kind:
        """Look a kind up; a miss asks the server again, for a definition may just have been made."""
        if kind not in self._kinds.get(api_version, {}):
            self._kinds[api_version] = await self._discover(api_version)
        if kind not in self._kinds[api_version]:
            raise NoKindError(api_version, kind)
        return self._kinds[api_version][kind]

    async def _discover(self, api_version: str) -> dict[str, Kind]:
        try:
            listing = await self.request("GET", _root(api_version))
        except ApiError as error:
            if error.code == 404:
                return {}
            raise
        return {
            entry["kind"]: Kind(api_version, entry["kind"], entry["name"], entry["namespaced"])
            for entry in listing.get("resources") or []
            if "/" not in entry["name"]
        }

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, None when it is not there."""
        try:
            return dict(await self.request("GET", kind.path(namespace, name)))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, api_version: str, kind: str, namespace: str, **params: str) -> list[Object]:
        """The objects of a kind in a namespace, by selectors; [] when this kind is not served."""
        try:
            served = await self.kind(api_version, kind)
            return list((await self.request("GET", served.path(namespace), params=params)).get("items") or [])
        except (ApiError, NoKindError):
            return []

    async def create(self, kind: Kind, body: Object, *, dry_run: bool) -> Object:
        """POST an object under the field manager of plain creates."""
        params = {"fieldManager": "pulumi-kubernetes", **({"dryRun": "All"} if dry_run else {})}
        path = kind.path(body["metadata"].get("namespace", ""))
        return dict(await self.request("POST", path, params=params, body=body))

    async def apply(self, kind: Kind, body: Object, *, manager: str, force: bool, dry_run: bool) -> Object:
        """Server-side apply."""
        params = {"fieldManager": manager, "force": str(force).lower()}
        params |= {"dryRun": "All"} if dry_run else {}
        path = kind.path(body["metadata"].get("namespace", ""), body["metadata"]["name"])
        return dict(await self.request("PATCH", path, params=params, body=body, content_type=APPLY))


def _api_error(code: int, text: str) -> ApiError:
    try:
        status = json.loads(text)
    except ValueError:
        return ApiError(code, text.strip() or f"HTTP status {code}")
    return ApiError(code, status.get("message") or text, status.get("details"))
