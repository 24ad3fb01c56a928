"""`./stack explain`: why a call goes where it goes, now or for a past request."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence

from rich.markup import escape

from airgap.report import Report, output_console
from cli import settings
from cli.errors import UserError
from cli.explain import decision, requests, target
from cli.explain.decision import Hop
from cli.observe.api import Api, ApiError
from cli.observe.environment import Running, running
from cli.observe.present import engine_of
from cli.observe.view import GATEWAY, SYSTEM, ClusterView, Object, Platform, key_of
from cli.paths import Paths

LOG_LINES = 20_000
"""Of each gateway's log that are looked through, its end."""


def run(arguments: argparse.Namespace, paths: Paths, progress: Report) -> int:
    """Print each hop."""
    if bool(arguments.request_id) == bool(arguments.target):
        raise UserError("give a URL or an app-id, with --from, or a --request-id.", code=2)
    if arguments.target and not arguments.source:
        raise UserError("--from is missing: name the cluster of the callers.", code=2)
    settings.source_file(paths, arguments.environment)
    hops = asyncio.run(_look(arguments, paths, progress))
    if arguments.json:
        print(json.dumps([hop.as_json() for hop in hops], indent=2, ensure_ascii=False))
        return 0
    console = output_console()
    for line in lines(hops):
        console.print(line, highlight=False, soft_wrap=True)
    return 0


def lines(hops: Sequence[Hop]) -> list[str]:
    """For people: every hop with what is decided there, and why below it."""
    said = []
    for number, hop in enumerate(hops, 1):
        said.append(f"[bold]{number}. {escape(hop.at)}[/bold] → {escape(hop.decided)}")
        said += [f"     {escape(why)}" for why in hop.why]
    return said


async def _look(arguments: argparse.Namespace, paths: Paths, progress: Report) -> list[Hop]:
    async with running(engine_of(paths, arguments.environment, progress)) as environment:
        platform = await environment.look()
        if arguments.request_id:
            return await _past(environment, platform, arguments.request_id)
    view = cluster(platform, arguments.source)
    return decision.explain(platform, view, target.read(arguments.target, view))


def cluster(platform: Platform, name: str) -> ClusterView:
    """The callers' cluster. Raises UserError for one that is not there."""
    try:
        return platform.cluster(name)
    except KeyError:
        known = ", ".join(view.name for view in platform.clusters)
        raise UserError(f"--from {name}: there is no such cluster. Known: {known}.", code=2) from None


async def _past(environment: Running, platform: Platform, request_id: str) -> list[Hop]:
    asked = [view for view in platform.clusters if view.name in environment.apis]
    answers = await asyncio.gather(
        *(_entries(environment.apis[view.name], view, request_id) for view in asked)
    )
    entries = {view.name: listed for view, (listed, _) in zip(asked, answers, strict=True)}
    unread = [reason for _, reasons in answers for reason in reasons]
    unread += [f"{view.name}: {view.error}" for view in platform.clusters if view.error and view not in asked]
    hops = requests.hops(platform, entries)
    if not hops:
        also = f" Not all could be read: {'; '.join(unread)}." if unread else ""
        raise UserError(
            f"no gateway has the request {request_id} in the last {LOG_LINES} lines of its log. The id is "
            "the X-Request-Id that its caller sent, or else the `request_id` that the first gateway made, in "
            f"that log; `gateway.accessLog` has to be on.{also}"
        )
    return hops


async def _entries(api: Api, view: ClusterView, request_id: str) -> tuple[list[Object], list[str]]:
    """What the gateways of a cluster wrote of a request, and which logs could not be read."""
    if unseen := view.unseen("Pod", SYSTEM):
        return [], [f"{view.name}: {unseen}"]
    entries: list[Object] = []
    unread = []
    pods = f"/api/v1/namespaces/{SYSTEM}/pods"
    for pod in view.pods(SYSTEM, {"app": GATEWAY}):
        name = key_of(pod)[1]
        try:
            log = await api.text(f"{pods}/{name}/log?container={GATEWAY}&tailLines={LOG_LINES}")
        except ApiError as error:
            unread.append(f"{view.name}, {name}: {error}")
        else:
            entries += requests.found(log, request_id)
    return entries, unread
