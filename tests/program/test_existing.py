"""Clusters that exist: what is made in them, what is used as it is, and that nothing else is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from components.cluster.cluster import LABEL
from components.dapr.dapr import overlaid
from stacks.config import loading
from stacks.config.present import Answers, Present, PresentDapr, PresentNamespace
from stacks.config.problem import SettingsError
from stacks.program import namespaces

OURS = PresentNamespace(labels={LABEL: "existing"})
THEIRS = PresentNamespace(labels={"team": "shop"})
OF_ANOTHER = PresentNamespace(labels={LABEL: "other"}, by_pulumi=True)
OF_AN_OLDER_VERSION = PresentNamespace(by_pulumi=True)
NAME = "east-dapr-test"


def having(found: PresentNamespace | None, **more: Any) -> Answers:
    """East answers that it has this namespace `dapr-test`."""
    return Answers(found={"east": Present(namespaces={} if found is None else {"dapr-test": found}, **more)})


def saying(mode: str) -> Any:
    return lambda config: config.update(namespaces=[{"name": "dapr-test", "mode": mode}])


def made(recorder: Any, name: str = NAME) -> list[Any]:
    return [r for r in recorder.registered if r.name == name and r.type.endswith(":Namespace")]


@pytest.mark.parametrize("found", [None, OURS, OF_AN_OLDER_VERSION])
def test_a_namespace_that_nobody_else_made_is_made_and_marked(run: Any, found: Any) -> None:
    (namespace,) = made(run("existing", present=having(found)))
    assert namespace.inputs["metadata"]["labels"][LABEL] == "existing"
    assert not namespace.retained


@pytest.mark.parametrize("found", [THEIRS, OF_ANOTHER])
def test_a_namespace_of_somebody_else_is_used_and_only_labelled(run: Any, found: Any) -> None:
    recorder = run("existing", present=having(found))
    assert not made(recorder)
    patch = recorder.find(f"{NAME}-labels")
    assert patch.type == "kubernetes:core/v1:NamespacePatch"
    assert patch.inputs["metadata"]["labels"] == {"multicluster.flomesh.io/dapr-callers": "true"}
    assert patch.provider == f"{NAME}-patcher", "the cluster's own takes nothing over"
    export = recorder.find("east-dapr-test-nodeapp-export-object")
    assert export.inputs["metadata"]["namespace"] == "dapr-test"


def test_one_without_apps_is_not_touched_at_all(run: Any) -> None:
    west = Answers(found={"west": Present(namespaces={"dapr-test": THEIRS})})
    recorder = run("existing", present=west)
    assert not [
        r for r in recorder.registered if r.name.startswith("west-dapr-test") and "Namespace" in r.type
    ]
    policy = recorder.find("west-dapr-test-nodeapp-policy-object")
    assert policy.inputs["metadata"]["namespace"] == "dapr-test"


def test_while_a_cluster_does_not_answer_what_was_made_stays(run: Any) -> None:
    assert made(run("existing")), "the engine would delete what the program leaves out"
    assert not made(run("existing", saying("require")))


def test_one_that_was_made_here_is_handed_over_and_not_deleted(run: Any) -> None:
    (namespace,) = made(run("existing", saying("require"), present=having(OURS)))
    assert namespace.retained
    assert LABEL not in namespace.inputs["metadata"]["labels"]
    assert not made(run("existing", saying("require"), present=having(THEIRS)))


def test_clusters_that_are_made_here_have_their_namespaces_unmarked(run: Any) -> None:
    (namespace,) = made(run(), "cluster-2-dapr-test")
    assert LABEL not in namespace.inputs["metadata"].get("labels", {})


def said(mode: str, found: PresentNamespace | None) -> list[str]:
    clusters = [
        {
            "name": name, "role": role, "source": "existing", "kubeconfig": "k", "context": name,
            "gatewayHost": name, "gatewayPort": 80,
        }
        for name, role in (("hub", "control-plane"), ("east", "member"))
    ]  # fmt: skip
    entry = {"name": "dapr-test", "mode": mode, "clusters": ["east"]}
    config = {"clusters": clusters, "namespaces": [entry], "images": {"registry": "r"}}
    try:
        namespaces.check(loading.parse(config), "existing", having(found))
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_namespace_that_has_to_be_there_or_must_not_is_named() -> None:
    assert said("require", None) == [
        (
            "namespaces[0].name = 'dapr-test': east has no namespace dapr-test, and it is not to be made "
            "here. Make it, or write `mode: adopt`."
        )
    ]
    assert said("make", THEIRS) == [
        (
            "namespaces[0].name = 'dapr-test': east has a namespace dapr-test already, which this "
            "environment did not make. Write `mode: adopt`, or require."
        )
    ]
    assert [
        said(*fits) for fits in (("require", THEIRS), ("make", OURS), ("make", None), ("adopt", None))
    ] == ([[]] * 4)


def types(recorder: Any, part: str) -> list[str]:
    return [r.name for r in recorder.registered if part in r.type]


def only_the_mesh(config: dict[str, Any]) -> None:
    for key in ("apps", "exports", "policies", "redis", "redisPassword"):
        config.pop(key)


def test_only_the_mesh_is_only_the_mesh(run: Any) -> None:
    recorder = run("existing", only_the_mesh)
    for part in (":dapr:", ":redis:", ":app:", "helm", "docker:index/network", "docker:index/container"):
        assert not types(recorder, part)
    assert types(recorder, "docker:index/image:Image") == ["gateway-image"], "no demo image is built"
    assert "redis" not in recorder.outputs
    assert len(types(recorder, ":mesh:ClusterMembership")) == 2


def test_a_dapr_that_is_there_is_used_by_apps_and_not_installed(run: Any) -> None:
    there = having(None, dapr=PresentDapr(namespace="dapr-system", version="1.17.2", mtls=True))
    recorder = run("existing", lambda config: config["clusters"][1].update(dapr="existing"), present=there)
    assert types(recorder, "helm") == ["west-dapr-release"]
    assert recorder.find("east-dapr-test-statestore-component")
    assert recorder.find("east-dapr-test-nodeapp-deployment")


def test_without_dapr_apps_have_no_state_store(run: Any) -> None:
    recorder = run("existing", lambda config: config.update(dapr={"mode": "none"}))
    assert not types(recorder, ":dapr:")
    assert recorder.find("east-dapr-test-nodeapp-deployment")


def test_without_redis_nothing_asks_for_it(run: Any) -> None:
    recorder = run("dev", lambda config: config.update(redis={"mode": "none"}))
    assert not types(recorder, ":redis:")
    assert not types(recorder, "StateStore")
    assert "redis" not in recorder.outputs


def test_values_of_daprs_chart_win_over_ours(run: Any) -> None:
    dapr = {
        "highAvailability": True, "namespace": "dapr",
        "values": {"global": {"logAsJson": True, "tag": "mine"}, "dapr_sentry": {"logLevel": "debug"}},
    }  # fmt: skip
    release = run("dev", lambda config: config.update(dapr=dapr)).find("cluster-1-dapr-release").inputs
    assert release["namespace"] == "dapr"
    found = release["values"]["global"]
    assert (found["ha"], found["logAsJson"], found["tag"]) == ({"enabled": True}, True, "mine")
    assert found["imagePullPolicy"] == "IfNotPresent", "what is not named stays"
    sentry = release["values"]["dapr_sentry"]
    assert (sentry["logLevel"], sentry.keys()) == ("debug", {"logLevel", "tls"})


def test_values_are_laid_over_key_by_key() -> None:
    below = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert overlaid(below, {"a": {"c": {"d": 4}}, "e": {"f": 5}, "g": 6}) == {
        "a": {"b": 1, "c": {"d": 4}}, "e": {"f": 5}, "g": 6,
    }  # fmt: skip
    assert below == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
