"""Client pods, one in each cluster that calls, and what they and the gateways there tell of each call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from cli.drill.act import CLIENT
from cli.drill.calls import Call, Record
from cli.drill.followed import Calls
from cli.drill.tools import Tools
from cli.errors import UserError
from cli.observe.api import Api, ApiError
from cli.observe.view import GATEWAY, SYSTEM, ClusterView, Platform, key_of, spec

POLL_SECONDS = 1.0
READY_SECONDS = 120
OVERLAP_SECONDS = 4
"""Lines are read twice rather than never: API servers count whole seconds."""
LOG_LINES = 50_000
BUSY = {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}}


def client_pod(
    view: ClusterView, calls: Calls, *, rate: float, seconds: float, prefix: str
) -> dict[str, Any]:
    """The pod that calls: from the gateway's image, which every node has, and where gateways may run.

    It ends by itself after `seconds`, also when nobody is left to end it.
    """
    template = spec(spec(view.one("Deployment", SYSTEM, GATEWAY) or {}).get("template") or {})
    gateway = next(one for one in template["containers"] if one["name"] == GATEWAY)
    wanted = {"urls": calls.urls, "rate": rate, "seconds": seconds, "prefix": prefix}
    script = Path(__file__).with_name("caller.py").read_text()
    container = {
        "name": CLIENT,
        "image": gateway["image"],
        "imagePullPolicy": gateway.get("imagePullPolicy", "IfNotPresent"),
        "command": ["python3", "-c", script, json.dumps(wanted)],
        "resources": BUSY,
        "securityContext": gateway.get("securityContext") or {},
    }
    placed = ("imagePullSecrets", "nodeSelector", "tolerations", "securityContext")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": CLIENT, "namespace": SYSTEM, "labels": {"app": CLIENT}},
        "spec": {
            **{name: template[name] for name in placed if name in template},
            "containers": [container],
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": int(seconds) + READY_SECONDS,
        },
    }


class Traffic:
    """Calls under way while the block is open. The pods are removed by whoever reads the journal."""

    def __init__(
        self,
        platform: Platform,
        followed: Mapping[str, Calls],
        tools: Tools,
        apis: Mapping[str, Api],
        *,
        rate: float,
        seconds: float,
    ) -> None:
        """`rate` is that of all together, `seconds` the longest that they call."""
        self._platform, self._followed, self._tools, self._apis = platform, followed, tools, apis
        self._rate, self._seconds = rate / len(followed), seconds
        self._prefix = f"drill-{secrets.token_hex(4)}-"
        self._names = {view.key: view.name for view in platform.clusters}
        self._records = {name: Record(client=name, local=calls.local) for name, calls in followed.items()}
        self._heard_at = dict.fromkeys(followed, time.monotonic())
        self._polls: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(asyncio.to_thread(self._start, name) for name in self._followed))
        self._heard_at = dict.fromkeys(self._followed, time.monotonic())
        self._polls = [asyncio.create_task(self._follow(name)) for name in self._followed]
        return self

    async def __aexit__(self, *_: object) -> None:
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)

    def calls(self, since: float = 0.0) -> list[Call]:
        """All that began from `since`, ended and were heard of, in the order in which they began."""
        found = [call for record in self._records.values() for call in record.calls(self._names, since)]
        return sorted(found, key=lambda call: call.began)

    async def settle(self) -> None:
        """Hear what was not yet: gateways write their logs a moment later."""
        await asyncio.sleep(POLL_SECONDS)
        for name in self._followed:
            with contextlib.suppress(ApiError):
                await self._hear(name)

    def _start(self, name: str) -> None:
        view, pod = self._platform.cluster(name), ("-n", SYSTEM, "pod", CLIENT)
        self._tools.kubectl(name, "delete", *pod, "--ignore-not-found", "--now")
        made = client_pod(
            view, self._followed[name], rate=self._rate, seconds=self._seconds, prefix=self._prefix
        )
        self._tools.kubectl(name, "apply", "-f", "-", stdin=json.dumps(made))
        ready = ("--for=condition=Ready", f"--timeout={READY_SECONDS}s")
        try:
            self._tools.kubectl(name, "wait", *pod, *ready, seconds=READY_SECONDS + 10)
        except UserError as error:
            raise UserError(f"the client pod in {name} does not start: {error}") from error

    async def _follow(self, name: str) -> None:
        while True:
            # A cluster that is busy is asked again, for all since it last told.
            with contextlib.suppress(ApiError):
                await self._hear(name)
            await asyncio.sleep(POLL_SECONDS)

    async def _hear(self, name: str) -> None:
        """What the client pod of a cluster printed since it was last heard, and what its gateways logged."""
        asked, api, record = time.monotonic(), self._apis[name], self._records[name]
        since = int(asked - self._heard_at[name]) + OVERLAP_SECONDS
        page = f"/api/v1/namespaces/{SYSTEM}/pods"
        which = f"sinceSeconds={since}&tailLines={LOG_LINES}"
        printed = await api.text(f"{page}/{CLIENT}/log?container={CLIENT}&{which}")
        record.heard(printed, time.time())
        listed = await api.json(f"{page}?labelSelector=app%3D{GATEWAY}")
        for pod in listed.get("items") or []:
            with contextlib.suppress(ApiError):  # one that is starting or ending has no log to read
                log = await api.text(f"{page}/{key_of(pod)[1]}/log?container={GATEWAY}&{which}")
                record.logged(log, self._prefix)
        self._heard_at[name] = asked
