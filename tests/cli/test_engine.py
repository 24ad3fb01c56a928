"""Driving the engine: what a killed run leaves is repaired, what belongs to a living one is respected."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.report import Report
from cli.engine import Engine
from cli.errors import UserError
from cli.paths import Paths
from cli.toolchain import Toolchain

PULUMI = """#!/bin/sh
echo "$@" >> "$RECORD"
case "$*" in
  *"stack ls"*) cat "$LISTED" ;;
  *"stack export"*) cat "$STATE" ;;
  *"stack output"*) echo '{"kubeconfigs": {}}' ;;
  *"stack import"*) for last; do case "$last" in *.json) cp "$last" "$IMPORTED" ;; esac; done ;;
  *"stack init"*) echo 'encryptionsalt: v1:salt' >> Pulumi.dev.yaml ;;
esac
"""
DOCKER = """#!/bin/sh
echo "docker $@" >> "$RECORD"
case "$1 $2" in
  "container ls") cat "$CONTAINERS" ;;
  "ps --all") cat "$SERVERS" ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine whose pulumi and docker are recorders on PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in {"pulumi": PULUMI, "docker": DOCKER}.items():
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    for name, text in {
        "LISTED": '[{"name": "dev"}]',
        "STATE": '{"deployment": {}}',
        "CONTAINERS": "",
        "SERVERS": "",
    }.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("RECORD", str(tmp_path / "RECORD"))
    monkeypatch.setenv("IMPORTED", str(tmp_path / "IMPORTED"))
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "repository"
    root.mkdir()
    (root / "Pulumi.dev.yaml").write_text("config: {}\n")
    paths = Paths(root=root, cache=tmp_path / "cache", state=tmp_path / "state")
    exports = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PULUMI_HOME": str(paths.quiet_home)}
    made = Engine(Toolchain(paths=paths, mode="airgap", exports=exports), "dev", Report())
    made.backend.mkdir(parents=True)
    return made


def recorded(tmp_path: Path) -> str:
    return (tmp_path / "RECORD").read_text()


def test_what_is_asked_ahead_is_asked_once_and_counts_once(engine: Engine, tmp_path: Path) -> None:
    engine.ask_ahead()
    assert engine.secret_outputs() == {"kubeconfigs": {}}
    assert recorded(tmp_path).count("stack output --json --show-secrets") == 1
    engine.secret_outputs()  # they may be others by now
    assert recorded(tmp_path).count("stack output --json --show-secrets") == 2


def test_nothing_is_asked_ahead_of_an_environment_that_is_not_there(engine: Engine, tmp_path: Path) -> None:
    shutil.rmtree(engine.folder)
    engine.ask_ahead()
    assert not (tmp_path / "RECORD").exists()


