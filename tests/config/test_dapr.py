"""Dapr's resources in the settings: where they are, their mistakes, their secrets."""

from __future__ import annotations

from typing import Any

import pytest
from config.environments import Config, changed, problems

from stacks.config import loading
from stacks.config.problem import SettingsError

SOURCES = "value, secret, secretKeyRef, cluster"
ORDERS: Config = {"name": "orders", "namespace": "shop", "type": "pubsub.kafka"}
TRACING: Config = {"name": "tracing", "namespace": "shop", "spec": {"tracing": {"samplingRate": "1"}}}
RETRIES: Config = {"name": "retries", "namespace": "shop", "spec": {"policies": {}}, "scopes": ["pay"]}
TOPIC: Config = {
    "name": "orders", "namespace": "shop", "pubsubname": "orders", "topic": "orders", "route": "/orders",
}  # fmt: skip
STORE: Config = {
    "name": "pay", "namespace": "shop", "clusters": ["cluster-2"], "image": "r/pay:1",
    "dapr": {"stateStore": {"name": "orders"}},
}  # fmt: skip


def with_dapr(dev: Config, **dapr: Any) -> Config:
    return changed(dev, {"dapr": dapr})


def test_resources_are_on_members_with_dapr_unless_they_say_where(dev: Config) -> None:
    somewhere = {**TRACING, "clusters": ["cluster-2"]}
    config = with_dapr(
        dev, components=[ORDERS], configurations=[somewhere], resiliencies=[RETRIES], subscriptions=[TOPIC]
    )
    settings = loading.parse(changed(config, {"clusters[1].dapr": "none"}))
    assert {path: settings.members_with(one) for path, one in settings.dapr.resources} == {
        "dapr.components[0]": ("cluster-2", "cluster-3"),
        "dapr.configurations[0]": ("cluster-2",),
        "dapr.resiliencies[0]": ("cluster-2", "cluster-3"),
        "dapr.subscriptions[0]": ("cluster-2", "cluster-3"),
    }


def test_an_app_may_do_without_its_sidecar_in_some_of_its_clusters(dev: Config) -> None:
    app = {**STORE, "dapr": {}, "clusters": ["cluster-1", "cluster-2"]}
    settings = loading.parse(changed(dev, {"clusters[1].dapr": "none", "apps[2]": app}))
    assert settings.apps[2].has_sidecar


# What is set under `dapr`, and what is told of it.
# fmt: off
MISTAKES: dict[str, tuple[Config, str]] = {
    "no cluster": (
        {"components": [{**ORDERS, "clusters": ["cluster-9"]}]},
        "dapr.components[0].clusters = 'cluster-9': no such cluster"),
    "the control plane": (
        {"configurations": [{**TRACING, "clusters": ["control-plane"]}]},
        "dapr.configurations[0].clusters = 'control-plane': is the control plane, which runs no apps"),
    "a cluster twice": (
        {"subscriptions": [{**TOPIC, "clusters": ["cluster-1", "cluster-1"]}]},
        "dapr.subscriptions[0].clusters = 'cluster-1': listed more than once"),
    "a cluster without Dapr": (
        {"mode": "none", "resiliencies": [{**RETRIES, "clusters": ["cluster-1"]}]},
        "dapr.resiliencies[0].clusters = 'cluster-1': has no Dapr"),
    "a name twice": (
        {"components": [ORDERS, {**ORDERS, "clusters": ["cluster-2"]}]},
        "dapr.components[1].name = 'orders': dapr.components[0] is shop/orders on cluster-2 too"),
    "an app-id twice": (
        {"resiliencies": [{**RETRIES, "scopes": ["pay", "pay"]}]},
        "dapr.resiliencies[0].scopes = 'pay': listed more than once"),
    "a value from two places": (
        {"components": [{**ORDERS, "metadata": {"brokers": {"value": "a", "cluster": "name"}}}]},
        f"dapr.components[0].metadata.brokers: needs one of {SOURCES}"),
    "a secret that is no text": (
        {"components": [{**ORDERS, "metadata": {"password": {"secret": 5}}}]},
        "dapr.components[0].metadata.password.secret = '(secret)': not a text"),
    "no topic": (
        {"subscriptions": [{**TOPIC, "topic": ""}]}, "dapr.subscriptions[0].topic = '': empty"),
    "no spec": (
        {"configurations": [{"name": "tracing", "namespace": "shop"}]},
        "dapr.configurations[0].spec: missing"),
}
# fmt: on


@pytest.mark.parametrize(("dapr", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(dev: Config, dapr: Config, mistake: str) -> None:
    assert [one.partition(". ")[0] for one in problems(with_dapr(dev, **dapr))] == [mistake]


def test_the_state_store_of_an_app_is_a_component_too(dev: Config) -> None:
    config = changed(with_dapr(dev, components=[ORDERS]), {"apps[2]": STORE})
    reason = "apps[2].dapr.stateStore is shop/orders on cluster-2 too"
    assert problems(config) == [f"dapr.components[0].name = 'orders': {reason}. Rename one of them."]
    assert problems(changed(config, {"apps[2].namespace": "other"})) == []


def test_a_secret_in_clear_text_is_refused_without_being_shown(dev: Config) -> None:
    def read(value: Any) -> Any:
        config = with_dapr(dev, components=[{**ORDERS, "metadata": {"password": {"secret": value}}}])
        return loading.parse_stack_file({"config": {f"multicluster-dapr:{k}": v for k, v in config.items()}})

    path = "dapr.components[0].metadata.password.secret"
    with pytest.raises(SettingsError) as caught:
        read("hunter2")
    hint = f"Remove it and run `pulumi config set --secret --path '{path}'`."
    found = [str(problem) for problem in caught.value.problems]
    assert found == [f"{path} = '(secret)': is in clear text in the stack's file. {hint}"]
    assert read({"secure": "v1:abc"}).dapr.components[0].metadata["password"].secret is not None
