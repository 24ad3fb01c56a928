"""Client pods and what is heard of them, with an API server in memory."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from platforms.world import World

from cli.drill import traffic
from cli.drill.followed import Calls
from cli.drill.traffic import Traffic, client_pod
from cli.errors import UserError
from cli.observe.api import ApiError

KEY = "default/default/default/cluster-3"
CALLS = Calls(cluster="cluster-2", urls={"a/b:80": "http://b.a:80/"}, local=frozenset(), serving={})
GATEWAY = {
    "name": "gateway", "image": "gateway:1", "securityContext": {"readOnlyRootFilesystem": True},
    "command": ["gateway"],
}  # fmt: skip


def world() -> World:
    made = World()
    template = made["cluster-2"].get("Deployment", "gateway")["spec"]["template"]
    template["spec"] = {
        "containers": [{"name": "other", "image": "x"}, GATEWAY], "nodeSelector": {"a": "b"},
        "securityContext": {"runAsNonRoot": True}, "serviceAccountName": "gateway",
    }  # fmt: skip
    return made


def test_the_client_pod_is_the_gateways_image_where_gateways_may_run_without_its_rights() -> None:
    view = world().platform().cluster("cluster-2")
    pod = client_pod(view, CALLS, rate=5, seconds=60, prefix="d-")
    (container,) = pod["spec"]["containers"]
    assert (container["image"], container["securityContext"]) == ("gateway:1", GATEWAY["securityContext"])
    assert json.loads(container["command"][3]) == {
        "urls": CALLS.urls, "rate": 5, "seconds": 60, "prefix": "d-",
    }  # fmt: skip
    assert pod["spec"]["nodeSelector"] == {"a": "b"}
    assert pod["spec"]["securityContext"] == {"runAsNonRoot": True}
    assert "serviceAccountName" not in pod["spec"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["activeDeadlineSeconds"] == 180, "it ends when nobody is left to end it"


class FakeApi:
    """One client pod, one gateway that tells, one that is starting. It fails once."""

    def __init__(self) -> None:
        self.prefix = ""
        self.asked = 0

    async def text(self, path: str) -> str:
        if "/drill-client/log" in path:
            self.asked += 1
            if self.asked == 1:
                raise ApiError("does not answer within 4 s")
            return json.dumps([f"{self.prefix}1", "a/b:80", time.time() - 1, 0.01, 200, ""])
        if "/gateway-2/" in path:
            raise ApiError("container is waiting to start")
        return json.dumps({"request_id": f"{self.prefix}1", "cluster": KEY, "listener": "east-west"})

    async def json(self, path: str) -> Any:
        assert path.endswith("?labelSelector=app%3Dgateway")
        return {"items": [{"metadata": {"name": f"gateway-{number}"}} for number in (2, 1)]}


class FakeTools:
    def __init__(self, *, starts: bool = True) -> None:
        self.said: list[str] = []
        self.starts = starts

    def kubectl(self, cluster: str, *arguments: str, stdin: str = "", seconds: float = 0) -> str:
        word = next(word for word in arguments if word in {"delete", "apply", "wait"})
        self.said.append(f"{cluster}: {word}")
        if word == "wait" and not self.starts:
            raise UserError("timed out")
        return ""


def made(tools: FakeTools, api: FakeApi) -> Traffic:
    given: Any = tools
    apis: Any = {"cluster-2": api}
    found = Traffic(world().platform(), {"cluster-2": CALLS}, given, apis, rate=10, seconds=60)
    api.prefix = found._prefix
    return found


async def test_calls_are_heard_of_although_an_api_server_fails_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traffic, "POLL_SECONDS", 0.01)
    tools = FakeTools()
    async with made(tools, FakeApi()) as found:
        for _ in range(3):
            await found.settle()
    assert [call.served for call in found.calls()] == ["cluster-3"]
    assert tools.said == ["cluster-2: delete", "cluster-2: apply", "cluster-2: wait"]


async def test_a_client_pod_that_does_not_start_is_named() -> None:
    with pytest.raises(UserError, match="the client pod in cluster-2 does not start: timed out"):
        await made(FakeTools(starts=False), FakeApi()).__aenter__()
