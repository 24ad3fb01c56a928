"""`./stack preview`: what `up` would change, and who would serve whom then."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airgap.report import Report, output_console
from cli import preflight
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.present import engine_of
from cli.observe.view import Object
from cli.paths import Paths
from cli.prepare import prepared_engine
from cli.preview import objects, render
from cli.preview.foreseen import Planned, ask, plan_of, planned
from stacks.config.model import Settings
from stacks.outlook import handed, outlook
from stacks.outlook.assumed import Assumed, with_pods
from stacks.outlook.handed import Handed
from stacks.outlook.outlook import Finding, Outlook


def alone(arguments: argparse.Namespace) -> bool:
    """Whether nothing but this is wanted of `preview`."""
    return bool(arguments.traffic or arguments.json)


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Prepare the machine, then show the changes, and who would serve whom.

    When that is `alone` what is wanted, nothing is prepared and no engine changes anything.
    """
    if alone(arguments):
        engine = engine_of(paths, arguments.environment, progress)
        show(arguments, engine, progress, engine.resources() if engine.exists() else None, None)
        return 0
    engine = prepared_engine(arguments, paths, progress)
    engine.ensure()
    resources = engine.resources()
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder:  # mode 0700
        told = Path(folder) / "traffic.json"
        engine.preview(resources, diff=arguments.diff, told=told)
        show(arguments, engine, progress, resources, handed.taken(told))
    return 0


def show(
    arguments: argparse.Namespace,
    engine: Engine,
    progress: Report,
    resources: Sequence[Object] | None,
    known: Handed | None,
) -> None:
    """Print it.

    `resources`: what the state holds, None where there is no stack; `known`: from the program, if it ran.
    Raises UserError when something would go wrong that the settings do not allow.
    """
    paths, environment = engine.toolchain.paths, engine.environment
    chosen = preflight.checked_settings(paths, environment)
    if chosen.mesh != "bundled":
        progress.note("Who would serve whom can be told for the bundled mesh alone, not for flomesh.")
        return
    without = [_key(chosen, name) for name in arguments.without]
    with progress.step(f"Asking the gateways' code who would serve whom in {environment}"):
        said = plan_of(known.said, chosen) if known else planned(paths, environment, chosen)
        assumed = said.assumed
        if known and not without:
            then = outlook.read(known.told, chosen)
        else:
            then = ask(chosen, assumed.objects, said, without)
        before = _before(resources, chosen, said, without)
    found = outlook.findings(then, chosen)
    if arguments.json:
        print(json.dumps(as_json(environment, then, before, assumed, found), indent=2, ensure_ascii=False))
    else:
        names = {cluster.key: cluster.name for cluster in chosen.clusters}
        console = output_console()
        console.print(render.table(environment, then, before, names))
        for line in render.lines(then, assumed, found):
            console.print(line, highlight=False, soft_wrap=True)
    refused = [one.text for one in found if one.level == "error"]
    if refused:
        raise UserError(
            f"traffic would go wrong: {'; '.join(refused)}. Change `policies` or `exports`, or what "
            f"`preview` in Pulumi.{environment}.yaml makes of it."
        )


def as_json(
    environment: str, then: Outlook, before: Outlook | None, assumed: Assumed, found: Sequence[Finding]
) -> dict[str, Any]:
    """Everything for machines."""
    return {
        "environment": environment,
        **then.as_json(),
        "now": before.as_json() if before is not None else None,
        "assumed": [{"cluster": cluster, "service": "/".join(key)} for cluster, key in assumed.others],
        "findings": [one.as_json() for one in found],
    }


def _key(chosen: Settings, name: str) -> str:
    keys = {cluster.name: cluster.key for cluster in chosen.clusters}
    if name not in keys:
        raise UserError(f"--without {name}: there is no such cluster. Known: {', '.join(keys)}.", code=2)
    return keys[name]


def _before(
    resources: Sequence[Object] | None, chosen: Settings, said: Planned, without: Sequence[str]
) -> Outlook | None:
    """Who serves whom as the last `up` left it; None where there was none."""
    if resources is None:
        return None
    if not resources:
        return Outlook(rows=(), lost={}, problems=())
    there = with_pods(objects.of_state(resources, chosen), chosen)
    return ask(chosen, there.objects, said, without, lose_each=False)
