"""What the program need not do: look at all values again, say what nobody reads, look for garbage."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Collection
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, resource

from stacks.program import sdk

RESOURCES = 60


class Echo(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(args.token)


class Own(pulumi.CustomResource):
    def __init__(self, name: str) -> None:
        super().__init__("of:our:Own", name, {})


def looked_at(monkeypatch: pytest.MonkeyPatch, *, begun: bool) -> int:
    """How many values the SDK looks at while a program of some resources ends."""
    pulumi.runtime.set_mocks(Echo())
    counted: list[int] = []
    wait = asyncio.wait

    async def counting(values: Collection[Any], **options: Any) -> Any:
        counted.append(len(values))
        return await wait(values, **options)

    monkeypatch.setattr(asyncio, "wait", counting)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    async def program() -> None:
        for number in range(RESOURCES):
            pulumi.CustomResource("of:our:Own", f"own-{number}", {"size": number})
        if begun:
            await sdk.begun()

    program()
    monkeypatch.setattr(asyncio, "wait", wait)
    return sum(counted)


def test_values_are_not_looked_at_again_for_each_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(monkeypatch, begun=True) < RESOURCES
    assert looked_at(monkeypatch, begun=False) > 10 * RESOURCES, "the SDK has learnt it: sdk.begun can go"


@pytest.mark.parametrize(("option", "said"), [("", False), ("false", False), ("true", True), ("1", True)])
def test_debug_messages_are_sent_when_the_engine_shows_them(
    option: str, said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)  # put back at the end
    sent: list[str] = []
    monkeypatch.setattr(pulumi.log, "_log", lambda _engine, _severity, message, *_: sent.append(message))
    monkeypatch.setattr(pulumi.log, "get_engine", object)
    monkeypatch.setenv(sdk.DEBUG, option)
    sdk.keep_quiet()
    pulumi.log.debug("a resource is registered")
    pulumi.log.warn("a disk is full")
    assert sent == (["a resource is registered"] if said else []) + ["a disk is full"]


@pytest.mark.parametrize(("option", "sent"), [("", False), ("true", True)])
def test_positions_in_the_sources_are_sent_when_the_engine_debugs(
    option: str, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "_get_stack_trace", resource._get_stack_trace)  # put back at the end
    monkeypatch.setenv(sdk.DEBUG, option)
    told: list[bool] = []

    class Told(mocks.MockMonitor):
        def RegisterResource(self, request: Any) -> Any:
            told.append(bool(request.stackTrace.frames and request.HasField("sourcePosition")))
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    pulumi.runtime.set_mocks(Echo(), monitor=Told(Echo()))  # type: ignore[no-untyped-call]
    sdk.forget_positions()

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        Own("own")

    program()
    assert told == [sent]


def test_no_garbage_is_looked_for_while_the_program_runs() -> None:
    try:
        sdk.collect_nothing()
        assert not gc.isenabled()
    finally:
        gc.enable()
