"""What Network, Volume and Container take: names, defaults, sets, and what can change in place."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airgap.plugins.base.diff import Change, Diff, compare, without_ignored
from airgap.plugins.base.provider import Failure, Request
from airgap.plugins.base.values import UNKNOWN, Path, Secret, drop_nulls, plain, random_suffix

_INTERNAL = ("__defaults", "__internal")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True)
class Nested:
    """Members of the objects in one argument, and their defaults."""

    members: tuple[str, ...]
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Schema:
    """One resource type. `sets` are lists whose order means nothing."""

    fields: tuple[str, ...]
    defaults: dict[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    nested: dict[str, Nested] = field(default_factory=dict)
    in_place: tuple[str, ...] = ()
    always_delete_first: bool = False


_LABELS = Nested(_words("label value"))
_NETWORK = Schema(
    fields=_words("name attachable driver internal ipamConfigs ipamDriver ipv6 labels options"),
    defaults={"ipamDriver": "default"},
    sets=_words("ipamConfigs labels"),
    nested={"ipamConfigs": Nested(_words("subnet gateway ipRange auxAddress")), "labels": _LABELS},
)
_VOLUME = Schema(fields=_words("name driver driverOpts labels"), sets=("labels",), nested={"labels": _LABELS})
_CONTAINER = Schema(
    fields=_words(
        "name image command entrypoints envs hostname user workingDir labels restart maxRetryCount "
        "networkMode networksAdvanced ports uploads volumes healthcheck wait waitTimeout mustRun start rm "
        "removeVolumes destroyGraceSeconds privileged readOnly init memory memorySwap memoryReservation "
        "cpuShares cpuSet dns hosts capabilities tmpfs"
    ),
    defaults={
        "attach": False,
        "containerReadRefreshTimeoutMilliseconds": 15000,
        "logs": False,
        "mustRun": True,
        "networkMode": "bridge",
        "readOnly": False,
        "removeVolumes": True,
        "restart": "no",
        "rm": False,
        "start": True,
        "stdinOpen": False,
        "tty": False,
        "wait": False,
        "waitTimeout": 60,
    },
    required=("image",),
    sets=_words("envs labels networksAdvanced uploads volumes dns hosts"),
    nested={
        "capabilities": Nested(_words("adds drops")),
        "healthcheck": Nested(
            _words("tests interval timeout startPeriod startInterval retries"),
            {"interval": "0s", "retries": 0, "startInterval": "0s", "startPeriod": "0s", "timeout": "0s"},
        ),
        "hosts": Nested(_words("host ip")),
        "labels": _LABELS,
        "networksAdvanced": Nested(_words("name aliases ipv4Address ipv6Address")),
        "ports": Nested(_words("internal external ip protocol"), {"ip": "0.0.0.0", "protocol": "tcp"}),  # noqa: S104
        "uploads": Nested(
            _words("file content contentBase64 source sourceHash executable permissions"),
            {"executable": False},
        ),
        "volumes": Nested(_words("containerPath hostPath volumeName readOnly fromContainer")),
    },
    in_place=_words(
        "attach containerReadRefreshTimeoutMilliseconds cpuSet cpuShares destroyGraceSeconds healthcheck "
        "init logs maxRetryCount memory memoryReservation memorySwap mustRun removeVolumes restart rm start "
        "tmpfs wait waitTimeout"
    ),
    always_delete_first=True,
)
SCHEMAS = {
    "docker:index/network:Network": _NETWORK,
    "docker:index/volume:Volume": _VOLUME,
    "docker:index/container:Container": _CONTAINER,
}


def check(request: Request, schema: Schema) -> tuple[dict[str, Any], list[Failure]]:
    """Refuse unknown names, fill in the name and the defaults and note which are not the user's."""
    given = {key: item for key, item in drop_nulls(request.inputs).items() if key not in _INTERNAL}
    failures = _unknown(given, schema, request.type)
    failures += [
        Failure(
            "",
            f'Missing required argument. The argument "{_snake(name)}" is required, '
            "but no definition was found.",
        )
        for name in schema.required
        if name not in given
    ]
    inputs, filled = dict(given), []
    if plain(inputs.get("name")) in (None, ""):
        kept = request.old_inputs.get("name") if "name" in _filled(request.old_inputs) else None
        if kept is None and request.autonaming_disabled:
            failures.append(Failure("name", "autonaming is disabled, resource requires the `name` to be set"))
        inputs["name"] = kept or request.proposed_name or f"{request.name}-{random_suffix(request.seed, 7)}"
        filled.append("name")
    for name, value in schema.defaults.items():
        if name not in inputs:
            inputs[name] = value
            filled.append(name)
    for name, nested in schema.nested.items():
        if name in inputs:
            inputs[name] = _nested_defaults(inputs[name], nested.defaults)
    inputs["__defaults"] = sorted(filled)
    return inputs, failures


def _unknown(given: dict[str, Any], schema: Schema, kind: str) -> list[Failure]:
    refuse = "the closed network's docker plugin has no"
    failures = [
        Failure(name, f"{refuse} {kind} argument {name!r}; leave it out")
        for name in given
        if name not in schema.fields
    ]
    for name, nested in schema.nested.items():
        value = plain(given.get(name))
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                failures += [
                    Failure(f"{name}.{key}", f"{refuse} {name} member {key!r}; leave it out")
                    for key in item
                    if key not in nested.members and key not in _INTERNAL
                ]
    return failures


def _nested_defaults(value: Any, defaults: dict[str, Any]) -> Any:
    if isinstance(value, Secret):
        return Secret(_nested_defaults(value.value, defaults))
    if isinstance(value, list):
        return [_nested_defaults(item, defaults) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: item for key, item in value.items() if key not in _INTERNAL}
    filled = {key: item for key, item in defaults.items() if key not in value}
    return {**value, **filled, "__defaults": sorted(filled)}


def _filled(inputs: dict[str, Any]) -> list[str]:
    found = plain(inputs.get("__defaults"))
    return found if isinstance(found, list) else []


def _snake(name: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in name)


def bare(value: Any) -> Any:
    """Plain values without the notes about defaults."""
    if isinstance(value, Secret):
        return bare(value.value)
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if key not in _INTERNAL}
    return [bare(item) for item in value] if isinstance(value, list) else value


def diff(request: Request, schema: Schema) -> Diff:
    """Compare inputs; sets by content, so that another order is no change."""
    old, new = bare(request.old_inputs), bare(request.inputs)
    for name in schema.sets:
        for values in (old, new):
            if isinstance(values.get(name), list):
                values[name] = sorted(values[name], key=_order)
    changes: dict[Path, Change] = without_ignored(compare(old, new), request.ignore_changes)
    replaces = {path for path in changes if path[0] not in schema.in_place}
    user_named = "name" not in _filled(request.inputs)
    first = bool(replaces) and (schema.always_delete_first or user_named)
    return Diff(changes, replaces, delete_before_replace=first)


def _order(item: Any) -> str:
    return "~" if item is UNKNOWN else json.dumps(item, sort_keys=True, default=repr)


def label_pairs(inputs: dict[str, Any]) -> dict[str, str]:
    """Labels as the Engine API takes them."""
    return {one["label"]: one["value"] for one in inputs.get("labels") or []}


def label_list(labels: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Labels as the package gives them out."""
    return [{"label": key, "value": value} for key, value in sorted(labels)]
