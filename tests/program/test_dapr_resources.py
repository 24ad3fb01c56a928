"""Dapr's resources of the settings: what is registered for them, and whose pods restart when."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.config.dapr import ComponentSettings, ConfigurationSettings
from stacks.config.present import Answers, Present, PresentDapr
from stacks.program import dapr_specs

KEY = "multicluster-dapr/dapr-resources"
BROKER: dict[str, Any] = {
    "name": "broker", "namespace": "shop", "type": "pubsub.kafka", "initTimeout": "20s", "scopes": ["pay"],
    "metadata": {
        "brokers": "kafka:9092",
        "clientID": {"cluster": "name"},
        "saslUsername": {"secretKeyRef": {"name": "kafka", "key": "user"}},
        "saslPassword": {"secret": "a-password-of-this-test"},
    },
}  # fmt: skip
STORE: dict[str, Any] = {"name": "cache", "namespace": "shop", "type": "state.in-memory"}
TRACING = {"name": "tracing", "namespace": "shop", "spec": {"tracing": {"samplingRate": "1"}}}
RETRIES = {"name": "retries", "namespace": "shop", "spec": {"policies": {}}, "clusters": ["cluster-1"]}
TOPIC: dict[str, Any] = {
    "name": "orders", "namespace": "shop", "pubsubname": "broker", "topic": "orders", "route": "/orders",
    "rules": [{"match": 'event.type == "big"', "path": "/big"}], "deadLetterTopic": "poison",
    "metadata": {"rawPayload": "true"},
}  # fmt: skip
PAY: dict[str, Any] = {
    "name": "pay", "namespace": "shop", "clusters": ["cluster-1", "cluster-2"], "image": "r/pay:1",
    "dapr": {"appPort": 80, "config": "tracing"},
}  # fmt: skip
PLAIN = {"name": "plain", "namespace": "shop", "clusters": ["cluster-1"], "image": "r/plain:1"}
RESOURCES: dict[str, Any] = {
    "components": [BROKER, STORE], "configurations": [TRACING], "resiliencies": [RETRIES],
    "subscriptions": [TOPIC],
}  # fmt: skip


def environment(run: Any, **changes: Any) -> Any:
    """What is registered with these resources, and two apps in their namespace."""

    def change(config: dict[str, Any]) -> None:
        config["apps"] += [PAY, PLAIN]
        config["dapr"] = {**RESOURCES, **changes}

    return run("dev", change)


def annotations(recorder: Any, cluster: str = "cluster-1", app: str = "pay") -> dict[str, str]:
    template = recorder.find(f"{cluster}-shop-{app}-deployment").inputs["spec"]["template"]
    found: dict[str, str] = template["metadata"]["annotations"]
    return found


def test_a_component_has_its_values_and_no_secret_in_clear(run: Any) -> None:
    recorder = environment(run)
    made = recorder.find("cluster-1-shop-broker-component").inputs
    assert (made["apiVersion"], made["scopes"]) == ("dapr.io/v1alpha1", ["pay"])
    assert made["spec"] == {
        "type": "pubsub.kafka", "version": "v1", "initTimeout": "20s",
        "metadata": [
            {"name": "brokers", "value": "kafka:9092"},
            {"name": "clientID", "value": "cluster-1"},
            {"name": "saslUsername", "secretKeyRef": {"name": "kafka", "key": "user"}},
            {"name": "saslPassword", "secretKeyRef": {"name": "broker-metadata", "key": "saslPassword"}},
        ],
    }  # fmt: skip
    secret = recorder.find("cluster-1-shop-broker-secret")
    assert secret.inputs["stringData"] == {"saslPassword": "a-password-of-this-test"}
    assert not [r.name for r in recorder.registered if "a-password-of-this-test" in str(r.in_clear)]
    assert "cluster-1-shop-broker-secret" in recorder.find("cluster-1-shop-broker-component").after
    assert {r.name for r in recorder.registered if r.name.startswith("cluster-2-shop-cache")} == {
        "cluster-2-shop-cache", "cluster-2-shop-cache-component",
    }  # fmt: skip


def test_the_others_are_in_daprs_words(run: Any) -> None:
    recorder = environment(run)
    assert recorder.find("cluster-3-shop-tracing-configuration").inputs["spec"] == TRACING["spec"]
    assert recorder.find("cluster-1-shop-retries-resiliency").inputs["spec"] == RETRIES["spec"]
    topic = recorder.find("cluster-1-shop-orders-subscription").inputs
    assert topic["apiVersion"] == "dapr.io/v2alpha1"
    assert topic["spec"] == {
        "pubsubname": "broker", "topic": "orders", "deadLetterTopic": "poison",
        "metadata": {"rawPayload": "true"},
        "routes": {"rules": [{"match": 'event.type == "big"', "path": "/big"}], "default": "/orders"},
    }  # fmt: skip
    resiliencies = [r.name for r in recorder.registered if r.type.endswith("v1alpha1:Resiliency")]
    assert resiliencies == ["cluster-1-shop-retries-resiliency"]
    assert recorder.find("cluster-3-shop"), "its namespace is made, without an app there"


def test_pods_wait_for_what_their_sidecars_read(run: Any) -> None:
    after = environment(run).find("cluster-1-shop-pay").after
    read = {"broker-component", "cache-component", "tracing-configuration", "retries-resiliency"}
    assert {f"cluster-1-shop-{name}" for name in (*read, "orders-subscription")} <= set(after)


def test_pods_restart_when_what_is_read_at_the_start_is_another(run: Any) -> None:
    before = annotations(environment(run))[KEY]
    assert annotations(environment(run))[KEY] == before
    for other in (
        {"configurations": [{**TRACING, "spec": {}}]},
        {"resiliencies": [{**RETRIES, "spec": {}}]},
        {"resiliencies": []},
    ):
        assert annotations(environment(run, **other))[KEY] != before
    for same in (
        {"configurations": [TRACING, {**TRACING, "name": "other"}]},
        {"components": [BROKER, {**STORE, "version": "v2"}]},
        {"subscriptions": []},
        {"resiliencies": [RETRIES, {**RETRIES, "name": "theirs", "scopes": ["others"]}]},
        {"resiliencies": [RETRIES, {**RETRIES, "namespace": "elsewhere"}]},
    ):
        assert annotations(environment(run, **same))[KEY] == before
    assert KEY not in annotations(environment(run), app="plain"), "it has no sidecar"
    assert KEY not in annotations(run("dev", lambda config: config["apps"].append(PAY)))


def test_an_older_sidecar_restarts_for_components_too(run: Any) -> None:
    old = {"version": "1.17.1"}
    before = annotations(environment(run, **old))[KEY]
    changed = {**old, "components": [BROKER, {**STORE, "version": "v2"}]}
    assert annotations(environment(run, **changed))[KEY] != before


@pytest.mark.parametrize(
    ("version", "reloads"),
    [("1.18.2", True), ("2.0.0", True), ("1.17.9", False), ("", False), ("edge", False), ("1.x", False)],
)
def test_sidecars_of_an_unknown_version_are_taken_for_old_ones(version: str, reloads: bool) -> None:
    component = ComponentSettings.model_validate(STORE)
    assert dapr_specs.is_reloaded(component, version) is reloads
    actors = ComponentSettings.model_validate({**STORE, "metadata": {"actorStateStore": "True"}})
    assert not dapr_specs.is_reloaded(actors, version)
    assert not dapr_specs.is_reloaded(ConfigurationSettings.model_validate(TRACING), version)


def test_an_app_of_ones_own_has_a_state_store_by_a_user_of_its_own(run: Any) -> None:
    store = {**PAY, "dapr": {"stateStore": {"name": "orders"}}}
    recorder = run("dev", lambda config: config["apps"].append(store))
    made = recorder.find("cluster-2-shop-orders-component").inputs
    assert (made["scopes"], made["spec"]["type"]) == (["pay"], "state.redis")
    assert made["spec"]["metadata"][1]["secretKeyRef"] == {"name": "orders", "key": "redis-password"}
    assert made["spec"]["metadata"][3] == {"name": "redisUsername", "value": "pay"}
    secret = recorder.find("cluster-2-shop-orders-secret")
    assert secret.inputs["stringData"] == {"redis-password": "stdout of redis-pay-password-random"}
    assert annotations(recorder, "cluster-2")["multicluster-dapr/state-store"].startswith("pay.")
    conf = str(recorder.find("redis-server").inputs["uploads"])
    assert "~pay||*" in conf
    assert "~nodeapp||*" in conf


def test_dapr_that_is_there_counts_by_its_own_version(run: Any) -> None:
    def change(config: dict[str, Any]) -> None:
        config["apps"].append({**PAY, "clusters": ["east"]})
        config["dapr"] = {"mode": "existing", "components": [STORE]}

    def found(version: str) -> Answers:
        dapr = PresentDapr(namespace="dapr-system", version=version, mtls=False)
        return Answers(found={"east": Present(namespaces={}, dapr=dapr)})

    assert KEY not in annotations(run("existing", change, present=found("1.18.0")), "east")
    assert KEY in annotations(run("existing", change, present=found("1.17.0")), "east")
    assert KEY in annotations(run("existing", change), "east"), "nobody knows"
