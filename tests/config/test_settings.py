"""Settings: defaults, secrets, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from config.environments import Config, changed, problems

from stacks.config import loading
from stacks.config.model import Settings
from stacks.config.problem import SettingsError

ROOT = Path(__file__).parents[2]
POLICY = {
    "cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "FailOver",
    "targets": [{"cluster": "cluster-1"}, {"clusterKey": "default/default/default/cluster-3"}],
}  # fmt: skip


def test_the_dev_environment_has_no_problem(dev: Config) -> None:
    parsed = loading.parse(dev)
    assert [cluster.name for cluster in parsed.members] == ["cluster-1", "cluster-2", "cluster-3"]
    assert parsed.control_plane.key == "default/default/default/control-plane"
    assert parsed.network.gateway == "172.28.0.1"
    assert parsed.redis_password is None
    empty = loading.parse({**dev, "redisPassword": ""})
    assert empty.redis_password is None, "an empty password means: generate one"


def test_json_text_is_read_as_the_engine_hands_it_over(dev: Config) -> None:
    assert loading.parse({**dev, "policies": "[]", "dapr": '{"mtls": true}'}).dapr.mtls


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"dapr": {"mtls": False}}, False),
        ({"versions": "article", "mesh": "flomesh"}, False),
        ({"versions": "article", "mesh": "flomesh", "dapr": {"mtls": True}}, True),
    ],
)
def test_sidecars_have_mtls_unless_it_is_switched_off_or_the_articles(
    dev: Config, settings: Config, expected: bool
) -> None:
    assert loading.parse({**dev, **settings}).dapr_mtls is expected
    assert problems({**dev, "policies": "[{"})[0].startswith("policies = '[{': not a list")


def test_a_target_is_a_cluster_by_its_name_or_its_key(dev: Config) -> None:
    changes = {"clusters[1].region": "east", "policies": [POLICY]}
    parsed = loading.parse(changed(dev, changes))
    assert [parsed.target_key(target) for target in parsed.policies[0].targets] == [
        "east/default/default/cluster-1",
        "default/default/default/cluster-3",
    ]


def test_actors_are_kept_where_nobody_shares_the_store(dev: Config) -> None:
    actors = {"stateStore": {"actors": True}}
    alone = {"stateStore": {"actors": True, "perCluster": True}}
    assert loading.parse(changed(dev, {"dapr": alone})).dapr.state_store.actors
    assert problems(changed(dev, {"dapr": actors, "apps": [], "exports": [], "policies": []})) == []
    one_member = {"clusters": dev["clusters"][:2], "apps": [{**dev["apps"][0], "clusters": ["cluster-1"]}]}
    assert problems({**dev, **one_member, "dapr": actors, "exports": [], "policies": []}) == []


def test_wrong_types_of_value_are_said_in_plain_words(dev: Config) -> None:
    found = problems({**dev, "gateway": 3, "apps": {}, "exports": [{"service": 1}]})
    for expected in (
        "gateway = 3: not a mapping of keys",
        "apps: not a list",
        "exports[0].service = 1: not a text",
    ):
        assert any(expected in problem for problem in found), expected


@pytest.mark.parametrize(
    ("replicas", "fault"), [(0, "less than 1"), (11, "more than 10"), ("auto", "not a whole number")]
)
def test_a_number_of_replicas_that_is_none_is_refused(dev: Config, replicas: Any, fault: str) -> None:
    (found,) = problems({**dev, "gateway": {"replicas": replicas}})
    assert found.startswith(f"gateway.replicas = {replicas!r}: {fault}. It is: Pods per cluster")


def test_every_mistake_is_in_one_message(dev: Config) -> None:
    changes = {"clusters[1].apiPort": "x", "mesh": "istio", "network": {"subnet": "172.28.0.0/30"}}
    with pytest.raises(SettingsError) as caught:
        loading.parse(changed(dev, changes))
    text = str(caught.value)
    assert text.startswith("3 problems in the settings:\n  - ")
    assert all(path in text for path in ("clusters[1].apiPort", "mesh", "network.subnet"))


def test_a_broken_list_of_clusters_does_not_make_every_name_unknown(dev: Config) -> None:
    assert len(problems(changed(dev, {"clusters[1].apiPort": "x"}))) == 1, (
        "what follows from the first mistake is not shown beside it"
    )


def test_a_short_password_is_refused_without_being_shown(dev: Config) -> None:
    found = problems({**dev, "redisPassword": "abc"})
    assert found == [
        (
            "redisPassword = '(secret)': needs 8 or more printable ASCII characters without spaces. "
            "It is: Password of an external Redis, else of its user admin, a secret. Empty: one is generated "
            "and kept as a secret in the state."
        )
    ]


def test_a_password_in_clear_text_is_refused(dev: Config) -> None:
    document = {"config": {f"multicluster-dapr:{key}": value for key, value in dev.items()}}
    document["config"]["multicluster-dapr:redisPassword"] = "hunter2-hunter2"
    with pytest.raises(SettingsError, match=r"redisPassword = '.secret.': is in clear text"):
        loading.parse_stack_file(document)
    document["config"]["multicluster-dapr:redisPassword"] = {"secure": "v1:abc"}
    assert loading.parse_stack_file(document).redis_password is not None, "an encrypted one counts as given"


def test_the_engines_configuration_is_read_whole() -> None:
    clusters = '[{"name": "a", "role": "control-plane", "apiPort": 1, "httpPort": 2},'
    clusters += ' {"name": "b", "apiPort": 3, "httpPort": 4}]'
    text = {"multicluster-dapr:clusters": clusters, "multicluster-dapr:redisPassword": "hunter2-hunter2"}
    pulumi.runtime.set_all_config(text, ["multicluster-dapr:redisPassword"])
    try:
        assert [cluster.name for cluster in loading.load_settings().clusters] == ["a", "b"]
        pulumi.runtime.set_all_config(
            {**text, "multicluster-dapr:extra": "1"}, ["multicluster-dapr:redisPassword"]
        )
        with pytest.raises(SettingsError, match="extra: unknown key"):
            loading.load_settings()
    finally:
        pulumi.runtime.set_all_config({}, [])


def test_pulumi_yaml_declares_every_key_of_the_model() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert declared == loading.declared_keys(), "Pulumi.yaml and stacks/config/model.py say the same"


def test_settings_cannot_be_changed(dev: Config) -> None:
    with pytest.raises(ValueError, match="frozen"):
        loading.parse(dev).mesh = "flomesh"


def test_the_settings_model_describes_every_key() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not silent


def test_a_docker_network_is_for_clusters_made_here_and_for_redis_beside_them(dev: Config) -> None:
    settings = loading.parse(dev)
    assert settings.makes_network
    there = tuple(one.model_copy(update={"source": "existing"}) for one in settings.clusters)
    elsewhere = settings.model_copy(update={"clusters": there})
    assert elsewhere.makes_network, "for Redis"
    none = settings.redis.model_copy(update={"mode": "none"})
    assert not elsewhere.model_copy(update={"redis": none}).makes_network
