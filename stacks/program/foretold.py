"""The output `traffic`: who would serve whom by the settings, by the code of the gateways.

Plain `pulumi preview` and `pulumi up` show it with what changes of it, as they do of every output. No cluster
is asked: it is what the settings lead to, whatever is there now.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi

from stacks.config.model import Settings
from stacks.outlook import handed, outlook, what_if
from stacks.outlook.assumed import with_pods
from stacks.outlook.words import assumptions, merged, words
from stacks.program.planned import planned

MOST_COMPUTED = 500
"""Clusters times exports and policies: beyond it, an `up` would wait for minutes."""
MOST_SHOWN = 100
"""Rows: who has more looks at them by a command."""
COMMAND = "./stack preview {} --traffic"


async def traffic(settings: Settings, environment: str) -> dict[str, Any]:
    """The output; what is wrong with it is warned of as well. `served` has a row for each kind of callers."""
    size = len(settings.clusters) * (len(settings.exports) + len(settings.policies))
    command = COMMAND.format(environment)
    if size > MOST_COMPUTED:
        return {"left out": f"{len(settings.clusters)} clusters with so many exports take long: {command}"}
    said = await planned(settings)
    assumed = with_pods(said["objects"], settings)
    try:
        # Beside the engine's work: a second of a processor.
        told = await asyncio.to_thread(what_if.ask, settings, assumed.objects, said)
    except what_if.WhatIfError as error:
        pulumi.log.warn(f"who would serve whom cannot be told: {error}")
        return {"left out": str(error)}
    handed.hand_on(handed.Handed(said=said, told=told))
    then = outlook.read(told, settings)
    found = outlook.findings(then, settings)
    for one in found:
        pulumi.log.warn(one.text)
    rows = _rows(then, {cluster.key: cluster.name for cluster in settings.clusters})
    shown = dict(list(rows.items())[:MOST_SHOWN])
    more = {"more": f"{len(rows) - len(shown)} rows more: {command}"} if len(rows) > len(shown) else {}
    return {
        "assumed": f"{assumptions(assumed)}; clusters were not asked",
        "served": shown,
        **more,
        **({"wrong": [one.text for one in found]} if found else {}),
    }


def _rows(then: outlook.Outlook, names: dict[str, str]) -> dict[str, Any]:
    """By callers and service; with a cluster lost, what differs then."""
    lost = {key: {row.id: row for row in rows} for key, rows in then.lost.items()}
    return {
        f"{names[row.client]}: {callers} → {row.service}:{row.port}": {
            "policy": row.policy,
            "by": words(row, names),
            **{
                f"without {names[key]}": words(rows[row.id], names)
                for key, rows in lost.items()
                if row.id in rows
            },
        }
        for callers, row in merged(then)
    }
