"""What doctor says of a machine before `up`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from platforms.world import CONFIG

from cli.doctor.check import Check, failed
from cli.doctor.machine import GIB, Docker, Machine, Tool, machine_checks
from cli.doctor.survey import available_memory
from stacks.config.loading import parse
from stacks.config.problem import Problem

GOOD = Machine(
    environment="dev",
    settings=parse(CONFIG),
    mode="airgap",
    root=True,
    docker=Docker(host="unix:///run/docker.sock", version="20.10.24", cgroup="1", driver="overlay2"),
    cache=Path("/cache"),
    free_disk=100 * GIB,
    unbuilt=1.0,
    available_memory=16 * GIB,
    tools={"pulumi": Tool(), "kubectl": Tool(path="/usr/bin/kubectl", version=(1, 34))},
    oldest_tools={"pulumi": (3, 200), "kubectl": (1, 33)},
    go=Tool(path="/usr/bin/go", version=(1, 26)),
    registries={"Go module proxy": ""},
)


def checks(**changes: Any) -> dict[str, Check]:
    found = {}
    for check in machine_checks(replace(GOOD, **changes)):
        found.setdefault(check.name, check)
    return found


def test_a_good_machine_passes_every_check() -> None:
    assert not failed(machine_checks(GOOD))


@pytest.mark.parametrize(
    ("name", "changes", "seen", "hint"),
    [
        ("Docker", {"docker": Docker(lacking="Install Docker")}, "none can be started", "Install Docker"),
        ("Docker", {"docker": replace(GOOD.docker, version="19.03.1")}, "19.03.1", "20.10 or newer"),
        (
            "ports",
            {"taken_ports": {81: "nginx, process 7, listens there"}},
            "httpPort (cluster-1)",
            "Free it",
        ),
        ("disk", {"free_disk": 10 * GIB}, "10 GiB free, about 24", "XDG_CACHE_HOME"),
        ("memory", {"available_memory": 2 * GIB}, "2.0 GiB available, about 3.2", "take clusters out"),
        ("go", {"go": Tool()}, "no go on PATH", "Install Go"),
        ("go", {"go": Tool(path="/usr/bin/go", version=(1, 19))}, "is 1.19", "1.21 or newer"),
        ("Go module proxy", {"registries": {"Go module proxy": "403 Forbidden"}}, "403", "Check the network"),
        ("public image registry", {"mode": "upstream"}, "does not answer", "--supply airgap"),
        (
            "kubeconfig of east",
            {"kubeconfigs": {"east": "there is no /x"}},
            "there is no /x",
            "Correct kubeconfig",
        ),
    ],
)
def test_what_is_missing_fails_with_a_hint(name: str, changes: dict[str, Any], seen: str, hint: str) -> None:
    check = checks(**changes)[name]
    assert check.result == "fail"
    assert seen in check.seen
    assert hint in check.hint


def test_every_problem_of_the_settings_is_a_check_of_its_own() -> None:
    problems = (Problem("clusters[0].httpPort", 70000, "more than 65535", "Lower it."),
                Problem("rediss", None, "unknown key", "Did you mean redis?"))  # fmt: skip
    found = failed(machine_checks(replace(GOOD, settings=None, problems=problems)))
    assert [check.seen.split(": ", 1)[1] for check in found] == [
        "clusters[0].httpPort = 70000: more than 65535",
        "rediss: unknown key",
    ]


def test_a_port_of_a_daemon_that_is_silent_may_be_ours() -> None:
    found = checks(
        docker=Docker(lacking="start it"), taken_ports={81: "docker-proxy, process 7, listens there"}
    )
    assert found["ports"].result == "warn"


def test_no_daemon_is_fine_where_one_can_be_started() -> None:
    assert checks(docker=Docker())["Docker"].result == "ok"


@pytest.mark.parametrize(("own", "result"), [(True, "ok"), (False, "warn")])
def test_missing_capabilities_matter_only_to_a_daemon_that_is_not_ours(own: bool, result: str) -> None:
    found = checks(missing_capabilities=("CAP_SYS_RESOURCE",), docker=replace(GOOD.docker, own=own))
    assert found["privileges"].result == result
    assert "CAP_SYS_RESOURCE" in found["privileges"].seen


def test_a_warm_machine_needs_no_registry_and_little_room() -> None:
    found = checks(unbuilt=0.0, free_disk=10 * GIB, registries={"Go module proxy": "no answer"})
    assert found["Go module proxy"].result == "warn"
    assert found["disk"].result == "ok"


def test_clusters_that_run_already_need_no_more_memory() -> None:
    found = checks(available_memory=GIB, running_clusters=4)["memory"]
    assert (found.result, found.seen) == ("ok", "1.0 GiB available, no more needed: 4 clusters run already")


def test_a_tool_too_old_for_us_is_built_and_says_so() -> None:
    old = {"kubectl": Tool(path="/usr/bin/kubectl", version=(1, 20))}
    assert (
        "1.20, older than 1.33" in checks(mode="upstream", registry_answers=True, tools=old)["kubectl"].seen
    )


def test_available_memory_is_read_from_proc() -> None:
    assert available_memory("MemTotal: 9 kB\nMemAvailable:   2048 kB\n") == 2 * 1024**2
