"""Entry of every launcher: `main(<name>)` serves that plugin on loopback until the engine is done."""

import asyncio
import gc
import importlib
import importlib.util
import sys
import types
from pathlib import Path

PLUGINS = ("command", "docker", "language")


def _bare_pulumi() -> None:
    """Make `pulumi.runtime.proto` importable without running the SDK's own `__init__`.

    The stubs are all a plugin needs; the rest of the SDK costs 0.3 s and 14 MB in each of a dozen processes.
    """
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"the Pulumi SDK is not installed in {sys.prefix}; install requirements.lock into it")
    root = Path(next(iter(spec.submodule_search_locations)))
    for name, path in (
        ("pulumi", root),
        ("pulumi.runtime", root / "runtime"),
        ("pulumi.runtime.proto", root / "runtime" / "proto"),
    ):
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module


def main(name: str) -> None:
    """Serve the plugin `name`."""
    if name not in PLUGINS:
        sys.exit(f"unknown plugin {name!r}; known: {', '.join(PLUGINS)}")
    gc.disable()  # modules stay: to look among them for what nobody needs takes a fifth of their loading
    _bare_pulumi()
    module = importlib.import_module(f"airgap.plugins.{name}.plugin")
    gc.freeze()
    gc.enable()
    # The engine's address comes last, after its flags; who has no engine gives none.
    asyncio.run(module.serve(sys.argv[-1] if len(sys.argv) > 1 else ""))
