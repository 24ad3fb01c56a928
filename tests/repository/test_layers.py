"""Rules about imports that .importlinter cannot say: about single files, and names inside modules."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What stands alone: it runs before, or outside, any environment with packages in it.
BARE = ("stack", "airgap/runc_wrapper.py", "airgap/images/node/k3s_node/*.py")
# A distribution's name where it is not that of the module it brings.
MODULES = {
    "google-re2": "re2",
    "prometheus-client": "prometheus_client",
    "pulumi-command": "pulumi_command",
    "pulumi-docker": "pulumi_docker",
    "pulumi-kubernetes": "pulumi_kubernetes",
    "pyyaml": "yaml",
}
REQUIREMENTS = {
    "requirements.in": (
        "__main__.py",
        "stacks/**/*.py",
        "components/**/*.py",
        "cli/**/*.py",
        "airgap/**/*.py",
    ),
    "proxy/requirements.in": ("proxy/gateway/**/*.py",),
    "apps/nodeapp/requirements.in": ("apps/nodeapp/*.py",),
}
OURS = {"airgap", "bench", "cli", "components", "gateway", "k3s_node", "multicluster_dapr", "stacks"}
# Part of the interface of a package that is asked for, which pins them: pulumi's protocol, pydantic's errors,
# docker's transport.
BROUGHT_ALONG = {"google", "grpc", "pydantic_core", "requests"}


def files(*patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        found = [path for path in sorted(ROOT.glob(pattern)) if "__pycache__" not in path.parts]
        assert found, f"{pattern} matches nothing: this list is out of date"
        yield from found


def imported(path: Path) -> set[str]:
    """Top-level names of every module a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


def requirements(name: str) -> list[str]:
    """Names of the distributions a .in file asks for itself."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return [re.split(r"[=<>~!\[; ]", line)[0] for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize("path", list(files(*BARE)), ids=str)
def test_what_runs_without_an_environment_needs_the_standard_library_only(path: Path) -> None:
    assert imported(path) <= sys.stdlib_module_names | {"k3s_node"}


def test_the_demo_service_imports_nothing_of_ours() -> None:
    for path in files("apps/**/*.py"):
        assert not imported(path) & OURS, f"{path} imports another package of ours"


def test_the_entry_point_of_the_program_only_joins_its_parts() -> None:
    assert imported(ROOT / "__main__.py") <= {"__future__", "pulumi", "stacks", "sys"}


def test_components_never_read_configuration_or_environment() -> None:
    for path in files("components/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                name = ast.unparse(node)
                assert not re.match(
                    r"pulumi\.(Config|config|get_stack|runtime)\b|os\.(environ|getenv)\b", name
                ), f"{path}:{node.lineno} reads {name}; it belongs into the component's arguments"


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_each_requirements_file_lists_exactly_what_is_imported(name: str) -> None:
    known = sys.stdlib_module_names | OURS | BROUGHT_ALONG
    used = set().union(*(imported(path) for path in files(*REQUIREMENTS[name]))) - known
    assert used == {MODULES.get(distribution, distribution) for distribution in requirements(name)}
