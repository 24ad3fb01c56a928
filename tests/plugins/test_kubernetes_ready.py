"""When an object counts as ready; no cluster needed."""

import asyncio
from typing import Any

import pytest

from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import ProviderError
from airgap.plugins.kubernetes import ready, rules
from airgap.plugins.kubernetes.client import Kind


def _wait() -> rules.Wait:
    return rules.Wait(client=None, log=Log(), cancelled=asyncio.Event())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "live", "is_ready"),
    [
        ("Pod", {"status": {"phase": "Succeeded"}}, True),
        ("Pod", {"metadata": {"name": "p"}, "status": {"phase": "Pending"}}, False),
        (
            "StatefulSet",
            {"spec": {"replicas": 1}, "metadata": {"generation": 1}, "status": {"observedGeneration": 1}},
            False,
        ),
        (
            "StatefulSet",
            {
                "spec": {"replicas": 1},
                "metadata": {"generation": 1},
                "status": {
                    "observedGeneration": 1,
                    "replicas": 1,
                    "readyReplicas": 1,
                    "currentReplicas": 1,
                    "currentRevision": "r",
                    "updateRevision": "r",
                },
            },
            True,
        ),
        ("DaemonSet", {"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}, False),
        ("DaemonSet", {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}, True),
        (
            "Deployment",
            {"metadata": {"generation": 2, "name": "d"}, "spec": {}, "status": {"observedGeneration": 1}},
            False,
        ),
        (
            "Deployment",
            {
                "metadata": {"generation": 1, "name": "d"},
                "spec": {"replicas": 0},
                "status": {"observedGeneration": 1},
            },
            True,
        ),
    ],
)
async def test_readiness_follows_the_status(kind: str, live: dict[str, Any], is_ready: bool) -> None:
    rule = next(rule for (_, name), rule in rules.RULES.items() if name == kind)
    assert (await rule(_wait(), {"kind": kind, **live}) == []) is is_ready


async def test_a_failed_job_is_not_waited_for() -> None:
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}
    with pytest.raises(rules.FailedForGoodError, match="BackoffLimitExceeded"):
        await rules._job(_wait(), {"metadata": {"name": "j"}, "status": {"conditions": [condition]}})


@pytest.mark.parametrize(
    ("text", "is_ready"),
    [
        ("jsonpath={.status.phase}", True),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath={.status.phase}=Gone", False),
        ("jsonpath={.status.list[0].a}=1", True),
        ("condition=Ready", True),
        ("condition=Ready=False", False),
        ('["condition=Ready", "jsonpath={.status.none}"]', False),
    ],
)
async def test_wait_for_expressions(text: str, is_ready: bool) -> None:
    status = {"phase": "Running", "list": [{"a": 1}], "conditions": [{"type": "Ready", "status": "True"}]}
    rule = ready.custom_rule(text)
    assert rule is not None
    assert (await rule(_wait(), {"metadata": {}, "status": status}) == []) is is_ready


def test_a_malformed_wait_for_is_refused() -> None:
    with pytest.raises(ProviderError, match="waitFor"):
        ready.custom_rule("ready please")


class EndpointsOf:
    """An API server that knows the Endpoints of one Service."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Any] | None = None

    async def kind(self, api_version: str, kind: str) -> Kind:
        return Kind(api_version, kind, "endpoints", True)

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        return self.endpoints


async def test_a_service_is_ready_when_its_endpoints_have_been_quiet() -> None:
    client = EndpointsOf()
    live = {"metadata": {"name": "s", "namespace": "n"}, "spec": {"selector": {"a": "b"}}}
    wait = rules.Wait(client=client, log=Log(), cancelled=asyncio.Event())  # type: ignore[arg-type]
    assert "does not target any Pods" in (await rules._service(wait, live))[0]
    client.endpoints = {"metadata": {"resourceVersion": "1"}}
    assert await rules._service(wait, live) == ["Waiting for the endpoints of the Service to settle"]
    wait.memory["since"] -= rules._SETTLE_SECONDS
    assert await rules._service(wait, live) == []
    client.endpoints = {"metadata": {"resourceVersion": "2"}, "subsets": [{"notReadyAddresses": [{}]}]}
    assert await rules._service(wait, live) == ["Waiting for the Pods of the Service to be ready"]
    headless = {**live, "spec": {"selector": {"a": "b"}, "clusterIP": "None"}}
    assert await rules._service(wait, headless) == []
