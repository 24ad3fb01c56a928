"""The article's walk, checked: what each call should answer, and what it did.

Policies change through the program: the demo overrides the `policies` of the effective configuration and
runs `up`, as a user would after editing the stack file. Meanwhile the client pod calls without
pause, so that the time from the object's change to the first call that follows it is seen, not guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cli.calls import Answer, CallLoop, ClientPod, PolicyWatch, http_get
from cli.engine import Engine
from cli.errors import UserError

NAMESPACE = "dapr-test"
SERVICE = "nodeapp"
CLIENT = "cluster-2"
EXPORTERS = ("cluster-1", "cluster-3")
PORTS_URL = f"http://{SERVICE}.{NAMESPACE}:3000/ports"
ORDER_URL = f"http://{SERVICE}.{NAMESPACE}:3000/order"
NEW_ORDER_URL = f"http://{SERVICE}.{NAMESPACE}:3000/neworder"
CURL_REFUSED = 7
CALLS = 40
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
    """The article's policy object in the client's cluster, as configuration."""
    entry: dict[str, Any] = {"cluster": CLIENT, "namespace": NAMESPACE, "name": SERVICE, "lbType": lb_type}
    if lb_type != "Locality":
        entry["targets"] = [{"cluster": name, "weight": 100} for name in EXPORTERS]
    return [entry]


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


def order_rows(created: Answer, read: Sequence[Answer]) -> list[Row]:
    """An order written through one cluster is read through both."""
    writer = serving_cluster(created)
    readers = {serving_cluster(answer) for answer in read if answer.body.startswith('{"orderId":"42"}')}
    return [
        Row(
            step="POST /neworder with order 42",
            expected="created order via cluster: " + " or ".join(EXPORTERS),
            seen=created.text,
            passed=writer in EXPORTERS and created.body.startswith("created order via cluster: "),
        ),
        Row(
            step="GET /order from both clusters",
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
    client = ClientPod(engine.toolchain.env, engine.secret_output("kubeconfigs")[CLIENT])
    try:
        return _steps(engine, outputs["clusters"], client, say)
    finally:
        say("restoring the configured policies")
        engine.ensure()
        engine.up_quietly()
        client.close()


def _steps(engine: Engine, clusters: Mapping[str, Any], client: ClientPod, say: Say) -> list[Row]:
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

    rows.append(_change(engine, client, "Locality", say, followed=lambda answer: answer.code == CURL_REFUSED))
    rows.append(refused_row("Locality", client.curl(PORTS_URL)))

    rows.append(_change(engine, client, "ActiveActive", say, followed=lambda answer: answer.code == 0))
    answers = [client.curl(PORTS_URL) for _ in range(CALLS)]
    rows.append(shares_row(f"ActiveActive, {CALLS} calls", answers, dict.fromkeys(EXPORTERS, 100)))

    say("orders")
    created = client.curl(NEW_ORDER_URL, data='{"data":{"orderId":"42"}}', headers={"dapr-app-id": SERVICE})
    read = [client.curl(ORDER_URL) for _ in range(2 * len(EXPORTERS))]
    rows.extend(order_rows(created, read))
    return rows


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
