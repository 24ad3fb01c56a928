"""The command provider: `command:local:Command` and `command:local:run`."""

import asyncio
import secrets
from typing import Any

from airgap.plugins.base.diff import Diff, compare, without_ignored
from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import Failure, Provider, Request, refuse_resource
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.base.values import UNKNOWN, copy_secrets, drop_nulls, has_unknown, plain
from airgap.plugins.command.process import collect, file_archive, file_asset, run

_COMMAND = "command:local:Command"
_RUN_FIELDS = {
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
_COMMAND_FIELDS = {
    **{name: kind for name, kind in _RUN_FIELDS.items() if name != "command"},
    "create": "string",
    "update": "string",
    "delete": "string",
    "triggers": "any array",
}
_NOTES = ("__defaults", "__internal")
_LOGGING = ("stdout", "stderr", "stdoutAndStderr", "none")
_WORDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}


class CommandProvider(Provider):
    """Runs commands on the machine of the engine."""

    name = "command"
    version = "1.2.1"

    async def check_config(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Add the marker that the official plugin's framework keeps in the provider's state."""
        return {**inputs, "__pulumi-go-provider-version": "v1.3.0"}, []

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Validate types and names; nulls go."""
        if request.type != _COMMAND:
            return request.inputs, [refuse_resource("command", request.type, [_COMMAND])]
        inputs = drop_nulls(request.inputs)
        return inputs, validate(inputs, _COMMAND_FIELDS)

    async def diff(self, request: Request) -> Diff:
        """Inputs against inputs; for elements of `triggers` the SDK itself asks for replacement."""
        old = _comparable(request.old_inputs or request.state)
        new = _comparable(request.inputs)
        if not request.old_inputs:  # state written before old inputs were sent also holds the outputs
            old = {key: value for key, value in old.items() if key in _COMMAND_FIELDS}
        changes = without_ignored(compare(old, new, secrecy=True), request.ignore_changes)
        return Diff(changes=changes, replaces={path for path in changes if path == ("triggers",)})

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Run `create`, if there is one."""
        id_ = f"{request.name}{secrets.token_hex(4)}"
        if request.preview:
            return "", {**request.inputs, **dict.fromkeys(_output_names(request.inputs), UNKNOWN)}
        outputs: dict[str, Any] = {"stdout": "", "stderr": ""}
        command = plain(request.inputs.get("create"))
        if command is not None:
            outputs = await self._run(command, request, request.inputs, {})
        return id_, copy_secrets(request.inputs, {**request.inputs, **outputs})

    async def update(self, request: Request) -> dict[str, Any]:
        """Run `update`, or else `create`."""
        kept: dict[str, Any] = {
            key: request.state[key]
            for key in ("stdout", "stderr", "assets", "archive")
            if key in request.state
        }
        if request.preview:
            touched = any(
                has_unknown(request.inputs.get(key)) or compare(value, request.inputs.get(key), secrecy=True)
                for key, value in request.old_inputs.items()
                if not key.startswith("__")
            )
            unknown = dict.fromkeys(_output_names(request.inputs), UNKNOWN) if touched else {}
            return {**request.inputs, **kept, **unknown}
        command = plain(request.inputs.get("update", request.inputs.get("create")))
        if command is not None:
            kept |= await self._run(
                command, request, request.inputs, _previous(request.inputs, request.state)
            )
        return dict(copy_secrets(request.inputs, {**request.inputs, **kept}))

    async def delete(self, request: Request) -> None:
        """Run `delete`, if there is one."""
        command = plain(request.state.get("delete"))
        if command is not None:
            await self._run(command, request, request.state, _previous(request.state, request.state))

    async def configure(self, variables: dict[str, str]) -> None:
        """There is nothing to set up."""

    async def invoke(
        self, token: str, args: dict[str, Any], log: Log
    ) -> tuple[dict[str, Any], list[Failure]]:
        """`command:local:run`: run once, now, at previews as well."""
        if token != "command:local:run":  # noqa: S105 the name of a function
            return await super().invoke(token, args, log)
        inputs = plain(drop_nulls(args))
        failures = validate(inputs, _RUN_FIELDS)
        if "command" not in inputs:
            failures.append(Failure("command", "missing required field 'command'"))
        if failures:
            return {}, failures
        stdout, stderr = await run(inputs["command"], inputs, {}, log.status, self.cancelled)
        return {**inputs, "stdout": stdout, "stderr": stderr, **_files(inputs)}, []

    async def _run(
        self, command: str, request: Request, inputs: dict[str, Any], extra: dict[str, str]
    ) -> dict[str, Any]:
        """Run with the request's deadline; answers the computed outputs."""
        stop = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(request.timeout, stop.set) if request.timeout else None
        cancel = asyncio.create_task(_forward(self.cancelled, stop))
        try:
            values = plain(inputs)
            stdout, stderr = await run(command, values, extra, request.log.status, stop)
            return {"stdout": stdout, "stderr": stderr, **await asyncio.to_thread(_files, values)}
        finally:
            cancel.cancel()
            if timer:
                timer.cancel()


async def _forward(source: asyncio.Event, target: asyncio.Event) -> None:
    await source.wait()
    target.set()


def _files(inputs: dict[str, Any]) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    if inputs.get("assetPaths"):
        files = collect(inputs["assetPaths"], inputs.get("dir") or "")
        outputs["assets"] = {name: file_asset(path) for name, path in files.items()}
    if inputs.get("archivePaths"):
        outputs["archive"] = file_archive(collect(inputs["archivePaths"], inputs.get("dir") or ""))
    return outputs


def _output_names(inputs: dict[str, Any]) -> list[str]:
    names = ["stdout", "stderr"]
    names += ["assets"] if inputs.get("assetPaths") else []
    names += ["archive"] if inputs.get("archivePaths") else []
    return names


def _previous(inputs: dict[str, Any], state: dict[str, Any]) -> dict[str, str]:
    """What update and delete commands see of the last run's streams."""
    if plain(inputs.get("addPreviousOutputInEnv")) is False:
        return {}
    streams = {name: plain(state.get(name)) for name in ("stdout", "stderr")}
    return {f"PULUMI_COMMAND_{name.upper()}": text for name, text in streams.items() if text}


def _comparable(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "version" and not key.startswith("__")}


def validate(inputs: dict[str, Any], fields: dict[str, str]) -> list[Failure]:
    """Unrecognised names and wrong types, each with its path."""
    failures = []
    for name, value in inputs.items():
        bare = plain(value)
        if name in _NOTES:
            continue
        if name not in fields:
            failures.append(Failure(name, f"an unrecognized field '{name}' was specified"))
        elif fields[name] == "logging":
            if bare is not UNKNOWN and bare not in _LOGGING:
                failures.append(Failure(name, f"must be one of {', '.join(_LOGGING)}; got {bare!r}"))
        else:
            failures += _expect(bare, fields[name].removeprefix("any "), name)
            if fields[name] == "object" and isinstance(bare, dict):
                failures += [
                    f for key, item in bare.items() for f in _expect(item, "string", f"{name}.{key}")
                ]
            elif fields[name] == "array" and isinstance(bare, list):
                failures += [
                    f for index, item in enumerate(bare) for f in _expect(item, "string", f"{name}[{index}]")
                ]
    return failures


def _expect(value: Any, word: str, path: str) -> list[Failure]:
    got = _WORDS.get(type(value), type(value).__name__)
    if value is UNKNOWN or got == word:
        return []
    article = "an" if word[0] in "aeiou" else "a"
    return [
        Failure(path, f"Field '{path}' on 'local.Command' must be {article} '{word}'; got '{got}' instead")
    ]


async def serve(engine_address: str) -> None:
    """Run the plugin."""
    await serve_provider(CommandProvider, engine_address)
