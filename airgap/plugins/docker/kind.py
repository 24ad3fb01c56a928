"""A kind of Docker object: what it takes, which defaults it gets, what a change means, how it is made."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import docker.errors
import requests

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import Failure, ProviderError, Request, ResourceType, Values, refuse_unknown
from airgap.plugins.base.values import UNKNOWN, Secret, drop_nulls, plain, rebuilt

# The official plugin's note beside the inputs: which of them the user did not write.
NOTE = "__defaults"
# A container that is going away keeps its endpoint in a network for a moment.
_ENDPOINT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type. The callables take plain values and block; live objects are docker-py's."""

    token: str
    collection: str  # its name on docker.DockerClient
    arguments: tuple[str, ...]
    create: Callable[[docker.DockerClient, Values], Any]
    outputs: Callable[[Values, Values], Values]  # of the inputs and the live object's attributes
    update: Callable[[Any, Values], None] | None = None
    remove_options: Mapping[str, bool] = field(default_factory=dict)
    as_it_is: Callable[[Values, Values], Values] = lambda inputs, _: inputs  # inputs of a refresh
    defaults: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of the objects in a list
    member_defaults: Mapping[str, Values] = field(default_factory=dict)
    sets: tuple[str, ...] = ()  # lists whose order means nothing
    in_place: tuple[str, ...] = ()


@dataclass(frozen=True)
class Objects(ResourceType):
    """The objects of one kind on one Docker Engine."""

    kind: Kind
    client: Callable[[], docker.DockerClient]

    async def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Refuse what is not covered; fill in defaults, noting that they are not the user's."""
        kind, given = self.kind, drop_nulls(request.inputs)
        failures = refuse_unknown("docker", kind.token, given, kind.arguments)
        if not plain(given.get("name")):
            reason = "the closed network's docker plugin makes up no names; give it one"
            failures.append(Failure("name", reason))
        inputs = _with_defaults(given, kind.defaults)
        for name, members in kind.members.items():
            items = plain(given.get(name))
            for item in items if isinstance(items, list) else []:
                paths = [f"{name}.{key}" for key in item] if isinstance(item, dict) else []
                failures += refuse_unknown("docker", kind.token, paths, [f"{name}.{key}" for key in members])
            if name in inputs:
                inputs[name] = _with_defaults(inputs[name], kind.member_defaults.get(name, {}))
        return inputs, failures

    async def diff(self, request: Request) -> Diff:
        """Inputs against inputs, sets by content. The old object's name is in the way of the new one."""
        old, new = bare(request.old_inputs), bare(request.inputs)
        for name in self.kind.sets:
            for values in (old, new):
                if isinstance(values.get(name), list):
                    values[name] = sorted(values[name], key=_order)
        changes = compare(old, new)
        replaces = {path for path in changes if path[0] not in self.kind.in_place}
        return Diff(changes, replaces, delete_before_replace=bool(replaces))

    async def create(self, request: Request) -> tuple[str, Values]:
        """Make it."""
        if request.preview:
            return "", without_note(request.inputs)
        live = await self._call(lambda client: self.kind.create(client, bare(request.inputs)))
        await self._call(lambda _: live.reload())
        return live.id, self.kind.outputs(request.inputs, live.attrs)

    async def update(self, request: Request) -> Values:
        """Change what can be changed in place; all else makes a new one."""
        if request.preview:
            return {**request.state, **without_note(request.inputs)}
        live, change = await self._call(lambda client: self._find(client, request.id)), self.kind.update
        if live is None:
            raise ProviderError(f"{request.id} is gone; run `pulumi refresh`, or ./stack up --refresh")
        if change is not None:
            await self._call(lambda _: change(live, bare(request.inputs)))
            await self._call(lambda _: live.reload())
        return self.kind.outputs(request.inputs, live.attrs)

    async def read(self, request: Request) -> tuple[str, Values, Values]:
        """The live object."""
        if not request.old_inputs:
            raise ProviderError("the closed network's docker plugin covers neither import nor get")
        live = await self._call(lambda client: self._find(client, request.id))
        if live is None:
            return "", {}, {}
        outputs = self.kind.outputs(request.old_inputs, live.attrs)
        return request.id, outputs, self.kind.as_it_is(request.old_inputs, outputs)

    async def delete(self, request: Request) -> None:
        """Remove it, if it is there."""
        await self._call(lambda client: self._remove(client, request.id))

    def _find(self, client: docker.DockerClient, id_: str) -> Any:
        try:
            return getattr(client, self.kind.collection).get(id_)
        except docker.errors.NotFound:
            return None

    def _remove(self, client: docker.DockerClient, id_: str) -> None:
        deadline = time.monotonic() + _ENDPOINT_SECONDS
        while live := self._find(client, id_):
            try:
                live.remove(**self.kind.remove_options)
            except docker.errors.APIError as error:
                busy = "active endpoints" in str(error) or "already in progress" in str(error)
                if not busy or time.monotonic() >= deadline:
                    raise
                time.sleep(0.5)

    async def _call(self, function: Callable[[docker.DockerClient], Any]) -> Any:
        """Run a blocking call in a thread; the Engine's errors become the user's."""
        try:
            return await asyncio.to_thread(function, self.client())
        except docker.errors.APIError as error:
            raise ProviderError(f"Error response from daemon: {error.explanation or error}") from error
        except requests.RequestException as error:
            raise ProviderError(f"the docker daemon does not answer: {error}") from error


def _with_defaults(value: Any, defaults: Mapping[str, Any]) -> Any:
    """An object, or those of a list, with defaults and the note of which they are."""
    if isinstance(value, Secret):
        return Secret(_with_defaults(value.value, defaults))
    if isinstance(value, list):
        return [_with_defaults(item, defaults) for item in value]
    if not isinstance(value, dict):
        return value
    return {**defaults, **value, NOTE: sorted(key for key in defaults if key not in value)}


def without_note(values: Values) -> Values:
    """An object's own members."""
    return {key: item for key, item in values.items() if key != NOTE}


def bare(values: Values) -> Values:
    """Plain values without the notes about defaults."""
    return dict(rebuilt(plain(values), lambda node: without_note(node) if isinstance(node, dict) else node))


def _order(item: Any) -> str:
    return "~" if item is UNKNOWN else json.dumps(item, sort_keys=True, default=repr)


def label_pairs(inputs: Values) -> dict[str, str]:
    """Labels as the Engine API takes them."""
    return {one["label"]: one["value"] for one in inputs.get("labels") or []}


def label_list(labels: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Labels as the package gives them out."""
    return [{"label": key, "value": value} for key, value in sorted((labels or {}).items())]
