"""Throughput and latency against the peers: one core for the proxy, one for load and application."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import load
from bench.between import HOST, make_proofs
from bench.figures import OURS, Result, Row
from bench.programs import BenchError, Running
from bench.setting import UPLOAD, Bench, paths
from bench.starters import SECURE, about_peers, peers, start_backend, start_between, start_gateway
from bench.traffic import FIELD_SETS, mixed, unlike

SOME, MANY = 1000, 10_000
FEWER_ROUTES, NO_LOG = "gateway, as many routes as are asked for", "gateway, no access log"
COST, RATE, TAIL = "requests per CPU second", "requests per second", "p99 latency"
MIDDLE, LONGEST_TAIL = "p50 latency", "p99.9 latency"
SHOWN = {MIDDLE, LONGEST_TAIL}
"""Figures without a goal, which the picture leaves out."""
TURNS, MORE_TURNS, QUICK_TURNS = 18, 30, 6
SECONDS = 1
"""Of load in one turn, the shortest that wrk knows. A machine stands still for some milliseconds now and
then, more often while all its cores are busy, and that makes a p99: most of many short turns are without."""

NOTES = (
    (
        "Real traffic: no two heads are alike. Each request has a trace context and identifiers of its own, "
        "each answer its own identifier; by turns they have the fields of a Dapr sidecar, a browser and a "
        "gRPC gateway (12 to 16 of them, some 700 bytes), and ask for "
        f"{SOME:,} routes by turns; of ten answers two have 4 KiB, of ten requests one has a body of 1 KiB. "
        "With the name of a sender all are of that one."
    ),
    (
        "Each route leads to a service of its own, as in a cluster: no program can send a request of one "
        "service over a connection to another. The peers are set up so, too, with an upstream or backend for "
        "each. That costs all of them much more than the routes do: see the case of one service."
    ),
    (
        "Mutual TLS to another cluster: to one service, whose application asks for the proxy's certificate. "
        "All prove who they are by the gateway's kind of certificates, and check the same root; TLS 1.3 with "
        "the cipher that OpenSSL chooses by itself. Traefik takes no certificate without a DNS name."
    ),
    (
        "The same head: the load generator sends one head of two fields again and again, and answers differ "
        "in nothing but their date. No program has such traffic; it shows what carrying bytes costs."
    ),
    (
        "Requests per CPU second is what one core's worth of the proxy can do; requests per second and "
        "latency also hold the load generator and the application, which share the other core. These two "
        "have turns of 0.1 ms there, which Linux gives since 6.12: with its usual ones of three milliseconds "
        "the p99 says how often the two met."
    ),
    (
        "With one connection p99 is how long everybody stood still: wrk counts for a stall all the requests "
        "that would have been sent meanwhile, so that 1 % of the time is enough."
    ),
    (
        f"A turn is {SECONDS} s of load on each proxy, one after another and each turn in another order; the "
        f"first turn does not count, nor {load.WARM_SECONDS} s of such traffic before each: connections "
        "are as in traffic that goes on. After a pause of a second the gateway opens one for each POST that "
        "it cannot send again, where the others take an old one and may lose it; with such a pause before "
        "each turn its p99 is a tenth higher. Where the machine stands still for some milliseconds in a "
        "turn, that is its p99, whosever turn it is: half of all turns, in brackets, lie far apart there."
    ),
)


@dataclass(frozen=True)
class Case:
    """One kind of load."""

    what: str
    connections: int = 32
    senders: Sequence[str] = ()
    """Whose requests are sent, see `FIELD_SETS`, no two heads alike; none sends one head again and again."""
    body: str = "small"
    """Of the answer to that one head, see `BODIES`."""
    upload: int = 0
    """Bytes of its body; none is a GET."""
    routes: int = 1
    asked: int = SOME
    """Of the routes, how many at most are asked for, by turns."""
    log: bool = False
    secure: bool = False
    """By mutual TLS to one service of another cluster."""
    beside: str = ""
    """Another gateway that is measured in the same turns."""
    turns: int = TURNS
    goal: float = 0.9


ALL = tuple(FIELD_SETS)
REAL = (
    Case("32 connections, real traffic", senders=ALL, routes=SOME, turns=MORE_TURNS, goal=1.0),
    Case("1 connection, real traffic", connections=1, senders=ALL, routes=SOME, turns=MORE_TURNS, goal=0.95),
    Case("256 connections, real traffic", connections=256, senders=ALL, routes=SOME, goal=0.95),
    Case("32 connections, real traffic to one service", senders=ALL, goal=1.0),
    *(
        Case(f"32 connections, real traffic of a {sender}", senders=(sender,), routes=SOME, goal=1.0)
        for sender in FIELD_SETS
    ),
    Case(
        "32 connections, real traffic, access log",
        senders=ALL,
        routes=SOME,
        log=True,
        beside=NO_LOG,
        goal=1.0,
    ),
    Case("32 connections, real traffic, mutual TLS to another cluster", senders=ALL, secure=True),
    Case(
        "real traffic, 10,000 routes, 1,000 of them asked for",
        senders=ALL,
        routes=MANY,
        beside=FEWER_ROUTES,
        goal=0.95,
    ),
)
SAME = (
    Case("the same head, 32 connections, small answers", goal=1.0),
    Case("the same head, 32 connections, 64 KiB answers", body="64k"),
    Case("the same head, 32 connections, 1 MiB answers", body="1m"),
    Case("the same head, 32 connections, 1 MiB request bodies", upload=1024 * 1024),
    Case("the same head, 10,000 routes, one asked for", routes=MANY, asked=1, beside=FEWER_ROUTES),
)
"""What real traffic does not show: large bodies, and what the bytes and the routes cost by themselves."""
QUICK = (*(REAL[number] for number in (0, 7, 8, 9)), *SAME[:2])
TAIL_GOAL = 0.91
"""Of the p99 latency: at most 1.1 times the peer's."""
BESIDE = {
    FEWER_ROUTES: (f"{MANY:,} routes against those asked for alone", 0.97),
    NO_LOG: ("access log on against off", 0.9),
}
"""By the other gateway: what the comparison with it says, and the ratio that is wanted."""


