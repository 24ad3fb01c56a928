"""Waiting until an object is ready: the loop, its deadlines, and the user's own conditions."""

import asyncio
import json
import re
import time
from typing import Any

from airgap.plugins.base.provider import ProviderError
from airgap.plugins.kubernetes import pods
from airgap.plugins.kubernetes.client import ApiError, Kind
from airgap.plugins.kubernetes.objects import annotation, metadata
from airgap.plugins.kubernetes.rules import RULES, FailedForGoodError, Rule, Wait, condition, has_seen_change

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


def seconds_to_wait(timeout: float, values: dict[str, Any]) -> float:
    """customTimeouts, else the object's own annotation, else ten minutes."""
    annotated = annotation(values, "pulumi.com/timeoutSeconds")
    return timeout or (float(annotated) if annotated.isdigit() else _DEFAULT_SECONDS)


async def wait_ready(wait: Wait, kind: Kind, live: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait until `live` is ready by its rule; answers the last object. Raises NotReadyError."""
    if annotation(inputs, "pulumi.com/skipAwait") == "true":
        return live
    rule = custom_rule(annotation(inputs, "pulumi.com/waitFor")) or RULES.get((kind.api_version, kind.kind))
    if rule is None:
        return live
    seconds = _TOKEN_SECONDS if kind.kind == "Secret" else seconds_to_wait(wait.timeout, inputs)
    meta = metadata(live)
    shown, pause = "", _FIRST_POLL_SECONDS
    while True:
        try:
            reasons = await rule(wait, live)
        except FailedForGoodError as error:
            message = f"Resource '{meta['name']}' was created but failed to initialize"
            raise NotReadyError(message, live, [str(error)]) from error
        if not reasons:
            wait.log.status("")
            return live
        if reasons[0] != shown:
            shown = reasons[0]
            wait.log.status(shown)
        if time.monotonic() - wait.started >= seconds:
            reasons += await pods.complaints(wait.client, live)
            raise NotReadyError(f"'{meta['name']}' timed out waiting to be Ready", live, reasons)
        if await sleep_or(wait.cancelled, pause):
            message = f'Resource operation was cancelled for "{meta["name"]}"'
            raise NotReadyError(message, live, reasons)
        pause = min(pause * 1.5, _POLL_SECONDS)
        live = await _look(wait, kind, live)


async def sleep_or(event: asyncio.Event, seconds: float) -> bool:
    """Sleep until the time is over (False) or the event is set (True)."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _look(wait: Wait, kind: Kind, live: dict[str, Any]) -> dict[str, Any]:
    """The object as it is now; as it was when the API server pauses: the deadline still holds."""
    meta = metadata(live)
    try:
        return await wait.client.get(kind, meta.get("namespace", ""), meta["name"])
    except ApiError as error:
        if error.code != 404:
            return live
        gone = f'{kind.kind} "{meta["name"]}" was deleted while waiting for it'
        raise NotReadyError(gone, live, [gone]) from error
    except OSError:
        return live


async def first_look(wait: Wait, kind: Kind, live: dict[str, Any]) -> list[str]:
    """What an object lacks right now, for a refresh; [] when it is ready."""
    rule = RULES.get((kind.api_version, kind.kind))
    # A Service needs ten quiet seconds and a Secret no second look.
    if (
        rule is None
        or annotation(live, "pulumi.com/skipAwait") == "true"
        or kind.kind in ("Service", "Secret")
    ):
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
        if not has_seen_change(live):
            return "Waiting for the controller to see the change"
        status = condition(live, wanted["type"]).get("status", "")
        return "" if status.lower() == (wanted["status"] or "True").lower() else f"Waiting for {wanted[0]}"
    value: Any = live
    for bare, bracket in _PATH_PART.findall(wanted["path"]):
        name = bare or bracket
        members = {str(index): item for index, item in enumerate(value)} if isinstance(value, list) else value
        if not isinstance(members, dict) or name not in members:
            return f"Missing {wanted['path']}"
        value = members[name]
    found = value if isinstance(value, str) else json.dumps(value)
    expected = wanted["value"]
    if expected is None or found == expected.strip("'\""):
        return ""
    return f"Waiting for {wanted[0]} (now {found})"
