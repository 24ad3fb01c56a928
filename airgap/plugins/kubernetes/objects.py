"""Objects as data: names, numbers of fields that force a replacement, comparison of old and new."""

import base64
from typing import Any

from airgap.plugins.base.diff import Diff, compare, without_ignored
from airgap.plugins.base.provider import Failure, Request
from airgap.plugins.base.values import (
    UNKNOWN,
    Path,
    Secret,
    copy_secrets,
    has_unknown,
    map_keys,
    plain,
    random_suffix,
)

AUTONAMED = "pulumi.com/autonamed"
STATE_KEYS = ("__inputs", "__initialApiVersion", "__fieldManager")
_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
_TO_DASH = {
    name.replace("-", "_"): name
    for name in (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
}
_TO_UNDERSCORE = {dash: underscore for underscore, dash in _TO_DASH.items()}

_SELECTOR = ("spec.selector",)
_POD_FIELDS = """
    affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks hostAliases
    hostIPC hostNetwork hostPID hostname imagePullSecrets initContainers nodeName nodeSelector overhead
    preemptionPolicy priority priorityClassName readinessGates restartPolicy runtimeClassName schedulerName
    securityContext serviceAccount serviceAccountName shareProcessNamespace subdomain
    terminationGracePeriodSeconds volumes
"""
_REPLACE = {
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("", "Service"): ("spec.clusterIP",),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    ("", "Pod"): tuple(f"spec.{name}" for name in _POD_FIELDS.split()),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
}


def group_version_kind(token: str, object_kind: str = "") -> tuple[str, str, bool]:
    """apiVersion, kind and whether it is a Patch type, from a type token `kubernetes:<group/version>:<Kind>`.

    `object_kind` settles what a kind is whose own name ends in "Patch".
    """
    _, version, kind = token.split(":", 2)
    patch = kind.endswith("Patch") and kind not in ("Patch", object_kind)
    if patch:
        kind = kind.removesuffix("Patch")
    group, _, bare = version.rpartition("/")
    return (bare if group in ("", "core") else f"{group}/{bare}"), kind, patch


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
    if isinstance(values.get("metadata"), dict):
        meta = {key: item for key, item in values["metadata"].items() if key not in _READ_ONLY}
        values = {**values, "metadata": meta}
    if values.get("kind") == "Secret" and values.get("apiVersion") == "v1" and not has_unknown(values):
        data = dict(values.get("data") or {})
        data |= {
            k: base64.b64encode(v.encode()).decode() for k, v in (values.get("stringData") or {}).items()
        }
        values = {key: item for key, item in values.items() if key not in ("data", "stringData")}
        if data:
            values["data"] = data
    if values.get("kind") == "CustomResourceDefinition":
        values = {key: item for key, item in values.items() if key != "status"}
    return values


def assign_name(
    request: Request, values: dict[str, Any], old: dict[str, Any]
) -> tuple[dict[str, Any], list[Failure]]:
    """Give an object its automatic name, or keep the one it got before."""
    meta = values.get("metadata")
    meta = {} if meta is None or meta is UNKNOWN else dict(meta)
    if meta.get("name") is not None and meta.get("name") != "":
        return values, []
    if meta.get("generateName"):
        reason = "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
        return values, [Failure("metadata.generateName", reason)]
    if old:
        if annotation(old, AUTONAMED) != "true":
            return values, []
        name = metadata(old)["name"]
    elif request.autonaming_disabled:
        reason = "autonaming is disabled, resource requires the .metadata.name field to be set"
        return values, [Failure("metadata.name", reason)]
    else:
        name = request.proposed_name or f"{request.name}-{random_suffix(request.seed, 8)}"
    meta["name"] = name
    annotations = meta.get("annotations")
    if annotations is not UNKNOWN:
        meta["annotations"] = {**(annotations or {}), AUTONAMED: "true"}
    return {**values, "metadata": meta}, []


def mark_secrets(source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """`target` as secret as `source`; the data of a Secret always is."""
    target = copy_secrets(source, target)
    if target.get("kind") == "Secret":
        for name in ("data", "stringData"):
            if name in target:
                target[name] = Secret(plain(target[name]))
    return target


def checkpoint(
    inputs: dict[str, Any], live: dict[str, Any], source: dict[str, Any], api_version: str, manager: str
) -> dict[str, Any]:
    """What the state keeps: the live object, secrets marked as in `source`, and what updates need to know."""
    source = underscored(source)
    state = mark_secrets(source, underscored(live))
    state["__inputs"] = mark_secrets(source, underscored(plain(inputs)))
    state["__initialApiVersion"] = api_version
    state["__fieldManager"] = manager
    return state


def split_state(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Old inputs and live object, plain, from the state."""
    values = dashed(plain(state))
    live = {key: item for key, item in values.items() if key not in STATE_KEYS}
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


def diff_objects(
    request: Request,
    *,
    namespaced: bool,
    patch: bool,
    secret_mutable: bool = False,
    config_map_mutable: bool = False,
) -> Diff:
    """Compare the live object of the state, cut to what the program said, with what it says now."""
    old_inputs, live = split_state(request.state)
    new = canonical_inputs(dashed(plain(request.inputs)))
    old_inputs = canonical_inputs(old_inputs)
    old = prune(live, old_inputs)
    for values in (old, new):
        if isinstance(values.get("metadata"), dict):
            meta = {key: item for key, item in values["metadata"].items() if key != "namespace"}
            if namespaced:
                meta["namespace"] = values["metadata"].get("namespace") or "default"
            values["metadata"] = meta
    if metadata(new).get("name") and isinstance(old.get("metadata"), dict):
        old["metadata"]["name"] = metadata(live).get("name")
    for key in ("apiVersion", "kind"):
        old.setdefault(key, new.get(key))
    changes = compare(_without_nulls(old), _without_nulls(new))
    changes = without_ignored(changes, request.ignore_changes)
    for path in [path for path, change in changes.items() if change == "add"]:
        # The API server drops empty values: one we sent before and that is not there is no change.
        value = _at(new, path)
        if not value and _at(old_inputs, path) == value:
            del changes[path]
    rules = replace_rules(
        new, patch=patch, secret_mutable=secret_mutable, config_map_mutable=config_map_mutable
    )
    replaces = {path for path in changes if _forces_replacement(path, rules)}
    fixed_name = annotation(new, AUTONAMED) != "true" and metadata(new).get("name") == metadata(live).get(
        "name"
    )
    same_place = (metadata(new).get("namespace") or "") == (metadata(live).get("namespace") or "")
    return Diff(changes, replaces, delete_before_replace=bool(replaces) and fixed_name and same_place)


def _at(value: Any, path: Path) -> Any:
    """The member at a path, UNKNOWN when there is none."""
    for part in path:
        members = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(members, dict) or part not in members:
            return UNKNOWN
        value = members[part]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def replace_rules(
    values: dict[str, Any], *, patch: bool, secret_mutable: bool, config_map_mutable: bool
) -> tuple[Path, ...]:
    """Paths whose change makes a new object."""
    rules: tuple[str, ...] = ("metadata.name", "metadata.namespace")
    if not patch:
        group = str(values.get("apiVersion", "")).rpartition("/")[0]
        kind = values.get("kind")
        rules += _REPLACE.get((group, str(kind)), ())
        immutable = values.get("immutable") is True
        if group == "" and kind == "Secret":
            rules += ("type",) if secret_mutable and not immutable else ("type", "stringData", "data")
        if group == "" and kind == "ConfigMap" and (immutable or not config_map_mutable):
            rules += ("binaryData", "data")
    return tuple(tuple(rule.split(".")) for rule in rules)


def _forces_replacement(path: Path, rules: tuple[Path, ...]) -> bool:
    """Whether a changed path lies at, below or (a whole part that goes or comes) above a rule's path."""
    return any(path[: len(rule)] == rule or rule[: len(path)] == path for rule in rules)
