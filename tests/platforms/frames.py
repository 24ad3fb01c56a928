"""A source of frames for the live page in which a test changes the world."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from platforms.moments import Moving, moment
from platforms.world import World

from cli.dashboard.frame import Moment, frame
from cli.dashboard.schema import Frame
from cli.dashboard.words import Query, about
from cli.doctor.paths import path_checks
from cli.doctor.platform import platform_checks


class FakeCollector:
    """Frames of a world, or of a moment that is given, each second and when `touch` is called."""

    def __init__(self, fixed: Moment | None = None) -> None:
        self.world = World()
        self.moving: Moving = {}
        self.fixed = fixed
        self.said: dict[str, str] = {}
        """Words that are put in place of others, wherever in a frame."""
        self.asked: list[Query] = []
        self._change = asyncio.Event()

    def touch(self) -> None:
        """Something has changed."""
        self._change.set()
        self._change = asyncio.Event()

    def frame(self, query: Query) -> Frame:
        self.asked.append(query)
        now = time.time()
        shown = self.fixed or moment(self.world, self.moving)
        shown = replace(
            shown, readings=[replace(one, seen=now) if not one.error else one for one in shown.readings]
        )
        said: Frame = replaced(frame(shown, query, now), self.said)
        return said

    def next_change(self) -> asyncio.Event:
        return self._change

    async def doctor(self, subject: str) -> dict[str, Any]:
        platform = self.world.platform()
        checks = [*platform_checks(platform), *path_checks(platform, self.world.reached())]
        found = [check.as_json() for check in checks if about(check, subject)]
        return {"at": time.time(), "checks": replaced(found, self.said)}


def replaced(value: Any, words: dict[str, str]) -> Any:
    """The same with words in place of others."""
    if isinstance(value, dict):
        return {replaced(name, words): replaced(one, words) for name, one in value.items()}
    if isinstance(value, list):
        return [replaced(one, words) for one in value]
    if isinstance(value, str):
        for word, other in words.items():
            value = value.replace(word, other)
    return value
