"""A kind of Docker object: what it takes, which defaults it gets, what a change means, how it is made."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker

from airgap.plugins.base.diff import Diff, compare, without_ignored
from airgap.plugins.base.provider import Failure, Request, refuse_unknown
from airgap.plugins.base.values import UNKNOWN, Secret, drop_nulls, plain, random_suffix

# Notes of the official plugin beside the inputs: which of them the user did not write.
NOTES = ("__defaults", "__internal")
Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type. The callables take a client and plain values and block."""

    token: str
    arguments: tuple[str, ...]
    create: Callable[[docker.APIClient, Values], str]  # answers the id
    inspect: Callable[[docker.APIClient, str], Values]
    outputs: Callable[[Values, Values], Values]  # of the inputs and the live object
    remove: Callable[[docker.APIClient, Request], None]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of the objects in a list
    member_defaults: Mapping[str, Values] = field(default_factory=dict)
    sets: tuple[str, ...] = ()  # lists whose order means nothing
    computed: tuple[str, ...] = ()
    in_place: tuple[str, ...] = ()
    always_delete_first: bool = False

    def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Refuse what is not covered; fill in name and defaults, noting which are not the user's."""
        given = {key: item for key, item in drop_nulls(request.inputs).items() if key not in NOTES}
        failures = refuse_unknown("docker", self.token, given, self.arguments)
        for name, members in self.members.items():
            listed = bare(given.get(name))
            for item in listed if isinstance(listed, list) else []:
                paths = [f"{name}.{key}" for key in item] if isinstance(item, dict) else []
                failures += refuse_unknown("docker", self.token, paths, [f"{name}.{key}" for key in members])
        failures += [
            Failure(
                "",
                f'Missing required argument. The argument "{name}" is required, but no definition was found.',
            )
            for name in self.required
            if name not in given
        ]
        inputs, filled = dict(given), []
        if plain(inputs.get("name")) in (None, ""):
            kept = request.old_inputs.get("name") if _is_automatic(request.old_inputs) else None
            if kept is None and request.autonaming_disabled:
                reason = "autonaming is disabled, resource requires the `name` to be set"
                failures.append(Failure("name", reason))
            made = request.proposed_name or f"{request.name}-{random_suffix(request.seed, 7)}"
            inputs["name"] = kept or made
            filled.append("name")
        filled += [name for name in self.defaults if name not in inputs]
        inputs = {**self.defaults, **inputs}
        for name in self.members:
            if name in inputs:
                inputs[name] = _with_defaults(inputs[name], self.member_defaults.get(name, {}))
        return {**inputs, "__defaults": sorted(filled)}, failures

    def diff(self, request: Request) -> Diff:
        """Inputs against inputs, sets by content."""
        old, new = bare(request.old_inputs), bare(request.inputs)
        for name in self.sets:
            for values in (old, new):
                if isinstance(values.get(name), list):
                    values[name] = sorted(values[name], key=_order)
        changes = without_ignored(compare(old, new), request.ignore_changes)
        replaces = {path for path in changes if path[0] not in self.in_place}
        first = self.always_delete_first or not _is_automatic(request.inputs)
        return Diff(changes, replaces, delete_before_replace=bool(replaces) and first)

    def expected(self, inputs: Values) -> Values:
        """Outputs before the fact: inputs, and unknowns for what the Engine fills in."""
        return {**{name: UNKNOWN for name in self.computed if name not in inputs}, **without_notes(inputs)}


def _is_automatic(inputs: Values) -> bool:
    """Whether the name is one we made."""
    return "name" in (plain(inputs.get("__defaults")) or [])


def _with_defaults(value: Any, defaults: Values) -> Any:
    """The objects of a list with their defaults, noted."""
    if isinstance(value, Secret):
        return Secret(_with_defaults(value.value, defaults))
    if isinstance(value, list):
        return [_with_defaults(item, defaults) for item in value]
    if not isinstance(value, dict):
        return value
    value = without_notes(value)
    return {**defaults, **value, "__defaults": sorted(key for key in defaults if key not in value)}


def without_notes(values: Values) -> Values:
    """An object's own members."""
    return {key: item for key, item in values.items() if key not in NOTES}


def bare(value: Any) -> Any:
    """Plain values without the notes about defaults."""
    if isinstance(value, Secret):
        return bare(value.value)
    if isinstance(value, dict):
        return {key: bare(item) for key, item in without_notes(value).items()}
    return [bare(item) for item in value] if isinstance(value, list) else value


def _order(item: Any) -> str:
    return "~" if item is UNKNOWN else json.dumps(item, sort_keys=True, default=repr)


def label_pairs(inputs: Values) -> dict[str, str]:
    """Labels as the Engine API takes them."""
    return {one["label"]: one["value"] for one in inputs.get("labels") or []}


def label_list(labels: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Labels as the package gives them out."""
    return [{"label": key, "value": value} for key, value in sorted(labels)]
