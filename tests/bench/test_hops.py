"""What a hop costs: the objects, what is told of turns, and how quiet the machine was."""

from __future__ import annotations

import json
from pathlib import Path

from bench import between
from bench.between import MEMBER, make_proofs
from bench.chain import CALLER, CALLERS_GATEWAY, OTHER_GATEWAY, Chain
from bench.figures import Result, as_json
from bench.hop_objects import caller_objects, exporter_objects
from bench.hop_rows import ALL, BUSY, DIRECT, PACED, Turn, rows
from bench.hops import ways
from bench.load import unlike
from bench.page import page
from bench.programs import Running
from bench.quiet import note
from gateway.core.peers import MutualTls
from gateway.core.snapshot import compile_snapshot

BACKEND, NORTH, PEERS, LOCAL, REMOTE = 8000, 8001, 8443, 20000, 20001
BOTH = (CALLERS_GATEWAY, OTHER_GATEWAY)


def test_a_service_port_of_the_callers_gateway_leads_to_the_pods_of_the_service_that_was_taken_over(
    tmp_path: Path,
) -> None:
    objects = caller_objects(BACKEND, (NORTH, PEERS), LOCAL, REMOTE, make_proofs(tmp_path))
    compiled = compile_snapshot(
        objects, between.CALLER, listening=range(LOCAL, REMOTE + 1), mutual_tls=MutualTls.STRICT
    )
    assert compiled.problems == ()
    local, *others = compiled.snapshot.ports[LOCAL].clusters
    assert (local.key, [str(one) for one in local.endpoints]) == (between.CALLER, [f"127.0.0.1:{BACKEND}"])
    assert [other.key for other in others] == [MEMBER], "its policy lets requests leave"
    only = compiled.snapshot.ports[REMOTE].clusters
    (endpoint,) = [one for cluster in only for one in cluster.endpoints]
    assert (endpoint.port, endpoint.peer) == (PEERS, MEMBER), "over mutual TLS, where it listens for that"


def test_the_other_gateway_exports_what_the_first_one_imports(tmp_path: Path) -> None:
    objects = exporter_objects(BACKEND, make_proofs(tmp_path))
    compiled = compile_snapshot(objects, MEMBER, mutual_tls=MutualTls.STRICT)
    assert compiled.problems == ()
    found = compiled.snapshot.paths.find(b"/remote/orders/1")
    assert found is not None
    assert str(found.clusters[0].endpoints[0]) == f"127.0.0.1:{BACKEND}"
    assert set(compiled.snapshot.table.peers) == {between.CALLER}


class Unstarted(Running):
    def __init__(self, port: int) -> None:
        self.port = port


def test_without_sidecars_nothing_is_called_by_app_id() -> None:
    chain = Chain(BACKEND, LOCAL, REMOTE)
    assert [way.port for way in ways(chain)] == [BACKEND, LOCAL, REMOTE]
    chain.programs[CALLER] = Unstarted(3500)
    assert [way.target for way in ways(chain)][3:] == [
        "/v1.0/invoke/remote/method/orders/1",
        "/v1.0/invoke/beside/method/orders/1",
    ]


def turn(p50: float, p99: float, *cpu: float) -> Turn:
    used = dict(zip(BOTH, cpu, strict=True))
    return Turn(p50, p99, used, {name: used[name] / 2 for name in used})


SEEN = {
    DIRECT: [turn(100, 200, 10, 20), turn(200, 300, 12, 22)],
    "taken over": [turn(300, 500, 110, 20), turn(500, 1500, 212, 22)],
    "other cluster": [turn(400, 800, 120, 220), turn(600, 2000, 222, 322)],
}
THROUGH = {DIRECT: (), "taken over": (CALLERS_GATEWAY,), "other cluster": BOTH}


def told(what: str, figure: str) -> dict[str, list[float]]:
    (row,) = [row for row in rows(SEEN, THROUGH) if (row.what, row.figure) == (what, figure)]
    return {way: list(samples) for way, samples in row.samples.items()}


def test_what_is_added_is_told_turn_by_turn() -> None:
    assert told("added to direct", "p50") == {"taken over": [200, 300], "other cluster": [300, 400]}
    assert told("added to direct", "p99") == {"taken over": [300, 1200], "other cluster": [600, 1700]}
    assert told("times direct", "p50") == {"taken over": [3, 2.5], "other cluster": [4, 3]}


def test_cpu_at_a_pace_is_without_what_a_process_uses_by_itself() -> None:
    assert told(PACED, CALLERS_GATEWAY) == {"taken over": [100, 200], "other cluster": [110, 210]}
    assert told(PACED, OTHER_GATEWAY) == {"other cluster": [200, 300]}
    assert told(PACED, ALL) == {"taken over": [100, 200], "other cluster": [310, 510]}
    assert told(BUSY, ALL) == {"taken over": [55, 106], "other cluster": [170, 272]}


def test_the_page_leaves_a_cell_empty_where_a_program_is_not_on_the_way() -> None:
    saved = json.loads(json.dumps(as_json("hops", Result(rows(SEEN, THROUGH), ["a note"]), {"cores": "2"})))
    text = page([saved])
    assert "| median (least to most) |  | direct | taken over | other cluster |" in text
    assert f"| {PACED} | {OTHER_GATEWAY} |  |  | 250 µs (200 to 300) |" in text
    assert (
        "| latency | p99 | 250 µs (200 to 300) | 1,000 µs (500 to 1,500) | 1,400 µs (800 to 2,000) |" in text
    )


def test_wrks_requests_differ_within_a_run_and_between_runs() -> None:
    first, second = unlike("remote.bench", "/orders"), unlike("remote.bench", "/orders")
    assert first != second
    assert 'fields["Traceparent"] = string.format("00-' in first
    assert '%016x-%016x-01", asked, asked)' in first


def test_a_note_says_what_else_the_machine_did() -> None:
    spent = [10, 0, 10, 50, 10, 0, 0, 20]
    assert note(3.4, spent, first=False) == (
        "When it began the load average was 3; while it went on the cores were idle for 60% of the time."
    )
    assert "`chrt --fifo 1`" in note(3.4, spent, first=True)
