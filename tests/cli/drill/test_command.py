"""A whole drill on a platform in memory: what is refused, what is told, and that all is put back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import yaml
from platforms.world import CONFIG, World

from airgap.lock import exclusive
from airgap.report import Report
from cli import commands
from cli.arguments import parser
from cli.doctor.check import Check
from cli.doctor.platform import platform_checks
from cli.drill import act, command, running
from cli.drill.calls import Call, begun
from cli.drill.journal import Journal
from cli.drill.losses import Client, Loss, Scaled, Stopped
from cli.errors import UserError
from cli.observe.environment import Running
from cli.observe.present import NotUpError, refuse_absent
from cli.observe.view import Platform
from cli.paths import PROJECT, Paths

ROOT = Path(__file__).resolve().parents[3]
LOSE = ("--lose", "gateway:cluster-1", "--from", "cluster-2", "--for", "10s")


@dataclass
class Clock:
    """Time that passes by itself alone while a drill sleeps."""

    now: float = 1_000_000.0

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Acts:
    """What was taken and put back, in order, and when it is."""

    said: list[str] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def take(self, _tools: object, loss: Loss) -> None:
        self.said.append(f"take {loss.words}")

    def put_back(self, _tools: object, loss: Loss, *, wait: bool) -> None:
        self.said.append(f"put back {loss.words}{' and wait' if wait else ''}")


@dataclass
class FakeTraffic:
    """Two clusters serve by turns; one alone while `acts` has taken the other away."""

    acts: Acts
    during: Callable[[], None] = lambda: None
    status: int = 200
    _calls: list[Call] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def calls(self, since: float = 0.0) -> list[Call]:
        gone = sum(said.startswith("take") for said in self.acts.said) > sum(
            said.startswith("put back") for said in self.acts.said
        )
        if gone:
            self.during()
        began = self.acts.clock.now - 0.5
        for served in ("cluster-3", "cluster-3" if gone else "cluster-1"):
            self._calls.append(
                Call(
                    client="cluster-2", service="dapr-test/nodeapp:3000", began=began, seconds=0.001,
                    status=self.status, said="", served=served,
                )
            )  # fmt: skip
        return begun(self._calls, since)

    async def settle(self) -> None:
        pass


@dataclass
class FakeRunning:
    platform: Platform
    apis: dict[str, object] = field(default_factory=dict)

    async def look(self) -> Platform:
        return self.platform


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    root = tmp_path / "repository"
    root.mkdir()
    config = {f"{PROJECT}:{name}": value for name, value in CONFIG.items()}
    (root / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    return Paths(root=root, cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch, paths: Paths) -> Acts:
    """A platform on which nothing is real, not even the time."""
    found = Acts()
    monkeypatch.setattr(act, "take", found.take)
    monkeypatch.setattr(act, "put_back", found.put_back)
    monkeypatch.setattr(running, "time", found.clock)
    waits = SimpleNamespace(sleep=found.clock.sleep, to_thread=asyncio.to_thread)
    monkeypatch.setattr(running, "asyncio", waits)
    engine = SimpleNamespace(
        folder=paths.environment("dev"), refuse_working=lambda: None, environment="dev", toolchain=None
    )
    monkeypatch.setattr(command, "engine_of", lambda *_: engine)
    monkeypatch.setattr(command, "Engine", lambda *_: engine)
    monkeypatch.setattr(command.toolchain, "existing", lambda *_, **__: None)
    monkeypatch.setattr(command.Tools, "of", lambda *_: nullcontext())
    monkeypatch.setattr(command, "refuse_absent", lambda _: None)
    monkeypatch.setattr(command.daemon, "ensure_daemon", lambda *_: "")
    monkeypatch.setattr(act, "containers", lambda *_: [f"k3d-cluster-{number}-server-0" for number in (1, 2)])

    @asynccontextmanager
    async def up(_engine: object) -> AsyncIterator[FakeRunning]:
        yield FakeRunning(World().platform())

    monkeypatch.setattr(command, "running", up)
    calling(monkeypatch, found)
    return found


class HeardLate(FakeTraffic):
    """Of what it heard first, only the calls that went well: the others come when it is asked for all."""

    settled = 0

    async def settle(self) -> None:
        self.settled += 1
        if self.settled == 1:
            self._calls = [
                replace(call, served="cluster-3") if call.began > self.acts.clock.now - 8 else call
                for call in self._calls
            ]


def calling(monkeypatch: pytest.MonkeyPatch, acts: Acts, **more: Any) -> None:
    monkeypatch.setattr(command, "Traffic", lambda *_, **__: FakeTraffic(acts, **more))


def run(paths: Paths, *words: str, called: str = "drill") -> int:
    return commands.run(parser().parse_args([called, "dev", *words]), Report())


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, paths: Paths) -> None:
    monkeypatch.setattr(commands.Paths, "here", lambda: paths)


def test_a_drill_takes_away_puts_back_and_reports(
    paths: Paths, acts: Acts, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "drill.xml"
    assert run(paths, *LOSE, "--json", "--junit", str(file)) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lost"], found["passed"]) == ("the gateway of cluster-1", True)
    assert found["all"]["during"] == found["all"]["settled"] == {"cluster-3": 100.0}
    assert 'failures="0"' in file.read_text()
    assert [said.partition(" of ")[0] for said in acts.said] == [
        "take deployment/gateway", "put back deployment/gateway", "put back the client pod in cluster-2",
    ]  # fmt: skip
    assert not Journal(paths.environment("dev")).exists


def test_it_goes_on_while_calls_that_are_heard_of_late_say_that_it_is_not_back(
    paths: Paths, acts: Acts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    late = HeardLate(acts)
    monkeypatch.setattr(command, "Traffic", lambda *_, **__: late)
    assert run(paths, *LOSE) == 0
    assert late.settled > 1
    assert "✔ fail-back" in capsys.readouterr().out


def test_what_is_taken_is_written_down_before(
    paths: Paths, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(paths.environment("dev"))

    def take(_tools: object, loss: Loss) -> None:
        assert loss in journal.losses()
        raise UserError("the server does not answer")

    monkeypatch.setattr(act, "take", take)
    with pytest.raises(UserError, match="does not answer"):
        run(paths, *LOSE)
    assert acts.said[0].startswith("put back deployment/gateway"), "some of it may have been done"
    assert not journal.exists


@pytest.mark.usefixtures("as_on_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_everything_put_back(
    paths: Paths, acts: Acts, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    calling(monkeypatch, acts, during=lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        run(paths, *LOSE)
    assert [said.partition(" ")[0] for said in acts.said] == ["take", "put", "put"]
    assert not Journal(paths.environment("dev")).exists


def test_a_signal_waits_until_everything_is_put_back(
    paths: Paths, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put_back(tools: object, loss: Loss, *, wait: bool) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        acts.put_back(tools, loss, wait=wait)

    Journal(paths.environment("dev")).add("x", [Client(cluster="cluster-2"), Client(cluster="cluster-1")])
    monkeypatch.setattr(act, "put_back", put_back)
    assert run(paths, "--undo") == 0
    assert len(acts.said) == 2


def test_calls_that_fail_already_let_nothing_be_taken(
    paths: Paths, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    calling(monkeypatch, acts, status=503)
    with pytest.raises(UserError, match=r"before anything is taken away, \d+ of \d+ calls fail, such as one"):
        run(paths, *LOSE)
    assert acts.said == ["put back the client pod in cluster-2"]


def test_a_budget_that_does_not_hold_is_exit_code_1(
    paths: Paths, acts: Acts, capsys: pytest.CaptureFixture[str]
) -> None:
    file = paths.root / "Pulumi.dev.yaml"
    config = yaml.safe_load(file.read_text())
    config["config"][f"{PROJECT}:drill"] = {"failBackSeconds": 0.1}
    file.write_text(yaml.safe_dump(config))
    assert run(paths, *LOSE) == 1
    assert "✗ fail-back: not in the time of the drill, at most 0.1 s" in capsys.readouterr().out


def test_the_report_is_told_also_when_something_could_not_be_put_back(
    paths: Paths, acts: Acts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def put_back(tools: object, loss: Loss, *, wait: bool) -> None:
        if isinstance(loss, Client):
            raise UserError("the server does not answer")
        acts.put_back(tools, loss, wait=wait)

    monkeypatch.setattr(act, "put_back", put_back)
    with pytest.raises(UserError, match="could be put back"):
        run(paths, *LOSE)
    assert "Without the gateway of cluster-1" in capsys.readouterr().out
    assert Journal(paths.environment("dev")).losses() == [Client(cluster="cluster-2")]


@pytest.mark.parametrize("called", ["up", "destroy", "demo", "drill"])
def test_what_a_killed_drill_left_is_put_back_by_whatever_comes_next(
    paths: Paths, acts: Acts, monkeypatch: pytest.MonkeyPatch, called: str
) -> None:
    left = Scaled(cluster="cluster-1", namespace="a", workload="deployment/b", pods="", replicas=3)
    Journal(paths.environment("dev")).add("the app", [left])

    def then(*_: object) -> int:
        acts.said.append("then")
        return 0

    monkeypatch.setattr(commands, "command_of", lambda _: then)
    assert run(paths, called=called) == 0
    assert acts.said == [f"put back {left.words} and wait", "then"]


def test_what_was_in_a_cluster_that_is_gone_is_forgotten(paths: Paths, acts: Acts) -> None:
    journal = Journal(paths.environment("dev"))
    journal.add("cluster-3", [Client(cluster="cluster-3"), Client(cluster="cluster-2")])
    assert run(paths, "--undo") == 0
    assert acts.said == ["put back the client pod in cluster-2 and wait"]
    assert not journal.exists


def test_it_does_not_wait_for_another_that_works(paths: Paths, acts: Acts) -> None:
    refused = pytest.raises(UserError, match=r"does not wait for another \./stack \(\./stack up dev, process")
    up = exclusive(paths.cache, "./stack up dev", Report(), environment="dev")
    with exclusive(paths.cache, "./stack up other", Report()), up, refused:
        run(paths, *LOSE)
    assert not acts.said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--lose is missing"),
        (("--lose", "app", "--rate", "0"), "'0': from 1 to 200 calls a second"),
        (("--lose", "app", "--path", "x"), "'x' is no path"),
    ],
)
def test_the_command_says_what_it_lacks(
    paths: Paths, acts: Acts, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        run(paths, *words)
    assert error.value.code == 2
    assert not acts.said


def test_flomesh_is_refused(paths: Paths, acts: Acts) -> None:
    shutil.copy(ROOT / "Pulumi.article.yaml", paths.root / "Pulumi.dev.yaml")
    with pytest.raises(UserError, match="bundled mesh alone"):
        run(paths, *LOSE)


def test_status_and_doctor_name_what_is_away(paths: Paths) -> None:
    engine: Any = SimpleNamespace(
        folder=paths.environment("dev"), environment="dev", toolchain=SimpleNamespace(paths=paths, env={})
    )
    environment = environment_of(engine)
    assert not drill_check(environment)
    Journal(engine.folder).add("cluster-1", [Client(cluster="cluster-2"), STOPPED])
    (check,) = drill_check(environment)
    assert check.seen.endswith(": cluster-1; that drill ended without putting it back")
    assert check.hint.startswith("./stack drill dev --undo puts it back")
    with exclusive(paths.cache, "./stack drill dev", Report(), environment="dev"):
        (check,) = drill_check(environment)
    assert f"(./stack drill dev, process {os.getpid()}, is at work)" in check.seen


STOPPED = Stopped(cluster="cluster-1", containers=("k3d-cluster-1-server-0",))


def environment_of(engine: Any) -> Running:
    return Running(engine=engine, settings=World().platform().settings, apis={}, missing={})


def drill_check(environment: Running) -> list[Check]:
    checks = platform_checks(asyncio.run(environment.look()))
    return [check for check in checks if check.name == "drill"]


def test_an_environment_that_is_not_up_has_nothing_to_lose() -> None:
    engine: Any = SimpleNamespace(exists=lambda: False, environment="dev")
    with pytest.raises(NotUpError, match=r"environment 'dev' is not up; run \./stack up dev first"):
        refuse_absent(engine)
