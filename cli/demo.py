"""The article's walk, checked: what each call should answer, and what it did.

Policies change through the program: the demo overrides the `policies` of the effective configuration and
runs `up`, as a user would after editing the stack file. Meanwhile the client pod calls without
pause, so that the time from the object's change to the first call that follows it is seen, not guessed.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from airgap.report import Report, output_console
from cli import toolchain
from cli.calls import Answer, CallLoop, ClientPod, PolicyWatch, http_get
from cli.engine import Engine
from cli.errors import UserError
from cli.local_calls import ExporterPods
from cli.paths import Paths

NAMESPACE = "dapr-test"
SERVICE = "nodeapp"
CLIENT = "cluster-2"
EXPORTERS = ("cluster-1", "cluster-3")
LOCAL = EXPORTERS[0]
"""Whose pods call a service that their own cluster runs."""
PORTS_URL = f"http://{SERVICE}.{NAMESPACE}:3000/ports"
ORDER_URL = f"http://{SERVICE}.{NAMESPACE}:3000/order"
NEW_ORDER_URL = f"http://{SERVICE}.{NAMESPACE}:3000/neworder"
CURL_REFUSED = 7
CALLS = 40
FOLLOW_SECONDS = 20.0
SHARE_TOLERANCE = 0.15  # of all calls; the gateway holds weights exactly, two replicas may be out of step

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the demo's table."""

    step: str
    expected: str
    seen: str
    passed: bool


def policy(lb_type: str) -> list[dict[str, Any]]:
    """The article's policy object in the client's cluster, and in one that exports, as configuration."""
    service = {"namespace": NAMESPACE, "name": SERVICE, "lbType": lb_type}
    entries: list[dict[str, Any]] = [{"cluster": name, **service} for name in (CLIENT, LOCAL)]
    if lb_type != "Locality":
        for entry in entries:
            entry["targets"] = [{"cluster": name, "weight": 100} for name in EXPORTERS]
    return entries


def serving_cluster(answer: Answer) -> str | None:
    """The cluster an answer names itself as coming from."""
    match = re.search(r"(?:from|via) cluster: (\S+)\s*$", answer.body)
    return match[1] if match and answer.code == 0 else None


def ports_row(step: str, answer: Answer, allowed: Sequence[str]) -> Row:
    """A call to /ports must be answered in the article's words by one of the clusters."""
    served = serving_cluster(answer)
    expected = '{"DAPR_HTTP_PORT":"3500","DAPR_GRPC_PORT":"50001"}, from cluster: ' + " or ".join(allowed)
    right = served in allowed and answer.body.startswith('{"DAPR_HTTP_PORT":"3500","DAPR_GRPC_PORT":"50001"}')
    return Row(step=step, expected=expected, seen=answer.text, passed=right)


def refused_row(step: str, answer: Answer) -> Row:
    """Without a policy that lets traffic out, the caller gets connection refused."""
    return Row(step=step, expected="curl exit 7", seen=answer.text, passed=answer.code == CURL_REFUSED)


def nobody_row(step: str, answer: Answer) -> Row:
    """Nobody may serve a call by app-id.

    Dapr cannot invoke then; over a connection that is open still, it is the gateway that says so.
    """
    words = ("ERR_DIRECT_INVOKE", "no ready endpoint")
    right = answer.code == 0 and any(one in answer.body for one in words)
    return Row(step=step, expected=" or ".join(words), seen=answer.text[:120], passed=right)


def shares_row(step: str, answers: Sequence[Answer], weights: Mapping[str, int]) -> Row:
    """Every call answered, and each cluster's share within the tolerance of its weight."""
    seen = Counter(serving_cluster(answer) or f"failed ({answer.code})" for answer in answers)
    total = sum(weights.values())
    expected = {name: len(answers) * weight / total for name, weight in weights.items()}
    slack = SHARE_TOLERANCE * len(answers)
    right = set(seen) == set(expected) and all(abs(seen[name] - expected[name]) <= slack for name in expected)
    return Row(
        step=step,
        expected=", ".join(f"{name} {count:.0f}±{slack:.0f}" for name, count in expected.items()),
        seen=", ".join(f"{name} {seen[name]}" for name in sorted(seen)),
        passed=right,
    )


