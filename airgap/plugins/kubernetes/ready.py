"""Waiting until an object is ready, or gone: the loop, its deadlines, and the user's own conditions."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from airgap.plugins.base.provider import ProviderError
from airgap.plugins.base.values import UNKNOWN
from airgap.plugins.kubernetes import pods
from airgap.plugins.kubernetes.client import ApiError, Kind
from airgap.plugins.kubernetes.objects import annotation, at, metadata
from airgap.plugins.kubernetes.rules import RULES, FailedForGoodError, Rule, Wait, condition, unseen

_DEFAULT_SECONDS = 600.0
_FIRST_POLL_SECONDS = 0.05
_POLL_SECONDS = 0.5
_TOKEN_SECONDS = 30.0  # the official plugin gives up after 5, too few for a machine that makes four clusters
_WAIT_FOR = re.compile(
    r"jsonpath=\{?\.?(?P<path>[^{}=]+)\}?(?:=(?P<value>.*))?|condition=(?P<type>[^=]+)(?:=(?P<status>.*))?"
)
_PATH_PART = re.compile(r"""([^.\[\]'"]+)|\[['"]?([^\]'"]+)['"]?\]""")


class NotReadyError(Exception):
    """Waiting ended without success; `live` is the last object seen, `reasons` what it lacked."""

    def __init__(self, message: str, live: dict[str, Any], reasons: list[str]) -> None:
        super().__init__(message)
        self.live = live
        self.reasons = reasons


async def until(wait: Wait, seconds: float, done: Callable[[], Awaitable[bool]]) -> str:
    """Ask, ever more rarely, until it is so: ""; or why that was given up: "timed out", "cancelled"."""
    deadline, pause = time.monotonic() + seconds, _FIRST_POLL_SECONDS
    while not await done():
        if time.monotonic() >= deadline:
            return "timed out"
        if await sleep_or(wait.cancelled, pause):
            return "cancelled"
        pause = min(pause * 1.5, _POLL_SECONDS)
    return ""


async def sleep_or(event: asyncio.Event, seconds: float) -> bool:
    """Sleep until the time is over (False) or the event is set (True)."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


async def wait_ready(wait: Wait, kind: Kind, live: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait until `live` is ready by its rule; answers the last object. Raises NotReadyError."""
    rule = custom_rule(annotation(inputs, "pulumi.com/waitFor")) or RULES.get((kind.api_version, kind.kind))
    if rule is None or skips_waiting(inputs):
        return live
    name, looks, reasons = metadata(live)["name"], 0, [""]

    async def ready() -> bool:
        nonlocal live, looks, reasons
        if looks:
            live = await _look(wait, kind, live)
        looks += 1
        before = reasons[0]
        reasons = await rule(wait, live)
        if reasons and reasons[0] != before:
            await wait.log.status(reasons[0])
        return not reasons

    seconds = _TOKEN_SECONDS if kind.kind == "Secret" else wait.timeout or _DEFAULT_SECONDS
    try:
        ended = await until(wait, seconds, ready)
    except FailedForGoodError as error:
        message = f"Resource '{name}' was created but failed to initialize"
        raise NotReadyError(message, live, [str(error)]) from error
    if ended == "timed out":
        reasons += await pods.complaints(wait.client, live)
        raise NotReadyError(f"'{name}' timed out waiting to be Ready", live, reasons)
    if ended:
        raise NotReadyError(f'Resource operation was cancelled for "{name}"', live, reasons)
    await wait.log.status("")
    return live


def skips_waiting(values: dict[str, Any]) -> bool:
    """Whether the program asked not to wait for this object."""
    return annotation(values, "pulumi.com/skipAwait") == "true"


async def _look(wait: Wait, kind: Kind, live: dict[str, Any]) -> dict[str, Any]:
    """The object as it is now; as it was when the API server pauses: the deadline still holds."""
    meta = metadata(live)
    try:
        now = await wait.client.get(kind, meta.get("namespace", ""), meta["name"])
    except (ApiError, OSError):
        return live
    if now is None:
        gone = f'{kind.kind} "{meta["name"]}" was deleted while waiting for it'
        raise NotReadyError(gone, live, [gone])
    return now


async def first_look(wait: Wait, kind: Kind, live: dict[str, Any]) -> list[str]:
    """What an object lacks right now, for a refresh; [] when it is ready."""
    rule = RULES.get((kind.api_version, kind.kind))
    # A Service needs ten quiet seconds and a Secret no second look.
    if rule is None or skips_waiting(live) or kind.kind in ("Service", "Secret"):
        return []
    try:
        return await rule(wait, live)
    except FailedForGoodError as error:
        return [str(error)]


def custom_rule(text: str) -> Rule | None:
    """The rule of a pulumi.com/waitFor annotation: a jsonpath, a condition, or a JSON list of them."""
    if not text:
        return None
    try:
        expressions = json.loads(text) if text.lstrip().startswith("[") else [text]
    except ValueError as error:
        raise ProviderError(f"invalid pulumi.com/waitFor annotation {text!r}: {error}") from error
    wanted = [_expression(one) for one in expressions]

    async def rule(wait: Wait, live: dict[str, Any]) -> list[str]:  # noqa: ARG001
        return [missing for one in wanted if (missing := _missing(one, live))]

    return rule


def _expression(text: str) -> re.Match[str]:
    found = _WAIT_FOR.fullmatch(text)
    if found is None:
        raise ProviderError(
            f"invalid pulumi.com/waitFor expression {text!r}: "
            "use jsonpath={.path}[=value] or condition=Type[=Status]"
        )
    return found


def _missing(wanted: re.Match[str], live: dict[str, Any]) -> str:
    """What one expression still waits for, "" when it holds."""
    if wanted["type"]:
        if "observedGeneration" in live.get("status", {}) and (late := unseen(live)):
            return late[0]
        status = condition(live, wanted["type"]).get("status", "")
        return "" if status.lower() == (wanted["status"] or "True").lower() else f"Waiting for {wanted[0]}"
    parts = _PATH_PART.findall(wanted["path"])
    value = at(live, tuple(int(inside) if inside.isdigit() else bare or inside for bare, inside in parts))
    if value is UNKNOWN:
        return f"Missing {wanted['path']}"
    found = value if isinstance(value, str) else json.dumps(value)
    expected = wanted["value"]
    if expected is None or found == expected.strip("'\""):
        return ""
    return f"Waiting for {wanted[0]} (now {found})"
