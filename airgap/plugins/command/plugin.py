"""The command provider: `command:local:Command` and `command:local:run`."""

import asyncio
import contextlib
import functools
import secrets
from dataclasses import dataclass
from typing import Any

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import Failure, Provider, Request, ResourceType, Values
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.base.values import UNKNOWN, copy_secrets, drop_nulls, has_unknown, plain
from airgap.plugins.command import files
from airgap.plugins.command.process import run_command

RUN_FIELDS = {
    "addPreviousOutputInEnv": "bool",
    "archivePaths": "array",
    "assetPaths": "array",
    "command": "string",
    "dir": "string",
    "environment": "object",
    "interpreter": "array",
    "logging": "logging",
    "stdin": "string",
}
COMMAND_FIELDS = {
    **{name: kind for name, kind in RUN_FIELDS.items() if name != "command"},
    "create": "string",
    "update": "string",
    "delete": "string",
    "triggers": "any array",
}
_LOGGING = ("stdout", "stderr", "stdoutAndStderr", "none")
_WORDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
_STREAMS = ("stdout", "stderr")
# Computed outputs, and the input that asks for each but the streams.
_COMPUTED = {"stdout": "", "stderr": "", "assets": "assetPaths", "archive": "archivePaths"}


@dataclass(frozen=True)
class Commands(ResourceType):
    """Commands on the machine of the engine."""

    cancelled: asyncio.Event

    async def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Validate types and names; nulls go."""
        inputs = drop_nulls(request.inputs)
        return inputs, validate(inputs, COMMAND_FIELDS)

    async def diff(self, request: Request) -> Diff:
        """Inputs against inputs; for elements of `triggers` the SDK itself asks for replacement."""
        old = {key: value for key, value in request.old_inputs.items() if key in COMMAND_FIELDS}
        changes = compare(old, request.inputs, secrecy=True)
        return Diff(changes=changes, replaces={path for path in changes if path == ("triggers",)})

    async def create(self, request: Request) -> tuple[str, Values]:
        """Run `create`, if there is one."""
        if request.preview:
            return "", {**request.inputs, **_unknown_outputs(request.inputs)}
        outputs: Values = {"stdout": "", "stderr": ""}
        command = plain(request.inputs.get("create"))
        if command is not None:
            outputs = await self._run(command, request, request.inputs, {})
        id_ = f"{request.name}{secrets.token_hex(4)}"
        return id_, copy_secrets(request.inputs, {**request.inputs, **outputs})

    async def update(self, request: Request) -> Values:
        """Run `update`, or else `create`."""
        kept = {key: request.state[key] for key in _COMPUTED if key in request.state}
        if request.preview:
            touched = any(
                has_unknown(request.inputs.get(key)) or compare(value, request.inputs.get(key), secrecy=True)
                for key, value in request.old_inputs.items()
            )
            return {**request.inputs, **kept, **(_unknown_outputs(request.inputs) if touched else {})}
        command = plain(request.inputs.get("update", request.inputs.get("create")))
        if command is not None:
            kept |= await self._run(command, request, request.inputs, request.state)
        return dict(copy_secrets(request.inputs, {**request.inputs, **kept}))

    async def delete(self, request: Request) -> None:
        """Run `delete`, if there is one."""
        command = plain(request.state.get("delete"))
        if command is not None:
            await self._run(command, request, request.state, request.state)

    async def _run(self, command: str, request: Request, inputs: Values, before: Values) -> Values:
        """Run with the request's deadline; answers the computed outputs. `before` has the last run's."""
        values = plain(inputs)
        previous = {
            f"PULUMI_COMMAND_{name.upper()}": text
            for name in _STREAMS
            if values.get("addPreviousOutputInEnv") is not False and (text := plain(before.get(name)))
        }
        stop = asyncio.Event()
        deadline = asyncio.create_task(_set_when(self.cancelled, request.timeout or None, stop))
        try:
            stdout, stderr = await run_command(command, values, previous, request.log, stop)
        finally:
            deadline.cancel()
        return {"stdout": stdout, "stderr": stderr, **await asyncio.to_thread(files.outputs, values)}


class CommandProvider(Provider):
    """The package's one resource and its one function."""

    name = "command"
    version = "1.2.1"
    arguments = ("version", "pluginDownloadURL", "__pulumi-go-provider-version")

    def __init__(self) -> None:
        super().__init__()
        self.resource_types = {"command:local:Command": Commands(self.cancelled)}

    async def check_config(self, inputs: Values) -> tuple[Values, list[Failure]]:
        """Add the marker that the official plugin's framework keeps in the provider's state."""
        inputs, failures = await super().check_config(inputs)
        return {**inputs, "__pulumi-go-provider-version": "v1.3.0"}, failures

    async def invoke(self, token: str, args: Values, log: Log) -> tuple[Values, list[Failure]]:
        """`command:local:run`: run once, now, at previews as well."""
        if token != "command:local:run":  # noqa: S105 the name of a function
            return await super().invoke(token, args, log)
        inputs = plain(drop_nulls(args))
        failures = validate(inputs, RUN_FIELDS)
        if "command" not in inputs:
            failures.append(Failure("command", "missing required field 'command'"))
        if failures:
            return {}, failures
        stdout, stderr = await run_command(inputs["command"], inputs, {}, log, self.cancelled)
        return {**inputs, "stdout": stdout, "stderr": stderr, **files.outputs(inputs)}, []


async def _set_when(source: asyncio.Event, seconds: float | None, target: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(source.wait(), seconds)
    target.set()


def _unknown_outputs(inputs: Values) -> Values:
    return {name: UNKNOWN for name, asked in _COMPUTED.items() if not asked or inputs.get(asked)}


def validate(inputs: Values, fields: dict[str, str]) -> list[Failure]:
    """Unrecognised names and wrong types, each with its path."""
    failures = []
    for name, value in plain(inputs).items():
        if name not in fields:
            failures.append(Failure(name, f"an unrecognized field '{name}' was specified"))
        elif fields[name] == "logging":
            if value is not UNKNOWN and value not in _LOGGING:
                failures.append(Failure(name, f"must be one of {', '.join(_LOGGING)}; got {value!r}"))
        else:
            failures += _expect(value, fields[name].removeprefix("any "), name)
            members = _members(value) if fields[name] in ("array", "object") else {}
            for path, item in members.items():
                failures += _expect(item, "string", name + path)
    return failures


def _members(value: Any) -> dict[str, Any]:
    """What is in a list or an object, by its path as the engine writes it."""
    if isinstance(value, dict):
        return {f".{key}": item for key, item in value.items()}
    return {f"[{index}]": item for index, item in enumerate(value)} if isinstance(value, list) else {}


def _expect(value: Any, word: str, path: str) -> list[Failure]:
    got = _WORDS.get(type(value), type(value).__name__)
    if value is UNKNOWN or got == word:
        return []
    article = "an" if word[0] in "aeiou" else "a"
    reason = f"Field '{path}' on 'local.Command' must be {article} '{word}'; got '{got}' instead"
    return [Failure(path, reason)]


serve = functools.partial(serve_provider, CommandProvider)
