"""Apps of the user's: what an entry comes to on each cluster, its mistakes, and its secrets."""

from __future__ import annotations

import json
from typing import Any, get_args

import pulumi
import pytest
from config.environments import GONE, Config, changed, problems

from stacks.config import loading
from stacks.config.apps import PRESETS, AppSettings
from stacks.config.problem import SettingsError

NO_NAME = "does not have the form ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NO_AMOUNT = r"does not have the form ^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
SOURCES = "value, secret, secretKeyRef, cluster, configMapKeyRef, field"
CHECKOUT: Config = {
    "name": "checkout", "namespace": "shop", "clusters": ["cluster-1", "cluster-2"],
    "image": "registry.example.org/checkout:1", "ports": [{"port": 80, "targetPort": 8080}],
    "env": {"MODE": "live", "REGION": {"value": "eu"}}, "dapr": {"appPort": 8080},
}  # fmt: skip


def checkout(dev: Config, changes: Config | None = None) -> Config:
    """The dev environment with one more app, and changes at paths inside of its entry."""
    return changed(
        changed(dev, {"apps[2]": CHECKOUT}), {f"apps[2].{k}": v for k, v in (changes or {}).items()}
    )


def app(dev: Config, **changes: Any) -> AppSettings:
    return loading.parse(checkout(dev, changes)).apps[2]


def test_what_differs_in_a_cluster_is_put_over_what_is_the_same(dev: Config) -> None:
    other = {"replicas": 3, "env": {"REGION": "us"}, "build": "apps/checkout"}
    found = app(dev, overrides={"cluster-2": other})
    assert found.on("cluster-1") is found
    there = found.on("cluster-2")
    assert (there.replicas, there.image, there.build) == (3, None, "apps/checkout")
    assert {name: value.value for name, value in there.env.items()} == {"MODE": "live", "REGION": "us"}
    assert app(dev, overrides={"cluster-2": {"replicas": 0}}).on("cluster-2").image == found.image


@pytest.mark.parametrize(
    ("dapr", "app_id"),
    [(None, None), ({}, None), ({"appPort": 80}, "checkout"), ({"appPort": 1, "appId": "c"}, "c")],
)
def test_only_an_app_that_listens_is_called_by_app_id(
    dev: Config, dapr: Config | None, app_id: str | None
) -> None:
    assert app(dev, dapr=dapr).app_id == app_id
    export = {
        "service": "checkout",
        "namespace": "shop",
        "clusters": ["cluster-1"],
        "rules": [{"portNumber": 80}],
    }
    settings = loading.parse(changed(checkout(dev, {"dapr": dapr}), {"exports[1]": export}))
    assert settings.app_id(settings.exports[1]) == app_id