def order_rows(created: Answer, read: Sequence[Answer], how: str = "") -> list[Row]:
    """An order written through one cluster is read through both; `how` is said after the step."""
    writer = serving_cluster(created)
    readers = {serving_cluster(answer) for answer in read if answer.body.startswith('{"orderId":"42"}')}
    return [
        Row(
            step=f"POST /neworder with order 42{how}",
            expected="created order via cluster: " + " or ".join(EXPORTERS),
            seen=created.text,
            passed=writer in EXPORTERS and created.body.startswith("created order via cluster: "),
        ),
        Row(
            step=f"GET /order from both clusters{how}",
            expected='{"orderId":"42"}, from cluster: ' + " and ".join(EXPORTERS),
            seen="; ".join(sorted({answer.text for answer in read})),
            passed=readers == set(EXPORTERS) and len({answer.text for answer in read}) == len(EXPORTERS),
        ),
    ]


def walk(engine: Engine, say: Say) -> list[Row]:
    """Run the whole demo on a running environment; the configured policies are restored at the end."""
    if not engine.exists():
        raise UserError(
            f"environment {engine.environment!r} is not up; run ./stack up {engine.environment} first."
        )
    outputs = engine.outputs()
    missing = [name for name in (CLIENT, *EXPORTERS) if name not in outputs.get("clusters", {})]
    if missing:
        raise UserError(
            f"environment {engine.environment!r} has no {', '.join(missing)}: the demo walks the "
            "article's topology. If an `up` was interrupted, run ./stack up again."
        )
    kubeconfigs = engine.secret_output("kubeconfigs")
    client = ClientPod(engine.toolchain.env, kubeconfigs[CLIENT])
    local = ExporterPods(engine.toolchain.env, kubeconfigs[LOCAL])
    try:
        return _steps(engine, outputs["clusters"], client, local, say)
    finally:
        try:
            _restore(engine, say)
        finally:
            client.close()
            local.close()


def _restore(engine: Engine, say: Say) -> None:
    """Have the configured policies back, after an interrupted step too."""
    say("restoring the configured policies")
    try:
        engine.ensure()
        engine.up_quietly(repair=True)
    except BaseException:
        say(f"The configured policies are not restored: run ./stack up {engine.environment}.")
        raise


def _steps(
    engine: Engine, clusters: Mapping[str, Any], client: ClientPod, local: ExporterPods, say: Say
) -> list[Row]:
    rows = [
        ports_row(f"{name}'s ingress", http_get(f"{clusters[name]['http']}/{SERVICE}/ports"), [name])
        for name in EXPORTERS
    ]
    door = next(name for name, cluster in clusters.items() if cluster["role"] == "control-plane")
    rows.append(
        ports_row(f"front door of {door}", http_get(f"{clusters[door]['http']}/{SERVICE}/ports"), EXPORTERS)
    )

    say("no policy")
    engine.ensure({"policies": []})
    engine.up_quietly()
    rows.append(refused_row("no policy", client.curl(PORTS_URL)))

    rows.append(_change(engine, client, "FailOver", say, followed=lambda answer: answer.code == 0))
    rows.append(ports_row("FailOver", client.curl(PORTS_URL), EXPORTERS))
    rows.append(ports_row("FailOver, by app-id", client.invoke(SERVICE, "/ports"), EXPORTERS))
    rows.extend(_local_rows(local, "FailOver", {LOCAL: 100}))
    say(f"killing the app of {LOCAL}")
    answers = local.while_the_app_is_killed(PORTS_URL, CALLS, 0.1)
    rows.append(answered_row(f"FailOver, pods of {LOCAL}, the app killed: {CALLS} calls", answers))

    rows.append(_change(engine, client, "Locality", say, followed=lambda answer: answer.code == CURL_REFUSED))
    rows.append(refused_row("Locality", client.curl(PORTS_URL)))
    rows.append(nobody_row("Locality, by app-id", client.invoke(SERVICE, "/ports")))
    rows.extend(_local_rows(local, "Locality", {LOCAL: 100}))

    rows.append(_change(engine, client, "ActiveActive", say, followed=lambda answer: answer.code == 0))
    equal = dict.fromkeys(EXPORTERS, 100)
    rows.append(shares_row(f"ActiveActive, {CALLS} calls", _calls(lambda: client.curl(PORTS_URL)), equal))
    by_app_id = _calls(lambda: client.invoke(SERVICE, "/ports"))
    rows.append(shares_row(f"ActiveActive, {CALLS} calls by app-id", by_app_id, equal))
    rows.extend(_local_rows(local, "ActiveActive", equal))

    say("orders")
    order = '{"data":{"orderId":"42"}}'
    created = client.curl(NEW_ORDER_URL, data=order, headers={"dapr-app-id": SERVICE})
    rows.extend(order_rows(created, _calls(lambda: client.curl(ORDER_URL), 2 * len(EXPORTERS))))
    created = client.invoke(SERVICE, "/neworder", data=order)
    read = _calls(lambda: client.invoke(SERVICE, "/order"), 2 * len(EXPORTERS))
    rows.extend(order_rows(created, read, ", by app-id"))
    return rows


