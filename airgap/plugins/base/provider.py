"""What a provider stand-in implements: plain Python calls, free of the wire format."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from airgap.plugins.base.diff import Diff
from airgap.plugins.base.logs import Log


class ProviderError(Exception):
    """An operation failed and left nothing behind; the text reaches the user as it is."""


class UnknownFunctionError(Exception):
    """The stand-in knows no such function; answered as NOT_FOUND."""


class InitFailedError(Exception):
    """The resource exists but is not as asked: the engine keeps `properties`, the next update tries again."""

    def __init__(
        self,
        id_: str,
        properties: dict[str, Any],
        inputs: dict[str, Any] | None,  # None: the engine keeps the ones it sent
        reasons: list[str],
        message: str = "",
    ) -> None:
        super().__init__(message or "\n".join(reasons))
        self.id = id_
        self.properties = properties
        self.inputs = inputs
        self.reasons = reasons


@dataclass(frozen=True)
class Failure:
    """One bad input: the property's path ("" for the whole resource) and what is wrong with it."""

    property: str
    reason: str


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
        raise UnknownFunctionError(f"{self.name} has no function {token!r}")

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
