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


class ApiError(Exception):
    """The API server said no: HTTP `code`, Kubernetes `reason`, and its own message."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
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
        root = "api" if "/" not in self.api_version else "apis"
        middle = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"/{root}/{self.api_version}{middle}/{self.plural}" + (f"/{name}" if name else "")


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
        known = self._kinds.get(api_version, {})
        if kind not in known:
            known = await self._discover(api_version)
            if kind not in known:
                raise NoKindError(api_version, kind)
        return known[kind]

    async def _discover(self, api_version: str) -> dict[str, Kind]:
        root = "api" if "/" not in api_version else "apis"
        try:
            listing = await self.request("GET", f"/{root}/{api_version}")
        except ApiError as error:
            if error.code == 404:
                return {}
            raise
        found = {
            entry["kind"]: Kind(api_version, entry["kind"], entry["name"], entry["namespaced"])
            for entry in listing.get("resources") or []
            if "/" not in entry["name"]
        }
        self._kinds[api_version] = found
        return found

    def forget_kinds(self) -> None:
        """Ask the server anew about all kinds but the core ones."""
        self._kinds = {version: kinds for version, kinds in self._kinds.items() if version == "v1"}

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """One object; ApiError 404 when it is not there."""
        result: dict[str, Any] = await self.request("GET", kind.path(namespace, name))
        return result

    async def list(self, api_version: str, kind: str, namespace: str, **params: str) -> list[dict[str, Any]]:
        """The objects of a kind in a namespace, by selectors; [] when this kind is not served."""
        try:
            served = await self.kind(api_version, kind)
            return list((await self.request("GET", served.path(namespace), params=params)).get("items") or [])
        except (ApiError, NoKindError):
            return []

    async def create(self, kind: Kind, body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """POST an object under the field manager of plain creates."""
        params = {"fieldManager": "pulumi-kubernetes", **({"dryRun": "All"} if dry_run else {})}
        path = kind.path(_namespace(body))
        result: dict[str, Any] = await self.request("POST", path, params=params, body=body)
        return result

    async def apply(
        self, kind: Kind, body: dict[str, Any], *, manager: str, force: bool, dry_run: bool
    ) -> dict[str, Any]:
        """Server-side apply."""
        params = {
            "fieldManager": manager,
            "force": str(force).lower(),
            **({"dryRun": "All"} if dry_run else {}),
        }
        path = kind.path(_namespace(body), body["metadata"]["name"])
        result: dict[str, Any] = await self.request(
            "PATCH", path, params=params, body=body, content_type=APPLY
        )
        return result

    async def replace(
        self, kind: Kind, body: dict[str, Any], before: dict[str, Any], *, manager: str, dry_run: bool
    ) -> dict[str, Any]:
        """PUT an object in the place of the version `before`."""
        meta = {**body["metadata"], "resourceVersion": before["metadata"]["resourceVersion"]}
        params = {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}
        path = kind.path(_namespace(body), meta["name"])
        result: dict[str, Any] = await self.request(
            "PUT", path, params=params, body={**body, "metadata": meta}
        )
        return result


def _namespace(body: dict[str, Any]) -> str:
    return body.get("metadata", {}).get("namespace") or "default"


def _api_error(code: int, text: str) -> ApiError:
    try:
        status = json.loads(text)
    except ValueError:
        return ApiError(code, "", text.strip() or f"HTTP status {code}")
    return ApiError(code, status.get("reason") or "", status.get("message") or text, status.get("details"))


async def probe(client: Client) -> str:
    """Why the cluster cannot be used, or "" when it answers."""
    try:
        await client.kind("v1", "Pod")
    except (TimeoutError, OSError, aiohttp.ClientError, ApiError, NoKindError) as error:
        return f"unable to load schema information from the API server: {error or type(error).__name__}"
    return ""
