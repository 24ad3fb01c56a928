"""Base classes of a replacement provider: plain Python calls, free of the wire format."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from airgap.plugins.base.diff import Diff, compare, top_level
from airgap.plugins.base.logs import Log
from airgap.plugins.base.values import plain

Values = dict[str, Any]


class ProviderError(Exception):
    """An operation failed and left nothing behind; the text reaches the user as it is."""


@dataclass(frozen=True)
class Failure:
    """One bad input: the property's path ("" for the whole resource) and what is wrong with it."""

    property: str
    reason: str


def refusal(package: str, token: str, covered: Iterable[str]) -> ProviderError:
    """The error for a resource type that is not covered; its text names those that are."""
    names = ", ".join(one.rpartition(":")[2] for one in covered)
    return ProviderError(
        f"the closed network's {package} plugin does not cover {token}; declare one of {names}, "
        "or use the official plugin"
    )


def refuse_unknown(package: str, owner: str, given: Iterable[str], covered: Collection[str]) -> list[Failure]:
    """Say which arguments of `owner`, a resource type or "Provider", are not covered."""
    name = owner.rpartition(":")[2]
    text = f"the closed network's {package} plugin does not cover the {name} argument"
    return [Failure(one, f"{text} {one!r}; leave it out") for one in given if one not in covered]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One engine call about one resource; what a call does not carry is empty."""

    urn: str
    type: str  # "<package>:<module>:<Type>"
    name: str
    log: Log
    id: str = ""
    inputs: Values = field(default_factory=dict)  # the new inputs
    old_inputs: Values = field(default_factory=dict)
    state: Values = field(default_factory=dict)  # old outputs
    preview: bool = False
    timeout: float = 0  # seconds of customTimeouts, 0 when the user gave none


class ResourceType:
    """The resources of one type. All calls run on one event loop: blocking work belongs in a thread."""

    async def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Validate a resource's inputs and fill in defaults."""
        raise NotImplementedError

    async def diff(self, request: Request) -> Diff:
        """Compare a resource's old state with its new inputs."""
        raise NotImplementedError

    async def create(self, request: Request) -> tuple[str, Values]:
        """Make the resource; answers its id and outputs."""
        raise NotImplementedError

    async def read(self, request: Request) -> tuple[str, Values, Values]:
        """The live resource as id, outputs and inputs; an empty id means that it is gone."""
        return request.id, request.state, request.old_inputs

    async def update(self, request: Request) -> Values:
        """Change the resource in place; answers its outputs."""
        raise NotImplementedError

    async def delete(self, request: Request) -> None:
        """Remove the resource; one that is already gone is fine."""


class Provider:
    """Base of the replacement providers: configuration, and which class serves which resource."""

    name = ""
    version = ""
    accept_secrets = True
    arguments: tuple[str, ...] = ()  # its own, as far as they are covered

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.resource_types: dict[str, ResourceType] = {}  # by type token

    async def cancel(self) -> None:
        """The engine wants running operations to end; it also says so at the end of every run."""
        self.cancelled.set()

    async def check_config(self, inputs: Values) -> tuple[Values, list[Failure]]:
        """Refuse the arguments that would otherwise silently be ignored."""
        nothing: tuple[Any, ...] = (None, "", [], "[]", False, "false")
        given = [name for name, value in inputs.items() if plain(value) not in nothing]
        return inputs, refuse_unknown(self.name, "Provider", given, self.arguments)

    async def diff_config(self, request: Request) -> Diff:
        """Compare the provider's old and new arguments: none of them makes a new provider, by default."""
        return Diff(top_level(compare(plain(request.old_inputs or request.state), plain(request.inputs))))

    async def configure(self, variables: dict[str, str]) -> None:
        """Take the provider's arguments into use: `variables` maps bare names to text, secrets in clear."""

    async def invoke(self, token: str, args: Values, log: Log) -> tuple[Values, list[Failure]]:
        """Run a function of the package."""
        del args, log
        raise ProviderError(f"the closed network's {self.name} plugin does not cover the function {token}")

    def resource_type(self, token: str) -> ResourceType:
        """What serves a type of resource. Raises ProviderError for one that is not covered."""
        if token not in self.resource_types:
            raise refusal(self.name, token, self.resource_types)
        return self.resource_types[token]