# What is changed, and what is told of it.
# fmt: off
MISTAKES: dict[str, tuple[Config, str]] = {
    "no name": (
        {"name": GONE}, "apps[2].name: missing"),
    "a preset that is none": (
        {"app": "shell"}, "apps[2].app = 'shell': not one of the choices"),
    "no image": (
        {"image": GONE}, "apps[2]: needs either image, build, supplied, chart or manifests"),
    "an image that is built as well": (
        {"build": "apps/x"}, "apps[2]: needs either image, build, supplied, chart or manifests"),
    "an image of the supply as well": (
        {"overrides": {"cluster-1": {"supplied": "curl", "build": "apps/x"}}},
        "apps[2]: needs either image, build, supplied, chart or manifests"),
    "an account that is there and made": (
        {"serviceAccountName": "checkout", "serviceAccount": {}},
        "apps[2]: needs only one of serviceAccountName or serviceAccount"),
    "an app that finds the pods of another": (
        {"selector": {"part": "front"}, "namespace": "curl", "clusters": ["cluster-1", "cluster-2"],
         "labels": {"app": "curl"}},
        "apps[1].selector = 'app=curl': finds the pods of apps[2] on cluster-2 too"),
    "no labels to find pods by": (
        {"selector": {}}, "apps[2].selector: needs at least 1 entry"),
    "a port twice": (
        {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
        "apps[2].ports = '80': listed more than once"),
    "a port's name twice": (
        {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
        "apps[2].ports = 'a': listed more than once"),
    "several ports without names": (
        {"ports": [{"port": 80, "name": "a"}, {"port": 81}]},
        "apps[2].ports[1].name: missing, and there are several ports"),
    "an override elsewhere": (
        {"overrides": {"cluster-3": {}}}, "apps[2].overrides.cluster-3: the app is not on this cluster"),
    "an override of no cluster": (
        {"overrides": {"Cluster": {}}}, f"apps[2].overrides.Cluster = 'Cluster': {NO_NAME}"),
    "a mistake inside an override": (
        {"overrides": {"cluster-1": {"env": {"A": {}}}}},
        f"apps[2].overrides.cluster-1.env.A: needs one of {SOURCES}"),
    "a variable with two values": (
        {"env": {"A": {"value": "1", "cluster": "name"}}}, f"apps[2].env.A: needs one of {SOURCES}"),
    "a variable that is a number": (
        {"env": {"A": 1}}, "apps[2].env.A = 1: not a mapping of keys"),
    "a volume of nothing": (
        {"volumes": [{"mountPath": "/a"}]},
        "apps[2].volumes[0]: needs one of emptyDir, secret, configMap, claim"),
    "a folder twice": (
        {"volumes": [{"mountPath": "/a", "emptyDir": True}, {"mountPath": "/a", "secret": "s"}]},
        "apps[2].volumes = '/a': listed more than once"),
    "a probe of two kinds": (
        {"probes": {"liveness": {"command": ["true"], "path": "/"}}},
        "apps[2].probes.liveness: has a command, and a path or port as well"),
    "a probe of no port": (
        {"probes": {"startup": {"path": "/"}}, "ports": []},
        "apps[2].probes.startup.port: missing, and the app has no ports"),
    "root that may not be": (
        {"security": {"runAsUser": 0}},
        "apps[2].security.runAsUser = 0: is root, which runAsNonRoot refuses"),
    "an image named like the program's": (
        {"image": GONE, "build": "other/gateway"},
        "apps[2].build = 'other/gateway': the program has an image gateway too"),
    "two images of one name": (
        {"image": GONE, "build": "apps/x", "overrides": {"cluster-1": {"build": "other/x"}}},
        "apps[2].overrides.cluster-1.build = 'other/x': apps/x has an image x too"),
    "a secret that is no text": (
        {"env": {"A": {"secret": ["abc"]}}}, "apps[2].env.A.secret = '(secret)': not a text"),
    "an amount that is none": (
        {"resources": {"limits": {"memory": "much"}}},
        f"apps[2].resources.limits.memory = 'much': {NO_AMOUNT}"),
}
# fmt: on


@pytest.mark.parametrize(("changes", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(dev: Config, changes: Config, mistake: str) -> None:
    assert [found.partition(". ")[0] for found in problems(checkout(dev, changes))] == [mistake]


def test_what_an_entry_says_goes_over_what_it_begins_with(dev: Config) -> None:
    given = {"name": "orders", "replicas": 2, "env": {"MODE": "live"}, "dapr": {"logLevel": "debug"},
             "image": "r/orders:1", "selector": {"app": "orders"}}  # fmt: skip
    orders = loading.parse(changed(dev, {f"apps[0].{key}": value for key, value in given.items()})).apps[0]
    assert (orders.service, orders.replicas, orders.image, orders.build) == ("orders", 2, "r/orders:1", None)
    assert orders.env.keys() == {"APP_PORT", "CLUSTER_NAME", "DAPR_MODE", "MODE"}
    assert orders.dapr is not None
    assert (orders.app_id, orders.dapr.log_level) == ("orders", "debug")
    assert orders.labels_of_pods == {"app": "orders"}
    caller = loading.parse(changed(dev, {"apps[1].serviceAccountName": "theirs"})).apps[1]
    assert (caller.service_account_name, caller.service_account) == ("theirs", None)


def test_presets_are_those_that_app_may_name(dev: Config) -> None:
    assert get_args(get_args(AppSettings.model_fields["app"].annotation)[0]) == tuple(PRESETS)
    for name in PRESETS:
        assert loading.parse(changed(dev, {"apps[2]": {**dev["apps"][0], "app": name, "namespace": "other"}}))
    assert problems(changed(dev, {"apps[0]": "nodeapp"})) != []


def test_one_app_in_two_namespaces_finds_its_own_pods(dev: Config) -> None:
    assert problems(changed(checkout(dev), {"apps[3]": {**CHECKOUT, "namespace": "other"}})) == []


STORE = {"appId": "pay", "stateStore": {}}


def test_a_state_store_is_one_apps(dev: Config) -> None:
    assert problems(checkout(dev, {"dapr": STORE})) == []
    again = {"namespace": "dapr-test", "dapr": STORE}
    hint = "An app has a store alone: give this one a name of its own."
    assert problems(checkout(dev, again)) == [
        f"apps[2].dapr.stateStore.name = 'statestore': apps[0] has it in dapr-test. {hint}"
    ]
    named = {"name": "orders", "secret": "redis"}
    assert problems(checkout(dev, {**again, "dapr": {**STORE, "stateStore": named}})) == [
        f"apps[2].dapr.stateStore.secret = 'redis': apps[0] has it in dapr-test. {hint}"
    ]


def test_a_state_store_needs_redis_where_it_is_meant(dev: Config) -> None:
    none = {"redis": {"mode": "none"}}
    assert problems(changed(dev, none)) == []
    assert problems({**checkout(dev, {"dapr": STORE}), **none}) == [
        "apps[2].dapr.stateStore: has no meaning without Redis. Remove it, or set `redis.mode`."
    ]


@pytest.mark.parametrize(("dapr", "beside"), [(GONE, False), ({}, True)])
def test_dapr_is_beside_an_app_that_says_so(dev: Config, dapr: Any, beside: bool) -> None:
    assert app(dev, dapr=dapr).has_sidecar is beside
    assert loading.parse(dev).apps[0].has_sidecar


def test_an_export_of_an_app_has_a_port_of_the_app(dev: Config) -> None:
    export = {"service": "checkout", "namespace": "shop", "clusters": ["cluster-1", "cluster-2"]}
    ports = {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}
    config = changed(checkout(dev, ports), {"exports[1]": {**export, "rules": [{"portNumber": 8080}]}})
    assert problems(config) == [
        "exports[1].rules[0].portNumber = 8080: service checkout has port 80 and 81. Write 80 or 81."
    ]


def test_probes_need_no_port_when_they_run_a_command(dev: Config) -> None:
    probes = {"readiness": {"command": ["true"]}, "liveness": {"port": 9}}
    override = {"cluster-1": {"probes": {"startup": {"port": 9}}}}
    assert problems(checkout(dev, {"probes": probes, "overrides": override, "ports": []})) == []


SECRET = {"overrides": {"cluster-1": {"env": {"TOKEN": {"secret": "abc"}}}}}


def test_a_secret_in_clear_text_is_refused_without_being_shown(dev: Config) -> None:
    def read(value: Any) -> Any:
        config = checkout(dev, {"env": {"TOKEN": {"secret": value}}})
        return loading.parse_stack_file({"config": {f"multicluster-dapr:{k}": v for k, v in config.items()}})

    path = "apps[2].env.TOKEN.secret"
    with pytest.raises(SettingsError) as caught:
        read("hunter2")
    hint = f"Remove it and run `pulumi config set --secret --path '{path}'`."
    found = [str(problem) for problem in caught.value.problems]
    assert found == [f"{path} = '(secret)': is in clear text in the stack's file. {hint}"]
    assert "hunter2" not in str(caught.value)
    assert read({"secure": "v1:abc"}).apps[2].env["TOKEN"].secret is not None


@pytest.mark.parametrize(
    ("changes", "path", "hint"),
    [
        (
            {"env": {"TOKEN": {"secure": "v1:abc"}}},
            "apps[2].env.TOKEN",
            "Encrypt `apps[2].env.TOKEN.secret` instead.",
        ),
        (
            {"overrides": {"cluster-1": {"env": {"A": {"secure": "v1:abc"}}}}},
            "apps[2].overrides.cluster-1.env.A",
            "Encrypt `apps[2].overrides.cluster-1.env.A.secret` instead.",
        ),
        ({"command": ["run", {"secure": "v1:abc"}]}, "apps[2].command[1]", "Give it in clear text."),
    ],
)
def test_what_would_be_shown_is_not_encrypted(dev: Config, changes: Any, path: str, hint: str) -> None:
    config = checkout(dev, changes)
    with pytest.raises(SettingsError) as caught:
        loading.parse_stack_file({"config": {f"multicluster-dapr:{k}": v for k, v in config.items()}})
    reason = "is encrypted in the stack's file, but previews and the state show it"
    assert [str(problem) for problem in caught.value.problems] == [f"{path} = '(secret)': {reason}. {hint}"]


def test_the_engine_hands_over_secrets_with_the_whole_key(dev: Config) -> None:
    text = {f"multicluster-dapr:{key}": value for key, value in _as_text(checkout(dev, SECRET)).items()}
    try:
        pulumi.runtime.set_all_config(text, ["multicluster-dapr:apps"])
        (_, _, found) = loading.load_settings().apps
        assert found.on("cluster-1").env["TOKEN"].secret is not None
        pulumi.runtime.set_all_config(text, [])
        with pytest.raises(
            SettingsError, match=r"apps\[2\].overrides.cluster-1.env.TOKEN.secret = '.secret.'"
        ):
            loading.load_settings()
    finally:
        pulumi.runtime.set_all_config({}, [])


def _as_text(config: Config) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in config.items()}