def measure(bench: Bench) -> Result:
    """Every case, the programs by turns within each; a case starts its own programs."""
    notes = [*NOTES, *about_peers(bench)]
    rows = [row for case in (QUICK if bench.quick else (*REAL, *SAME)) for row in _case(bench, case, notes)]
    return Result(rows, notes)


def _case(bench: Bench, case: Case, notes: list[str]) -> list[Row]:
    turns = QUICK_TURNS if bench.quick else case.turns
    with ExitStack() as running:

        def application(proxy: str) -> int:
            """Each has its own, which holds no connections of others that are not at work."""
            return running.enter_context(start_backend(bench, f"application-{proxy}", proofs)).port

        bench.step.update(f"{case.what}: starting")
        proofs = make_proofs(bench.folder) if case.secure else None
        if proofs:
            ours = start_between(bench, application(OURS), proofs)
        else:
            ours = start_gateway(bench, application(OURS), case.routes, log=case.log)
        proxies = [running.enter_context(ours)]
        more = {"proofs": proofs} if proofs else {}
        for name, starter in peers(bench).items():
            if name in SECURE or not proofs:
                started = starter(bench, application(name), case.routes, log=case.log, **more)
                proxies.append(running.enter_context(started))
        fewer = min(case.asked, case.routes) if case.beside == FEWER_ROUTES else case.routes
        if case.beside:
            port = application(case.beside.replace(" ", "-"))
            proxies.append(running.enter_context(start_gateway(bench, port, fewer, name=case.beside)))
        figures: dict[str, dict[str, list[float]]] = {
            figure: {proxy.name: [] for proxy in proxies}
            for figure in (COST, RATE, MIDDLE, TAIL, LONGEST_TAIL)
        }
        for turn in range(turns + 1):
            bench.step.update(f"{case.what}: turn {turn} of {turns}" if turn else f"{case.what}: warming up")
            for number in range(len(proxies)):
                proxy = proxies[(turn + number) % len(proxies)]
                routes = fewer if proxy.name == case.beside else case.routes
                work = partial(_sample, bench, case, proxy, asked(routes, case.asked))
                sample = one_turn(proxy.name, case.what, work, notes)
                if turn:  # the first fills caches and pools
                    for figure, value in sample.items():
                        figures[figure][proxy.name].append(value)
    rows = []
    if case.beside:
        other = {figure: samples.pop(case.beside) for figure, samples in figures.items()}
        alone = {figure: {OURS: figures[figure][OURS], case.beside: taken} for figure, taken in other.items()}
        what, goal = BESIDE[case.beside]
        rows = _rows(f"{what}, {'real traffic' if case.senders else 'the same head'}", alone, goal)
    return _rows(case.what, figures, case.goal) + rows


def _rows(what: str, figures: Mapping[str, Mapping[str, Sequence[float]]], goal: float) -> list[Row]:
    return [
        Row(
            what=what,
            figure=figure,
            more_is_better=figure in {COST, RATE},
            samples=samples,
            goal=None if figure in SHOWN else TAIL_GOAL if figure == TAIL else goal,
            drawn=figure not in SHOWN,
        )
        for figure, samples in figures.items()
    ]


def asked(routes: int, most: int) -> list[str]:
    """Paths of so many of the routes, from all over them."""
    return paths(routes)[:: max(1, routes // most)]


def _script(bench: Bench, case: Case, targets: Sequence[str]) -> Path:
    """What is asked for, as a file for wrk. Of real traffic it is another one each time."""
    script = bench.folder / "load.lua"
    if case.senders:
        text = unlike(mixed(case.senders), targets, HOST if case.secure else "")
    else:
        text = load.upload(case.upload) if case.upload else load.REPORT
    script.write_text(text)
    return script


def one_turn(
    name: str, what: str, sample: Callable[[], dict[str, float]], notes: list[str]
) -> dict[str, float]:
    """One sample. A turn without an answer is told and measured once more: half an hour may hang on it."""
    try:
        try:
            return sample()
        except load.NoAnswerError:
            notes.append(f"{name} gave no answer in a turn of {what}; it was measured again.")
            return sample()
    except BenchError as error:
        raise BenchError(f"{name}, {what}: {error}") from error


def _sample(bench: Bench, case: Case, proxy: Running, targets: Sequence[str]) -> dict[str, float]:
    kind = UPLOAD if case.upload else case.body
    url = f"http://127.0.0.1:{proxy.port}/service-0{'' if kind == 'small' else '/' + kind}"
    script, core = _script(bench, case, targets), bench.load_core
    load.warm_up(url, connections=case.connections, core=core, script=script)
    script = _script(bench, case, targets)
    before = proxy.cpu_seconds
    seen = load.run(url, connections=case.connections, seconds=SECONDS, core=core, script=script)
    cpu = proxy.cpu_seconds - before
    latency = {MIDDLE: seen.p50, TAIL: seen.p99, LONGEST_TAIL: seen.p999}
    return {COST: seen.requests / cpu, RATE: seen.requests / seen.seconds, **latency}
