"""Objects as data: tokens, names, canonical inputs, state, and the comparison of old and new."""

import base64
from typing import Any

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import Failure, Request
from airgap.plugins.base.values import (
    UNKNOWN,
    Path,
    Secret,
    copy_secrets,
    drop_nulls,
    has_unknown,
    map_keys,
    plain,
    random_suffix,
)
from airgap.plugins.kubernetes.kinds import replacements

AUTONAMED = "pulumi.com/autonamed"
_STATE_KEYS = ("__inputs", "__initialApiVersion", "__fieldManager")
_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
_EXTENSIONS = (
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)
_TO_UNDERSCORE = {name: name.replace("-", "_") for name in _EXTENSIONS}
_TO_DASH = {underscore: dash for dash, underscore in _TO_UNDERSCORE.items()}


def group_version_kind(token: str, object_kind: str = "") -> tuple[str, str, bool]:
    """apiVersion, kind and whether it is a Patch type, from a type token `kubernetes:<group/version>:<Kind>`.

    `object_kind` settles what a kind is whose own name ends in "Patch".
    """
    _, version, kind = token.split(":", 2)
    patch = kind.endswith("Patch") and kind not in ("Patch", object_kind)
    group, _, bare = version.rpartition("/")
    api_version = bare if group in ("", "core") else f"{group}/{bare}"
    return api_version, kind.removesuffix("Patch") if patch else kind, patch


def dashed(values: Any) -> Any:
    """Schema extension keys as Kubernetes spells them."""
    return map_keys(values, lambda key: _TO_DASH.get(key, key))


def underscored(values: Any) -> Any:
    """Schema extension keys as the SDKs spell them."""
    return map_keys(values, lambda key: _TO_UNDERSCORE.get(key, key))


def metadata(values: dict[str, Any]) -> dict[str, Any]:
    """An object's metadata, {} when there is none or it is unknown."""
    found = plain(values.get("metadata"))
    return found if isinstance(found, dict) else {}


def annotation(values: dict[str, Any], name: str) -> str:
    """One annotation, "" when absent or unknown."""
    annotations = metadata(values).get("annotations")
    value = annotations.get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""


def object_id(values: dict[str, Any]) -> str:
    """ "namespace/name", or "name" for what has no namespace."""
    meta = metadata(values)
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta.get("name", ""))


def canonical_inputs(values: dict[str, Any]) -> dict[str, Any]:
    """Plain inputs less server-set metadata, Secret `stringData` merged into `data`, CRD noise gone."""
    values = dict(values)
    if isinstance(values.get("metadata"), dict):
        values["metadata"] = {key: item for key, item in values["metadata"].items() if key not in _READ_ONLY}
    if values.get("kind") == "Secret" and not has_unknown(values):
        texts = (values.pop("stringData", None) or {}).items()
        data = {**(values.pop("data", None) or {})}
        data |= {key: base64.b64encode(text.encode()).decode() for key, text in texts}
        values |= {"data": data} if data else {}
    if values.get("kind") == "CustomResourceDefinition":
        values.pop("status", None)
    return values


def assign_name(
    request: Request, values: dict[str, Any], old: dict[str, Any]
) -> tuple[dict[str, Any], list[Failure]]:
    """Give an object its automatic name, or keep the one it got before."""
    meta = values.get("metadata")
    meta = {} if meta is None or meta is UNKNOWN else dict(meta)
    if meta.get("name") not in (None, ""):
        return values, []
    if meta.get("generateName"):
        reason = "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
        return values, [Failure("metadata.generateName", reason)]
    if old:
        if annotation(old, AUTONAMED) != "true":
            return values, []
        meta["name"] = metadata(old)["name"]
    elif request.autonaming_disabled:
        reason = "autonaming is disabled, resource requires the .metadata.name field to be set"
        return values, [Failure("metadata.name", reason)]
    else:
        meta["name"] = request.proposed_name or f"{request.name}-{random_suffix(request.seed, 8)}"
    if meta.get("annotations") is not UNKNOWN:
        meta["annotations"] = {**(meta.get("annotations") or {}), AUTONAMED: "true"}
    return {**values, "metadata": meta}, []


