"""The command line tools of `./stack` and a plugin, built from Go modules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airgap import leftovers
from airgap.gobuild import ensure_programs, is_built, program_path
from airgap.programs import KUBERNETES_PROVIDER, Program, programs
from airgap.report import Report, SupplyError
from airgap.run import explain_disk_full
from airgap.versions import load_versions

NAMES = ("pulumi", "k3d", "helm", "kubectl")
OF_BENCH = ("traefik", "daprd")
"""What `./stack bench` alone asks for: to compare with, and Dapr's sidecar as a process."""
OF_YAML = ("pulumi-language-yaml",)
"""What programs in Pulumi YAML want beside `pulumi`; nothing here is written in it but a test."""
OF_AIRGAP = (KUBERNETES_PROVIDER,)
"""What is for the engine alone, and downloaded by it where it can be."""
_BUILT_AS = {"kubectl": "kube"}  # kubectl is the Kubernetes binary called by that name


def ensure_tools(cache: Path, report: Report, names: Sequence[str] = NAMES) -> dict[str, Path]:
    """Path of each tool by name, building those that are not in the cache."""
    known = _tools()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SupplyError(f"No such tool: {', '.join(unknown)}; known are {', '.join(known)}.")
    leftovers.clear(cache)
    with explain_disk_full(cache):
        ensure_programs(cache, [known[name] for name in names], report)
    return {name: _tool_path(cache, name, known[name]) for name in names}


def to_build(names: Sequence[str]) -> list[Program]:
    """The programs behind these tools."""
    known = _tools()
    return [known[name] for name in names]


def present_tools(cache: Path) -> dict[str, Path]:
    """Those of the tools that are in the cache already."""
    built = {name: program for name, program in _tools(NAMES).items() if is_built(cache, program)}
    return {name: _tool_path(cache, name, program) for name, program in built.items()}


def _tools(names: Sequence[str] = (*NAMES, *OF_BENCH, *OF_YAML, *OF_AIRGAP)) -> dict[str, Program]:
    known = programs(load_versions())
    return {name: known[_BUILT_AS.get(name, name)] for name in names}


def _tool_path(cache: Path, name: str, program: Program) -> Path:
    built = program_path(cache, program)
    if name == program.name:
        return built
    link = cache / "tools" / f"{name}-{program.version}" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != built:
        fresh = link.with_name(f".{name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(built)
        fresh.replace(link)
    return link