def answered_row(step: str, answers: Sequence[Answer]) -> Row:
    """Every call is answered by some cluster."""
    seen = Counter(serving_cluster(answer) or f"failed ({answer.text[:60]})" for answer in answers)
    return Row(
        step=step,
        expected="all answered by " + " or ".join(EXPORTERS),
        seen=", ".join(f"{name} {seen[name]}" for name in sorted(seen)),
        passed=bool(answers) and set(seen) <= set(EXPORTERS),
    )


def _calls(call: Callable[[], Answer], count: int = CALLS) -> list[Answer]:
    return [call() for _ in range(count)]


def _local_rows(local: ExporterPods, lb_type: str, weights: Mapping[str, int]) -> list[Row]:
    """What pods of a cluster get that runs the service itself, by name and by app-id."""
    ways: dict[str, Callable[[int], list[Answer]]] = {
        "by name": lambda count: local.by_name(PORTS_URL, count),
        "by app-id": lambda count: local.by_app_id(SERVICE, "/ports", count),
    }
    where = f"{lb_type}, pods of {LOCAL}, {CALLS} calls"
    return [
        shares_row(f"{where} {way}", _followed(calls, set(weights)), weights) for way, calls in ways.items()
    ]


def _followed(calls: Callable[[int], list[Answer]], clusters: set[str]) -> list[Answer]:
    """Calls from when the policy is followed: by app-id that is when the sidecar has taken it in."""
    deadline = time.monotonic() + FOLLOW_SECONDS
    while {serving_cluster(answer) for answer in calls(4)} != clusters and time.monotonic() < deadline:
        time.sleep(0.5)
    return calls(CALLS)


def _change(
    engine: Engine, client: ClientPod, lb_type: str, say: Say, *, followed: Callable[[Answer], bool]
) -> Row:
    """Set the policy through the program and measure how long after the object's change traffic follows."""
    say(f"setting {lb_type} through the program")
    engine.ensure({"policies": policy(lb_type)})
    with (
        PolicyWatch(client, NAMESPACE, SERVICE, lb_type) as watch,
        CallLoop(client, PORTS_URL, followed) as loop,
    ):
        engine.up_quietly()
        changed = watch.changed(timeout=20)
        first = loop.first(after=changed, timeout=20)
    return Row(
        step=f"traffic follows {lb_type}",
        expected="follows after the object's change",
        seen=f"after {max(first - changed, 0.0) * 1000:.0f} ms" if first else "did not follow within 20 s",
        passed=first is not None,
    )


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """The table for machines."""
    return {"passed": all(row.passed for row in rows), "rows": [asdict(row) for row in rows]}


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Run the demo and print its table; 1 when any answer is not as expected."""
    engine = Engine(toolchain.existing(paths), arguments.environment, progress)
    rows = walk(engine, progress.note)
    table = Table(title="The article's walk", title_justify="left")
    for column in ("", "step", "expected", "seen"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row("✔" if row.passed else "✗", escape(row.step), escape(row.expected), escape(row.seen))
    output_console().print(table)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(as_json(rows), indent=2, ensure_ascii=False) + "\n")
    failed = [row.step for row in rows if not row.passed]
    if failed:
        raise UserError(f"{len(failed)} of {len(rows)} answers were not as expected: {', '.join(failed)}.")
    progress.note(f"All {len(rows)} answers as expected.")
    return 0
