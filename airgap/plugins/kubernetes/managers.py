"""Field managers: who owns which field of an object under server-side apply."""

from typing import Any

from airgap.plugins.kubernetes.client import JSON_PATCH, ApiError, Client, Kind
from airgap.plugins.kubernetes.objects import metadata

# Earlier managers whose fields are ours by right: plain creates of this provider, and kubectl.
_PREDECESSORS = {
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    ("pulumi-kubernetes", "Update"),
    ("pulumi-resource-kubernetes", "Update"),
}
_HELP = (
    "https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/"
    "managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources"
)


def conflict_text(manager: str, error: ApiError) -> str:
    """The message of an apply conflict."""
    return (
        f"server-side apply field conflict detected, see {_HELP} for troubleshooting help\n"
        f'The resource managed by field manager "{manager}" had an apply conflict: {error}'
    )


def predecessors(live: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of earlier managers: until they are taken over, leaving a field out does not remove it."""
    entries = metadata(live).get("managedFields") or []
    return [entry for entry in entries if _key(entry) in _PREDECESSORS and not entry.get("subresource")]


async def take_over(client: Client, kind: Kind, live: dict[str, Any], manager: str) -> None:
    """Move the fields of earlier managers to ours."""
    old, meta = predecessors(live), metadata(live)
    if not old:
        return
    mine = [entry for entry in meta["managedFields"] if _key(entry) == (manager, "Apply")]
    fields: dict[str, Any] = {}
    for entry in (*mine, *old):
        fields = _union(fields, entry.get("fieldsV1") or {})
    ours = {**(mine or old)[0], "manager": manager, "operation": "Apply", "fieldsV1": fields}
    rest = [entry for entry in meta["managedFields"] if entry not in old and entry not in mine]
    operations = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*rest, ours]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
    ]
    path = kind.path(meta.get("namespace", ""), meta["name"])
    params = {"fieldManager": manager}
    await client.request("PATCH", path, params=params, body=operations, content_type=JSON_PATCH)


async def relinquish(client: Client, kind: Kind, live: dict[str, Any], manager: str) -> None:
    """Give up every field of a manager: an apply that states nothing but the object's identity."""
    meta = {name: value for name in ("name", "namespace") if (value := metadata(live).get(name))}
    bare = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
    await client.apply(kind, bare, manager=manager, force=False, dry_run=False)


def _key(entry: dict[str, Any]) -> tuple[str, str]:
    return str(entry.get("manager")), str(entry.get("operation"))


def _union(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for key, item in other.items():
        merged[key] = _union(merged[key], item) if isinstance(merged.get(key), dict) else item
    return merged
