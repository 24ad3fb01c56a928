"""An environment that can be looked at again and again: its settings, its open APIs, its containers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from airgap import lock
from cli import docker_objects, preflight
from cli.drill.journal import Journal
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.api import Api, open_apis
from cli.observe.client_config import client_configs
from cli.observe.collect import observe
from cli.observe.present import refuse_absent
from cli.observe.view import Platform
from stacks.config.model import Settings


@dataclass(frozen=True, kw_only=True)
class Running:
    """An environment that is up, or half-way up."""

    engine: Engine
    settings: Settings
    apis: Mapping[str, Api]
    missing: Mapping[str, str]

    async def look(self, before: Platform | None = None) -> Platform:
        """What is there now. With an earlier look it takes one turn less."""
        platform, containers = await asyncio.gather(
            observe(self.engine.environment, self.settings, self.apis, missing=self.missing, before=before),
            asyncio.to_thread(self._containers),
        )
        return replace(
            platform, containers=containers or {}, docker=containers is not None, drill=self._drill()
        )

    def _drill(self) -> str:
        """What a drill has taken away and not put back, and whether it is at work still."""
        if not (said := Journal(self.engine.folder).said()):
            return ""
        working = lock.holder(self.engine.toolchain.paths.cache, self.engine.environment)
        if working.startswith("./stack drill "):
            return f"{said} ({working}, is at work)"
        return f"{said}; that drill ended without putting it back"

    def _containers(self) -> dict[str, str] | None:
        try:
            return docker_objects.states(self.engine.toolchain.env, self.engine.environment)
        except UserError:
            return None  # no Docker: clusters of someone else need none, and doctor's machine checks tell


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Running]:
    """The environment with its APIs open. Raises NotUpError."""
    settings = preflight.checked_settings(engine.toolchain.paths, engine.environment)
    try:
        found, missing = client_configs(engine, settings)
    except UserError:
        refuse_absent(engine)  # asked only now: each question to the engine takes it half a second
        raise
    async with open_apis(found, engine.toolchain.env) as apis:
        yield Running(engine=engine, settings=settings, apis=apis, missing=missing)
