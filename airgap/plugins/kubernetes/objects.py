"""Objects as data: tokens, names, canonical inputs, state, and the comparison of old and new."""

import base64
from typing import Any

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import Failure, Request, Values
from airgap.plugins.base.values import (
    UNKNOWN,
    Path,
    Secret,
    copy_secrets,
    drop_nulls,
    has_secret,
    has_unknown,
    plain,
    random_suffix,
    rebuilt,
)
from airgap.plugins.kubernetes.kinds import replacements

AUTONAMED = "pulumi.com/autonamed"
_STATE_KEYS = ("__inputs", "__initialApiVersion", "__fieldManager")
_READ_ONLY = (
    *("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation"),
    *("managedFields", "resourceVersion", "uid"),
)


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
    """Schema extension keys (`x-kubernetes-...`) as Kubernetes spells them."""
    return _extensions(values, "_", "-")


def underscored(values: Any) -> Any:
    """Schema extension keys as the SDKs spell them."""
    return _extensions(values, "-", "_")


def _extensions(values: Any, old: str, new: str) -> Any:
    prefix = f"x{old}kubernetes{old}"

    def rename(node: Any) -> Any:
        if not isinstance(node, dict) or not any(key.startswith(prefix) for key in node):
            return node
        return {key.replace(old, new) if key.startswith(prefix) else key: node[key] for key in node}

    return rebuilt(values, rename)


def metadata(values: Values) -> Values:
    """The metadata of a plain object, {} when there is none or it is unknown."""
    found = values.get("metadata")
    return found if isinstance(found, dict) else {}


def annotation(values: Values, name: str) -> str:
    """One annotation of a plain object, "" when absent or unknown."""
    annotations = metadata(values).get("annotations")
    value = annotations.get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""


def object_id(values: Values) -> str:
    """ "namespace/name", or "name" for what has no namespace."""
    meta = metadata(values)
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta.get("name", ""))


def canonical_inputs(values: Values) -> Values:
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


def assign_name(request: Request, values: Values, old: Values) -> tuple[Values, list[Failure]]:
    """Give an object its automatic name, or keep the one it got before."""
    meta = values.get("metadata")
    meta = {} if meta is None or meta is UNKNOWN else dict(meta)
    if meta.get("name") not in (None, ""):
        return values, []
    if meta.get("generateName"):
        reason = "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
        return values, [Failure("metadata.generateName", reason)]
    if old and annotation(old, AUTONAMED) != "true":
        return values, []
    meta["name"] = metadata(old).get("name") or f"{request.name}-{random_suffix(request.seed, 8)}"
    if meta.get("annotations") is not UNKNOWN:
        meta["annotations"] = {**(meta.get("annotations") or {}), AUTONAMED: "true"}
    return {**values, "metadata": meta}, []


def mark_secrets(source: Values, target: Values) -> Values:
    """`target` as secret as `source`; the data of a Secret always is."""
    target = copy_secrets(source, target) if has_secret(source) else target
    hidden = ("data", "stringData") if target.get("kind") == "Secret" else ()
    return {key: Secret(plain(item)) if key in hidden else item for key, item in target.items()}


def checkpoint(inputs: Values, live: Values, source: Values, api_version: str, manager: str) -> Values:
    """What the state keeps: the live object, secrets marked as in `source`, and what updates need to know."""
    source, live, inputs = underscored(source), underscored(live), underscored(inputs)
    return {
        **mark_secrets(source, live),
        "__inputs": mark_secrets(source, inputs),
        "__initialApiVersion": api_version,
        "__fieldManager": manager,
    }


def split_state(state: Values) -> tuple[Values, Values]:
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
    in_the_way = object_id(new) == object_id(live) and annotation(new, AUTONAMED) != "true"
    old = _in_namespace(prune(live, old_inputs), namespaced=namespaced)
    new = _in_namespace(new, namespaced=namespaced)
    if metadata(new).get("name") and isinstance(old.get("metadata"), dict):
        old["metadata"]["name"] = metadata(live).get("name")
    old = {"apiVersion": new.get("apiVersion"), "kind": new.get("kind"), **old}
    changes = compare(drop_nulls(old), drop_nulls(new))
    for path in [path for path, change in changes.items() if change == "add"]:
        # The API server drops empty values: one we sent before and that is not there is no change.
        value = at(new, path)
        if not value and at(old_inputs, path) == value:
            del changes[path]
    secret_mutable = secret_mutable and new.get("immutable") is not True
    replaces = replacements(changes, api_version, kind, patch=patch, secret_mutable=secret_mutable)
    return Diff(changes, replaces, delete_before_replace=bool(replaces) and in_the_way)


def _in_namespace(values: Values, *, namespaced: bool) -> Values:
    """With the namespace said where kinds have one, unsaid where they do not."""
    if not isinstance(values.get("metadata"), dict):
        return values
    meta = dict(values["metadata"])
    namespace = meta.pop("namespace", None) or "default"
    return {**values, "metadata": {**meta, **({"namespace": namespace} if namespaced else {})}}


def at(value: Any, path: Path) -> Any:
    """The member at a path, UNKNOWN when there is none."""
    for part in path:
        members = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(members, dict) or part not in members:
            return UNKNOWN
        value = members[part]
    return value
