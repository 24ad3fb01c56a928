"""Actions: the writes that a reconciler decides on, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.core.objects import (
    IMPORT_NAME,
    Key,
    Object,
    covers,
    is_derived_slice,
    label,
    uid_of,
    version_of,
)
from gateway.kube.resources import SLICE, Resource


@dataclass(frozen=True, slots=True)
class Action:
    """One write. `merge` bodies carry the resourceVersion they are based on, deletes the uid."""

    verb: Literal["create", "merge", "delete"]
    resource: Resource
    key: Key
    body: Mapping[str, Any] = field(default_factory=dict)
    uid: str = ""
    service: Key = ("", "")
    """The import that wants it."""
    settled: bool = False
    """Only once it has been wanted for a moment: Kubernetes' own controllers may still be writing there."""
    takes_over: bool = False
    """It takes a Service's selector away."""


def ensure(
    resource: Resource, key: Key, wanted: Mapping[str, Any], existing: Object | None, service: Key
) -> Iterator[Action]:
    """Create an object, or bring the one there to what is wanted. Null in `wanted` means absent."""
    if existing is None:
        yield Action("create", resource, key, _without_nulls(wanted), service=service)
    elif resource is SLICE and not is_derived_slice(existing):
        return  # somebody else's slice happens to have the name: leave both alone
    elif not covers(_empty_lists(existing), wanted):
        based_on = {"metadata": {**wanted["metadata"], "resourceVersion": version_of(existing)}}
        yield Action("merge", resource, key, {**wanted, **based_on}, service=service)


def change(
    resource: Resource, obj: Object, key: Key, body: Mapping[str, Any], *, takes_over: bool = False
) -> Action:
    """A merge patch of an object as it is now."""
    metadata = {**body.get("metadata", {}), "resourceVersion": version_of(obj)}
    return Action("merge", resource, key, {**body, "metadata": metadata}, service=key, takes_over=takes_over)


def delete(resource: Resource, key: Key, obj: Object, *, settled: bool = False) -> Action:
    """A delete of that very object."""
    service = key[0], label(obj, IMPORT_NAME) or key[1]
    return Action("delete", resource, key, uid=uid_of(obj), service=service, settled=settled)


def _without_nulls(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _bare(value) for name, value in wanted.items() if value is not None}


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _without_nulls(value)
    return [_bare(item) for item in value] if isinstance(value, list | tuple) else value


def _empty_lists(obj: Object) -> Object:
    """An EndpointSlice without endpoints comes back with null or nothing in place of the empty list."""
    return {**obj, "endpoints": obj.get("endpoints") or []}