def test_a_backend_of_the_users_is_shared_and_one_of_ours_is_not(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not engine.shared
    ours = engine.toolchain.paths.state / "environments" / "other" / "backend"
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{ours}")
    assert not engine.shared, "a shell of ./stack env has it"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    assert engine.shared


def test_the_passphrase_is_made_once_and_only_its_owner_can_read_it(engine: Engine) -> None:
    engine.ensure()
    first = engine.passphrase_file.read_text()
    assert stat.S_IMODE(engine.passphrase_file.stat().st_mode) == 0o600
    assert len(first) >= 32
    engine.ensure()
    assert engine.passphrase_file.read_text() == first


def test_a_new_stack_writes_its_salt_beside_the_state_and_not_into_the_repository(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "LISTED").write_text("[]")
    engine.ensure()
    assert "salt" not in (engine.toolchain.paths.root / "Pulumi.dev.yaml").read_text()
    assert "v1:salt" in (engine.folder / "Pulumi.dev.yaml").read_text()


def test_the_passphrase_never_stands_in_an_argument(engine: Engine, tmp_path: Path) -> None:
    engine.ensure()
    engine.up_quietly()
    assert engine.passphrase_file.read_text() not in recorded(tmp_path)


def test_temporary_files_end_with_their_run_or_before_the_next_one(engine: Engine, tmp_path: Path) -> None:
    script = Path(engine.toolchain.exports["PATH"].split(os.pathsep)[0]) / "pulumi"
    seen = 'stat -c "%a" "$TMPDIR" >> "$RECORD"; ls -A "$TMPDIR" >> "$RECORD"; echo a > "$TMPDIR/kubeconfig"'
    script.write_text(PULUMI.replace("case", f'case "$1" in up) {seen};; esac\ncase', 1))
    left = engine.folder / "tmp" / "multicluster-dapr-cluster-1.x"
    left.mkdir(parents=True)  # by a killed run
    engine.up()
    assert not left.parent.exists(), "plugins leave kubeconfigs there"
    assert "700" in recorded(tmp_path).split()
    assert left.name not in recorded(tmp_path)


def test_the_engine_keeps_a_log_of_an_up_unless_the_last_one_succeeded(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Path(engine.toolchain.exports["PATH"].split(os.pathsep)[0]) / "pulumi"
    kept = f'test "$PULUMI_HOME" != "{engine.toolchain.paths.pulumi_home}" || echo "logged $1" >> "$RECORD"'
    script.write_text(PULUMI.replace("case", f"{kept}; test ! -e broken || exit 255\ncase", 1))

    def logged() -> list[str]:
        found = [line for line in recorded(tmp_path).splitlines() if line.startswith("logged ")]
        (tmp_path / "RECORD").unlink()
        return found

    engine.up()
    assert logged() == ["logged up"]
    engine.up()
    assert logged() == []
    monkeypatch.setattr(engine, "_repair", list)
    broken = engine.toolchain.paths.root / "broken"
    broken.touch()
    with pytest.raises(UserError, match="pulumi up failed"):
        engine.up()
    broken.unlink()
    assert logged() == []
    engine.up()
    assert logged() == ["logged up"]
    engine.ensure()
    engine.preview([], diff=False, told=tmp_path / "told")
    engine.up_quietly()
    assert logged() == []
    engine.destroy()
    assert logged() == ["logged destroy"]


def test_a_home_that_is_not_ours_is_left_alone(engine: Engine) -> None:
    theirs = replace(engine.toolchain, exports={"PULUMI_HOME": "/home/user/.pulumi"})
    assert theirs.logging == {}


def test_the_backend_is_asked_for_an_environment_until_it_knows_it(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "LISTED").write_text("[]")
    assert not engine.exists()
    (tmp_path / "LISTED").write_text('[{"name": "dev"}]')
    assert engine.exists()
    assert engine.exists()
    assert recorded(tmp_path).count("stack ls") == 2
    engine.ensure()
    engine.destroy()
    (tmp_path / "LISTED").write_text("[]")
    engine.backend.mkdir(parents=True)
    assert not engine.exists()


def test_a_state_in_a_backend_of_ours_is_read_and_one_in_another_is_asked_for(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = engine.backend / ".pulumi" / "stacks" / "multicluster-dapr" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"version": 3, "checkpoint": {"latest": {"resources": [{"id": "one"}]}}}')
    assert engine.exists()
    assert engine.resources() == [{"id": "one"}]
    assert not (tmp_path / "RECORD").exists()
    engine.state(show_secrets=True)
    assert "stack export --show-secrets" in recorded(tmp_path)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://theirs")
    (tmp_path / "LISTED").write_text("[]")
    assert not engine.exists()


def test_what_is_to_be_made_again_is_named_to_the_engine(engine: Engine, tmp_path: Path) -> None:
    engine.up(replace=["**cluster-1-membership-bootstrap-token"])
    assert "--replace **cluster-1-membership-bootstrap-token" in recorded(tmp_path)


def lock(engine: Engine, pid: int) -> Path:
    folder = engine.backend / ".pulumi" / "locks" / "organization" / "multicluster-dapr" / "dev"
    folder.mkdir(parents=True)
    path = folder / "one.json"
    path.write_text(json.dumps({"pid": pid}))
    return path


def test_the_lock_of_a_dead_pulumi_is_removed(engine: Engine) -> None:
    path = lock(engine, 2**22 + 1)  # above the kernel's largest process id
    engine.up()
    assert not path.exists()


@pytest.fixture
def other_pulumi(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of that name, as another shell's `pulumi up` is one."""
    program = tmp_path / "elsewhere" / "pulumi"
    program.parent.mkdir()
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "60"])
    yield process
    process.kill()
    process.wait()


def test_the_lock_of_a_living_pulumi_is_respected(
    engine: Engine, other_pulumi: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.engine.DYING_SECONDS", 0.0)
    path = lock(engine, other_pulumi.pid)
    with pytest.raises(UserError, match=f"process {other_pulumi.pid}"):
        engine.up()
    assert path.exists()


def test_the_lock_of_a_pulumi_that_is_just_ending_is_removed(
    engine: Engine, other_pulumi: subprocess.Popen[bytes]
) -> None:
    path = lock(engine, other_pulumi.pid)
    threading.Timer(0.3, other_pulumi.kill).start()  # nobody reaps it: it stays as a zombie
    engine.up()
    assert not path.exists()


def test_the_lock_of_a_process_whose_number_was_used_again_is_removed(engine: Engine) -> None:
    path = lock(engine, os.getpid())
    engine.up()
    assert not path.exists()


def test_pending_creates_of_a_killed_run_leave_the_state(engine: Engine, tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "deployment": {
            "pending_operations": [
                {"type": "creating", "resource": {}},
                {"type": "deleting", "resource": {}},
            ],
            "resources": [],
        }
    }
    (tmp_path / "STATE").write_text(json.dumps(state))
    engine.up()
    imported = json.loads((tmp_path / "IMPORTED").read_text())
    assert [item["type"] for item in imported["deployment"]["pending_operations"]] == ["deleting"]
    assert not list(engine.folder.glob("repaired*")), "the copy of the state is removed"


def test_a_container_the_state_does_not_know_is_removed_and_a_known_one_is_not(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "STATE").write_text(json.dumps({"deployment": {"resources": [{"id": "known"}]}}))
    rows = [
        {"ID": "known", "Names": "redis"},
        {"ID": "lost", "Names": "old"},
        {"ID": "n", "Names": "k3d-cluster-1"},
    ]
    (tmp_path / "CONTAINERS").write_text("\n".join(json.dumps(row) for row in rows))
    engine.up()
    removed = [line for line in recorded(tmp_path).splitlines() if " rm " in line]
    assert removed == ["docker container rm --force lost"], "cluster nodes belong to the cluster component"


def _cluster(name: str, **more: Any) -> dict[str, Any]:
    kind = "multicluster-dapr:cluster:K3dCluster$command:local:Command"
    return {"urn": f"urn:pulumi:dev::multicluster-dapr::{kind}::{name}-k3d", "id": name, **more}


@pytest.mark.parametrize("operation", ["up", "preview"])
def test_a_cluster_that_is_gone_is_created_again(operation: str, engine: Engine, tmp_path: Path) -> None:
    resources = [_cluster("here"), _cluster("gone"), _cluster("deleted", pendingReplacement=True)]
    (tmp_path / "STATE").write_text(json.dumps({"deployment": {"resources": resources}}))
    (tmp_path / "SERVERS").write_text("here\n")
    if operation == "up":
        engine.up()
    else:
        engine.preview(resources, diff=False, told=tmp_path / "told")
    (ran,) = [line for line in recorded(tmp_path).splitlines() if line.startswith(f"{operation} ")]
    assert ran.count("--replace") == 1, ran
    assert f"--replace {resources[1]['urn']} " in ran


def test_a_failed_operation_ends_with_one_message(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(engine.toolchain.exports["PATH"].split(os.pathsep)[0]) / "pulumi"
    script.write_text(PULUMI.replace("case", 'case "$1" in up) exit 255;; esac\ncase', 1))
    with pytest.raises(UserError, match=r"pulumi up failed.*goes on where it stopped"):
        engine.up()


def test_a_passphrase_is_not_made_for_a_file_salted_for_another(engine: Engine) -> None:
    source = engine.toolchain.paths.root / "Pulumi.dev.yaml"
    source.write_text(source.read_text() + "encryptionsalt: v1:of-an-earlier-run\n")
    with pytest.raises(UserError, match="has an encryptionsalt"):
        engine.ensure()
    assert not engine.passphrase_file.exists()


def test_a_shell_that_read_another_environments_variables_does_not_mix_the_two(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in Engine(engine.toolchain, "gone", engine.progress).exports.items():
        monkeypatch.setenv(name, value)
    assert engine.exports["PULUMI_BACKEND_URL"] == f"file://{engine.backend}"
    assert engine.exports["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(engine.passphrase_file)


def test_a_backend_and_a_passphrase_of_the_users_are_theirs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://theirs")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/their/file")
    assert engine.exports["PULUMI_BACKEND_URL"] == "s3://theirs"
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in engine.exports
