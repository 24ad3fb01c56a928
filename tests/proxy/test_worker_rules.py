"""What is decided about workers: how many, when they are started again, what they say together."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from argparse import ArgumentTypeError
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.__main__ import build_parser, main
from gateway.core.balance import RouteState
from gateway.core.health import EndpointHealth
from gateway.core.snapshot import compile_snapshot
from gateway.edge.admin import AdminConnection, Page, text_page
from gateway.edge.metrics import Metrics, observe
from gateway.workers import count
from gateway.workers.addresses import AddressError, reserve
from gateway.workers.line import Line
from gateway.workers.merge import counted, merge_configs, merge_metrics, read_metrics, write_metrics
from gateway.workers.restarts import HOPELESS_ENDS, LONGEST_PAUSE_SECONDS, STABLE_SECONDS, Restarts
from gateway.workers.slot import Slot, how_it_ended

SERVE = ["serve", "--objects", ".", "--cluster-key", "a/b/c/d", "--listen", "127.0.0.1:0"]


def limited(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="ascii")


def test_one_worker_is_the_default_and_auto_is_one_per_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_parser().parse_args(SERVE).workers == 1
    monkeypatch.setattr(count, "usable_cpus", lambda: 3)
    for auto in ("auto", "0"):
        assert build_parser().parse_args([*SERVE, "--workers", auto]).workers == 3
    monkeypatch.setattr(count, "usable_cpus", lambda: 1000)
    assert count.worker_count("auto") == count.MOST


@pytest.mark.parametrize("bad", ["-1", "two", "1.5", "", "129", "1000000"])
def test_a_number_of_workers_that_is_none_is_refused_with_the_way_out(
    bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArgumentTypeError):
        count.worker_count(bad)
    with pytest.raises(SystemExit) as ended:
        main([*SERVE, f"--workers={bad}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"{bad!r} is not a number of workers: give 1 to 128, or auto" in said


def test_cpus_are_those_it_may_run_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(count, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 3, 5})
    assert count.usable_cpus() == 3, "no limit set"
    monkeypatch.setattr(count, "cpu_limit", lambda _groups, _mount: 2.5)
    assert count.usable_cpus() == 2, "whole ones"
    monkeypatch.setattr(count, "cpu_limit", lambda _groups, _mount: 0.5)
    assert count.usable_cpus() == 1, "never none"


def test_the_tightest_limit_of_a_control_group_and_those_above_counts(tmp_path: Path) -> None:
    limited(tmp_path / "pods", cpu__max="400000 100000\n")
    limited(tmp_path / "pods" / "one", cpu__max="150000 100000\n")
    limited(tmp_path / "pods" / "free", cpu__max="max 100000\n")
    assert count.cpu_limit("0::/pods/one\n", tmp_path) == 1.5
    assert count.cpu_limit("0::/pods/free\n", tmp_path) == 4.0
    assert count.cpu_limit("0::/elsewhere\n", tmp_path) is None
    limited(tmp_path, cpu__max="200000 100000\n")
    assert count.cpu_limit("0::/a/path/of/the/host\n", tmp_path) == 2.0, "its own group seen as the root"


def test_limits_of_the_old_control_groups_count_as_well(tmp_path: Path) -> None:
    groups = "12:pids:/box\n4:cpu,cpuacct:/box\n0::/\n"
    limited(tmp_path / "cpu" / "box", cpu__cfs_quota_us="300000\n", cpu__cfs_period_us="100000\n")
    limited(tmp_path / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert count.cpu_limit(groups, tmp_path) == 3.0


def test_a_worker_that_keeps_ending_waits_longer_each_time_until_it_has_been_well() -> None:
    restarts = Restarts(2)
    pauses = []
    now = 0.0
    for _ in range(12):
        restarts.started(0, now)
        now += 1.0
        pauses.append(restarts.ended(0, now))
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert restarts.ended(0, now + 100) == LONGEST_PAUSE_SECONDS, "a long start is no life"
    restarts.started(0, now)
    assert restarts.ended(0, now + STABLE_SECONDS) == 0.1


def test_it_is_hopeless_only_when_every_worker_keeps_ending_early() -> None:
    restarts = Restarts(2)
    for number in (0, 1):
        for _ in range(HOPELESS_ENDS):
            assert not restarts.hopeless(1.0)
            restarts.started(number, 0.0)
            restarts.ended(number, 1.0)
    assert restarts.hopeless(1.0)
    restarts.started(1, 1.0)
    assert restarts.hopeless(2.0), "so far it lives no longer than those before"
    assert not restarts.hopeless(1.0 + STABLE_SECONDS), "one is well"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (3, "ended with exit code 3"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-signal.SIGKILL, "was ended by SIGKILL, by hand or for want of memory"),
        (-63, "was ended by signal 63"),
    ],
)
def test_the_end_of_a_worker_is_named(code: int, said: str) -> None:
    assert how_it_ended(code) == said


async def test_while_a_worker_makes_a_long_page_it_is_as_it_was_before() -> None:
    made = asyncio.Event()

    async def metrics() -> Page:
        await made.wait()
        return text_page(200, "# TYPE x counter\nx 1\n")

    pages = {b"/livez": lambda: text_page(200, "ok\n"), b"/metrics": metrics}
    mine, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    for end in (mine, theirs):
        end.setblocking(False)
    transport, _ = await loop.create_unix_connection(
        lambda: AdminConnection(pages, patience=None), sock=theirs
    )
    slot = Slot(0, [], 0)
    _, slot._line = await loop.create_unix_connection(Line, sock=mine)
    try:
        counting = asyncio.create_task(slot.count())
        await asyncio.sleep(0)
        assert await slot.page("/livez") is None, "it has never said how it is, and has no time to"
        made.set()
        await counting
        said = await slot.page("/livez")
        made.clear()
        counting = asyncio.create_task(slot.count())
        await asyncio.sleep(0)
        assert (said is not None and said.text, await slot.page("/livez")) == ("ok\n", said)
        made.set()
        await counting
        assert slot.seen["x"].series == {"x": 1}
    finally:
        slot._line.close()
        transport.close()


def page(make: Any, requests: dict[int, int], **gauges: int) -> str:
    """A worker's metrics after so many answers of each status, each of 20 ms."""
    objects = [make.service(), make.slice("10.0.0.1"), make.export()]
    (route,) = compile_snapshot(objects, make.key("here"), False).snapshot.path_routes()
    state = RouteState(route, lambda _route, _share, endpoint: EndpointHealth(endpoint))
    for status, times in requests.items():
        for _ in range(times):
            observe(state.clusters[0], status, 0.02)
    return "".join(Metrics().render([state], gauges))


