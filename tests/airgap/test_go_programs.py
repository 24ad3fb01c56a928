"""Programs are built once per recipe; a failed build leaves nothing half-made and says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap import tools
from airgap.gobuild import build_argv, ensure_programs, is_built, program_path
from airgap.images import recipes
from airgap.programs import GO_FOLDER, Program, programs
from airgap.report import SupplyError
from airgap.versions import VERSIONS_FILE, load_versions

Put = Callable[[str, str], Path]

ONE = Program(
    name="one", version="1.2.3", module="platform", package="example.org/one", variables={"a.b": "v1"}
)
TWO = Program(name="two", version="4.5.6", module="platform", package="example.org/two")
OTHER = Program(name="other", version="7", module="dapr", package="example.org/other")

# Stands in for Go: `go list` names two packages, `go build -o DIR/ PACKAGE...` writes one file per package.
GO = r"""
echo "$1" >> "$CALLS"
if [ "$1" = list ]; then echo example.org/a; echo example.org/b; exit 0; fi
echo example.org/a
while [ "$1" != -o ]; do shift; done
out=$2; shift 2
for package in "$@"; do echo built > "$out/$(basename "$package")"; done
"""


@pytest.fixture
def go(command: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    calls = tmp_path / "calls"
    calls.touch()
    monkeypatch.setenv("CALLS", str(calls))
    command("go", GO)
    return calls


def test_missing_programs_are_built_with_one_call_per_module(go: Path, tmp_path: Path, report: Any) -> None:
    paths = ensure_programs(tmp_path / "cache", [ONE, TWO, OTHER], report)
    assert paths["one"] == tmp_path / "cache/tools/one-1.2.3/one"
    assert all(path.read_text() == "built\n" for path in paths.values())
    assert go.read_text().split().count("build") == 2, "two modules, so two builds"
    assert "1 of at most 2 packages compiled, now example.org/a" in report.updates


def test_a_built_program_is_not_built_again(go: Path, tmp_path: Path, report: Any) -> None:
    ensure_programs(tmp_path, [ONE], report)
    go.write_text("")
    ensure_programs(tmp_path, [ONE], report)
    assert go.read_text() == "", "Go is not even asked"
    assert len(report.steps) == 1


def test_a_changed_recipe_builds_again(go: Path, tmp_path: Path, report: Any) -> None:
    ensure_programs(tmp_path, [ONE], report)
    changed = Program(**{**vars(ONE), "variables": {"a.b": "v2"}})
    assert changed.recipe != ONE.recipe
    assert not is_built(tmp_path, changed)


def test_a_program_without_its_stamp_counts_as_half_made(go: Path, tmp_path: Path, report: Any) -> None:
    ensure_programs(tmp_path, [ONE], report)
    program_path(tmp_path, ONE).with_name("recipe").unlink()
    assert not is_built(tmp_path, ONE)


def test_a_failed_build_shows_the_last_lines_and_leaves_nothing(
    command: Put, tmp_path: Path, report: Any
) -> None:
    command("go", 'echo "x.go:1: undefined: y"; exit 3')
    with pytest.raises(SupplyError, match=r"(?s)exit code 3.*undefined: y.*proxy"):
        ensure_programs(tmp_path, [ONE], report)
    assert list((tmp_path / "tools").iterdir()) == []


def test_without_go_the_message_says_what_why_and_what_to_do(
    tmp_path: Path, report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SupplyError, match=r"(?s)one 1\.2\.3.*no `go` is on PATH.*Install Go"):
        ensure_programs(tmp_path, [ONE], report)


def test_the_build_command_carries_every_programs_version() -> None:
    argv = build_argv("go", [ONE, TWO], Path("/out"))
    assert "-ldflags=-s -w -X a.b=v1" in argv
    assert argv[-4:] == ["-o", "/out/", "example.org/one", "example.org/two"]


def test_every_program_of_the_project_has_a_recipe_of_its_own() -> None:
    known = programs(load_versions())
    assert len({program.recipe for program in known.values()}) == len(known)
    assert known["scheduler"].module != known["kube"].module


def test_every_dapr_program_is_of_the_version_on_file_and_so_is_the_chart() -> None:
    version = load_versions().dapr
    known = programs(load_versions())
    assert {known[name].module for name in recipes.DAPR_PROGRAMS} == {"dapr"}
    assert {known[name].version for name in recipes.DAPR_PROGRAMS} == {version}
    module = (GO_FOLDER / "dapr" / "go.mod").read_text()
    assert f"\nrequire github.com/dapr/dapr v{version}\n" in module, "required alone"
    chart = yaml.safe_load(VERSIONS_FILE.read_text())["charts"]["dapr"]
    assert chart["version"] == version


def test_the_source_of_our_own_mains_is_part_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.programs.GO_FOLDER", tmp_path)
    folder = tmp_path / "platform" / "cmd" / "x"
    folder.mkdir(parents=True)
    program = Program(name="x", version="1", module="platform", package="./cmd/x")
    (folder / "main.go").write_text("package main")
    before = program.recipe
    (folder / "main.go").write_text("package main // changed")
    assert program.recipe != before


def test_a_file_of_another_module_is_laid_beside_our_main(command: Put, tmp_path: Path, report: Any) -> None:
    command(
        "go",
        """
        if [ "$1" = mod ]; then echo '{"Dir": "/modules/official"}'; exit 0; fi
        for argument in "$@"; do case $argument in -overlay=*) cp "${argument#-overlay=}" "$OUT";; esac; done
        while [ "$1" != -o ] && [ $# -gt 0 ]; do shift; done
        [ -z "$2" ] || echo built > "$2/one"
        """.replace("$OUT", str(tmp_path / "overlay")),
    )
    embedding = {**vars(ONE), "package": ".", "embeds": {"x.json": ("example.org/official", "cmd/x.json")}}
    ensure_programs(tmp_path / "cache", [Program(**embedding)], report)
    ((laid, found),) = json.loads((tmp_path / "overlay").read_text())["Replace"].items()
    assert laid.endswith("airgap/go/platform/x.json")
    assert found == "/modules/official/cmd/x.json"


def test_the_kubernetes_provider_is_the_release_whose_sdk_the_program_uses() -> None:
    module = (GO_FOLDER / "kubernetes" / "go.mod").read_text()
    assert f"is release v{load_versions().kubernetes_provider}" in module


def test_kubectl_is_the_kubernetes_binary_called_by_that_name(go: Path, tmp_path: Path, report: Any) -> None:
    made = tools.ensure_tools(tmp_path, report, names=["kubectl"])
    assert made["kubectl"].name == "kubectl"
    assert made["kubectl"].resolve().name == "kube"
    assert tools.present_tools(tmp_path).keys() == {"kubectl"}


def test_an_unknown_tool_is_refused(tmp_path: Path, report: Any) -> None:
    with pytest.raises(SupplyError, match=r"No such tool: kind.*pulumi, k3d"):
        tools.ensure_tools(tmp_path, report, names=["kind"])
