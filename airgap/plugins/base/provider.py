"""What a provider stand-in implements: plain Python calls, free of the wire format."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from airgap.plugins.base.diff import Diff
from airgap.plugins.base.logs import Log


class ProviderError(Exception):
    """An operation failed and left nothing behind; the text reaches the user as it is."""


class UnknownFunctionError(Exception):
    """The stand-in knows no such function; answered as NOT_FOUND."""


class InitFailedError(Exception):
    """The resource exists but is not as asked: the engine keeps `properties`, the next update tries again.

    The first of `reasons` is the error's text. Without `inputs` the engine keeps the ones it sent.
    """

    def __init__(
        self, id_: str, properties: dict[str, Any], reasons: list[str], inputs: dict[str, Any] | None = None
    ) -> None:
        super().__init__(reasons[0])
        self.id = id_
        self.properties = properties
        self.inputs = inputs
        self.reasons = reasons


@dataclass(frozen=True)
class Failure:
    """One bad input: the property's path ("" for the whole resource) and what is wrong with it."""

    property: str
    reason: str


def refuse_resource(package: str, token: str, covered: Iterable[str]) -> Failure:
    """Say that a resource type is outside the stand-in, and what is inside."""
    names = ", ".join(one.rpartition(":")[2] for one in covered)
    return Failure(
        "",
        f"the closed network's {package} plugin does not cover {token}; declare one of {names}, "
        "or use the official plugin",
    )


def refuse_unknown(package: str, owner: str, given: Iterable[str], covered: Collection[str]) -> list[Failure]:
    """Say which arguments of `owner`, a resource type or "Provider", are outside the stand-in."""
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
    inputs: dict[str, Any] = field(default_factory=dict)  # the new inputs
    old_inputs: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)  # old outputs
    preview: bool = False
    timeout: float = 0  # seconds of customTimeouts, 0 when the user gave none
    ignore_changes: tuple[str, ...] = ()
    seed: bytes = b""
    proposed_name: str = ""  # from the stack's autonaming configuration
    autonaming_disabled: bool = False


class Provider:
    """Base of the stand-ins. Calls run concurrently on one event loop: blocking work belongs in a thread."""

    name = ""
    version = ""
    accept_secrets = True

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def cancel(self) -> None:
        """The engine wants running operations to end; it also says so at the end of every run."""
        self.cancelled.set()

    async def check_config(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Validate the provider's own arguments."""
        return inputs, []

    async def diff_config(self, request: Request) -> Diff:
        """Compare the provider's old and new arguments."""
        raise NotImplementedError

    async def configure(self, variables: dict[str, str]) -> None:
        """Take the provider's arguments into use: `variables` maps bare names to text, secrets in clear."""
        raise NotImplementedError

    async def invoke(
        self, token: str, args: dict[str, Any], log: Log
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Run a function of the package."""
        del args, log
        raise UnknownFunctionError(
            f"the closed network's {self.name} plugin does not cover the function {token}"
        )

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Validate a resource's inputs and fill in defaults."""
        raise NotImplementedError

    async def diff(self, request: Request) -> Diff:
        """Compare a resource's old state with its new inputs."""
        raise NotImplementedError

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Make the resource; answers its id and outputs."""
        raise NotImplementedError

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The live resource as id, outputs and inputs; an empty id means that it is gone."""
        return request.id, request.state, request.old_inputs

    async def update(self, request: Request) -> dict[str, Any]:
        """Change the resource in place; answers its outputs."""
        raise NotImplementedError

    async def delete(self, request: Request) -> None:
        """Remove the resource; one that is already gone is fine."""
        raise NotImplementedError