def mark_secrets(source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """`target` as secret as `source`; the data of a Secret always is."""
    target = copy_secrets(source, target)
    hidden = ("data", "stringData") if target.get("kind") == "Secret" else ()
    return {key: Secret(plain(item)) if key in hidden else item for key, item in target.items()}


def checkpoint(
    inputs: dict[str, Any], live: dict[str, Any], source: dict[str, Any], api_version: str, manager: str
) -> dict[str, Any]:
    """What the state keeps: the live object, secrets marked as in `source`, and what updates need to know."""
    source = underscored(source)
    return {
        **mark_secrets(source, underscored(live)),
        "__inputs": mark_secrets(source, underscored(plain(inputs))),
        "__initialApiVersion": api_version,
        "__fieldManager": manager,
    }


def split_state(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Old inputs and live object, plain, from the state."""
    values = dashed(plain(state))
    live = {key: item for key, item in values.items() if key not in _STATE_KEYS}
    return values.get("__inputs") or {}, live


def prune(source: Any, shape: Any) -> Any:
    """`source` with only the members that `shape` has; lists by index."""
    if isinstance(source, dict) and isinstance(shape, dict):
        return {key: prune(item, shape[key]) for key, item in source.items() if key in shape}
    if isinstance(source, list) and isinstance(shape, list):
        if source and shape and type(source[0]) is not type(shape[0]):
            return source
        return [prune(one, other) for one, other in zip(source, shape, strict=False)]
    return source


def diff_objects(request: Request, *, namespaced: bool, secret_mutable: bool = False) -> Diff:
    """Compare the live object of the state, cut to what the program said, with what it says now."""
    old_inputs, live = split_state(request.state)
    old_inputs = canonical_inputs(old_inputs)
    new = canonical_inputs(dashed(plain(request.inputs)))
    api_version, kind, patch = group_version_kind(request.type, str(new.get("kind", "")))
    fixed_place = (metadata(new).get("namespace") or "") == (metadata(live).get("namespace") or "")
    fixed_name = metadata(new).get("name") == metadata(live).get("name")
    old = _in_namespace(prune(live, old_inputs), namespaced=namespaced)
    new = _in_namespace(new, namespaced=namespaced)
    if metadata(new).get("name") and isinstance(old.get("metadata"), dict):
        old["metadata"]["name"] = metadata(live).get("name")
    old = {"apiVersion": new.get("apiVersion"), "kind": new.get("kind"), **old}
    changes = compare(drop_nulls(old), drop_nulls(new))
    for path in [path for path, change in changes.items() if change == "add"]:
        # The API server drops empty values: one we sent before and that is not there is no change.
        value = _at(new, path)
        if not value and _at(old_inputs, path) == value:
            del changes[path]
    secret_mutable = secret_mutable and new.get("immutable") is not True
    replaces = replacements(changes, api_version, kind, patch=patch, secret_mutable=secret_mutable)
    in_the_way = fixed_place and fixed_name and annotation(new, AUTONAMED) != "true"
    return Diff(changes, replaces, delete_before_replace=bool(replaces) and in_the_way)


def _in_namespace(values: dict[str, Any], *, namespaced: bool) -> dict[str, Any]:
    """With the namespace said where kinds have one, unsaid where they do not."""
    if not isinstance(values.get("metadata"), dict):
        return values
    meta = {key: item for key, item in values["metadata"].items() if key != "namespace"}
    if namespaced:
        meta["namespace"] = values["metadata"].get("namespace") or "default"
    return {**values, "metadata": meta}


def _at(value: Any, path: Path) -> Any:
    """The member at a path, UNKNOWN when there is none."""
    for part in path:
        members = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(members, dict) or part not in members:
            return UNKNOWN
        value = members[part]
    return value