def test_the_metrics_of_two_workers_are_those_of_one_that_did_it_all(make: Any) -> None:
    both = [read_metrics(page(make, requests)) for requests in ({200: 3, 404: 1}, {200: 2, 503: 4})]
    merged = write_metrics(merge_metrics(both))
    assert sorted(merged.splitlines()) == sorted(page(make, {200: 5, 404: 1, 503: 4}).splitlines())


def test_what_is_read_is_written_as_it_was(make: Any) -> None:
    text = page(make, {200: 3, 404: 1}, gateway_ready=1, gateway_client_connections_total=12345678)
    assert write_metrics(read_metrics(text)) == text


def test_gauges_are_merged_by_what_they_mean() -> None:
    def told(**gauges: int) -> Any:
        told = Metrics().render([], {f"gateway_{name}": n for name, n in gauges.items()})
        return read_metrics("".join(told))

    merged = merge_metrics([
        told(ready=1, config_generation=7, endpoints_ejected=2, client_connections=5),
        told(ready=0, config_generation=6, endpoints_ejected=1, client_connections=8),
    ])  # fmt: skip
    assert {name: family.series[name] for name, family in merged.items() if name in family.series} == {
        "gateway_retries_total": 0,
        "gateway_ready": 0,
        "gateway_config_generation": 6,
        "gateway_endpoints_ejected": 2,
        "gateway_client_connections": 13,
    }


def test_counters_of_a_worker_that_is_gone_stay_and_gauges_go(make: Any) -> None:
    gone = counted(read_metrics(page(make, {200: 3}, gateway_client_connections=9)))
    merged = merge_metrics([gone, read_metrics(page(make, {200: 1}, gateway_client_connections=2))])
    assert merged["gateway_client_connections"].series == {"gateway_client_connections": 2}
    assert list(merged["gateway_requests_total"].series.values()) == [4]
    assert [n for key, n in merged["gateway_request_seconds"].series.items() if "_count" in key] == [4]


def test_configurations_are_those_of_the_first_and_whatever_any_leaves_out() -> None:
    first = {"cluster": "a", "northSouth": ["r"], "generation": 4, "ejected": ["1.1.1.1:80"]}
    second = {**first, "generation": 3, "ejected": ["2.2.2.2:80", "1.1.1.1:80"]}
    assert merge_configs([first, second]) == {
        **first,
        "generation": 3,
        "ejected": ["1.1.1.1:80", "2.2.2.2:80"],
    }


def test_an_address_that_is_held_is_held_for_workers_and_nobody_else() -> None:
    with ExitStack() as held, ExitStack() as others:
        taken = reserve("--listen", "127.0.0.1:0", held)
        assert not taken.endswith(":0")
        with pytest.raises(AddressError, match=rf"cannot listen on {taken}: .* give --east-west another"):
            reserve("--east-west", taken, others)
    with ExitStack() as free:
        assert reserve("--listen", taken, free) == taken, "free again"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.1:8080", "Cannot assign requested address"),
        ("no host:8080", "Name or service not known"),
    ],
)
def test_an_address_that_is_not_here_is_refused_with_the_way_out(address: str, why: str) -> None:
    with ExitStack() as held, pytest.raises(AddressError) as refused:
        reserve("--listen", address, held)
    assert str(refused.value) == f"cannot listen on {address}: {why}; give --listen another one"
