"""Settings: defaults, secrets, and every mistake by its message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from stacks import settings
from stacks.model import Settings
from stacks.problem import SettingsError

ROOT = Path(__file__).parents[2]
Config = dict[str, Any]


def _problems(config: Config) -> list[str]:
    try:
        settings.parse(config)
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def _policy(**changes: Any) -> Config:
    base = {"cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive"}
    return {**base, **changes}


def _policies(*policies: Config) -> Callable[[Config], None]:
    return lambda config: config.update(policies=list(policies))


def _cluster(index: int, **changes: Any) -> Callable[[Config], None]:
    return lambda config: config["clusters"][index].update(changes)


def _two_existing(**second: Any) -> Callable[[Config], None]:
    """Clusters 1 and 2 exist, alike but for their names and what `second` changes."""
    access = {"source": "existing", "kubeconfig": "/k", "context": "one"}
    alike = {**access, "gatewayHost": "192.0.2.1", "gatewayPort": 30080}

    def change(config: Config) -> None:
        config["clusters"][1] = {"name": "cluster-1", **alike}
        config["clusters"][2] = {"name": "cluster-2", **alike, **second}

    return change


def _set(**keys: Any) -> Callable[[Config], None]:
    return lambda config: config.update(keys)


@pytest.fixture
def dev(environment: Callable[[str], Config]) -> Config:
    return environment("dev")


def test_the_dev_environment_has_no_problem(dev: Config) -> None:
    parsed = settings.parse(dev)
    assert [cluster.name for cluster in parsed.members] == ["cluster-1", "cluster-2", "cluster-3"]
    assert parsed.control_plane.key == "default/default/default/control-plane"
    assert parsed.network.gateway == "172.28.0.1"
    assert parsed.redis_password is None, "an empty password means: generate one"


def test_json_text_is_read_as_the_engine_hands_it_over(dev: Config) -> None:
    assert settings.parse({**dev, "policies": "[]", "dapr": '{"mtls": true}'}).dapr.mtls


MISTAKES: list[tuple[str, Callable[[Config], None], str]] = [
    ("misspelt key", _set(polcies=[]), "polcies: unknown key. Did you mean policies?"),
    (
        "misspelt key inside",
        _cluster(1, apiport=1),
        "clusters[1].apiport: unknown key. Did you mean apiPort?",
    ),
    (
        "no clusters",
        lambda config: config.pop("clusters"),
        (
            "clusters: missing. Set it: The clusters: one control-plane, any number of members. "
            "Adding a member is one entry."
        ),
    ),
    (
        "not a port",
        _cluster(1, apiPort="http"),
        ("clusters[1].apiPort = 'http': not a whole number. It is: k3d: host port of the Kubernetes API."),
    ),
    (
        "port out of range",
        _cluster(1, apiPort=70000),
        ("clusters[1].apiPort = 70000: more than 65535. It is: k3d: host port of the Kubernetes API."),
    ),
    (
        "unknown choice",
        _set(mesh="istio"),
        "mesh = 'istio': not one of the choices. Choose 'bundled' or 'flomesh'.",
    ),
    (
        "bad name",
        _cluster(1, name="Cluster_1"),
        (
            "clusters[1].name = 'Cluster_1': does not have the form ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$. "
            "It is: Name, unique in the environment."
        ),
    ),
    (
        "subnet too small",
        _set(network={"subnet": "172.28.0.0/30"}),
        (
            "network.subnet = '172.28.0.0/30': too small for the clusters' nodes; use /28 or wider. "
            "It is: Fixed, so that addresses are known before anything runs."
        ),
    ),
    (
        "subnet inside the clusters",
        _set(network={"subnet": "10.42.0.0/24"}),
        (
            "network.subnet = '10.42.0.0/24': overlaps 10.42.0.0/16, which control-plane uses inside. "
            "Choose another private range, such as 172.28.0.0/16."
        ),
    ),
    (
        "subnet inside a cluster's own range",
        _cluster(1, podCidr="172.28.0.0/20"),
        (
            "network.subnet = '172.28.0.0/16': overlaps 172.28.0.0/20, which cluster-1 uses inside. "
            "Choose another private range, such as 172.28.0.0/16."
        ),
    ),
    (
        "pods among services",
        _cluster(1, serviceCidr="10.42.8.0/22"),
        (
            "clusters[1].serviceCidr = '10.42.8.0/22': overlaps the pods' range 10.42.0.0/16 of cluster-1. "
            "Choose another private range for one of them."
        ),
    ),
    (
        "no room for pods",
        _cluster(1, podCidr="10.50.0.0/25"),
        (
            "clusters[1].podCidr = '10.50.0.0/25': too small for a node; use /24 or wider. "
            "It is: k3d: address range of pods; default 10.42.0.0/16."
        ),
    ),
    (
        "one existing cluster twice",
        _two_existing(gatewayHost="192.0.2.2"),
        (
            "clusters[2].context = 'one': cluster-1 is the same cluster: "
            "the same context of the same kubeconfig. Name another context, or remove one of the two."
        ),
    ),
    (
        "two gateways at one address",
        _two_existing(context="two"),
        (
            "clusters[2].gatewayHost = '192.0.2.1:30080': cluster-1 has its gateway there. "
            "Give each gateway its own host or port."
        ),
    ),
    (
        "a gateway's address with a scheme",
        _two_existing(gatewayHost="http://east"),
        (
            "clusters[2].gatewayHost = 'http://east': does not have the form "
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$. "
            "It is: existing: address other clusters reach its gateway at."
        ),
    ),
    (
        "an API server that is no URL",
        _two_existing(apiServer="east:6443"),
        (
            r"clusters[2].apiServer = 'east:6443': does not have the form ^https://[^/\s]+/?$. "
            "It is: existing: API URL seen from the hub; default the context's."
        ),
    ),
    (
        "existing with a range of k3d",
        _two_existing(podCidr="10.50.0.0/16"),
        (
            "clusters[2].podCidr = '10.50.0.0/16': has no meaning for source existing. "
            "Remove it, or change `source`."
        ),
    ),
    (
        "the article's Kubernetes below the bundled mesh",
        _set(versions="article"),
        (
            "versions = 'article': the article's k3s is Kubernetes 1.23, and the bundled mesh needs 1.25. "
            "Use `mesh: flomesh`, or `versions: current`."
        ),
    ),
    (
        "the flomesh mesh and a target without a weight",
        lambda config: config.update(mesh="flomesh", policies=[_policy(targets=[{"cluster": "cluster-1"}])]),
        ("policies[0].targets[0].weight: missing, and the flomesh mesh has no default. Write 100."),
    ),
    (
        "a container with a host",
        _set(redis={"host": "redis.example.org"}),
        (
            "redis.host = 'redis.example.org': has no meaning for mode container. "
            "Remove it, or choose another mode."
        ),
    ),
    (
        "an app twice on a cluster",
        lambda config: config["apps"].append({**config["apps"][0], "clusters": ["cluster-3"]}),
        "apps[2].clusters = 'cluster-3': apps[0].clusters already puts nodeapp there. Remove one of them.",
    ),
    (
        "an export twice on a cluster",
        lambda config: config["exports"].append({**config["exports"][0], "clusters": ["cluster-3"]}),
        "exports[1].clusters = 'cluster-3': exports[0] exports it already. Remove one of them.",
    ),
    (
        "an export on no cluster",
        lambda config: config["exports"][0].update(clusters=["cluster-9"]),
        (
            "exports[0].clusters = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "an export for a cluster that is none",
        lambda config: config["exports"][0].update(targetClusters=["a/b/c/d"]),
        (
            "exports[0].targetClusters = 'a/b/c/d': no cluster has this key. "
            "Known: default/default/default/control-plane, default/default/default/cluster-1, "
            "default/default/default/cluster-2, default/default/default/cluster-3."
        ),
    ),
    (
        "a target by a name that is none",
        _policies(_policy(targets=[{"cluster": "cluster-9"}])),
        (
            "policies[0].targets[0].cluster = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "no member",
        lambda config: config.update(clusters=config["clusters"][:1]),
        "clusters: no cluster has role member. Add a cluster with `role: member`.",
    ),
    (
        "two of one name",
        lambda config: config["clusters"].append({"name": "cluster-3", "apiPort": 6448, "httpPort": 84}),
        "clusters[4].name = 'cluster-3': clusters[3] has the same name. Rename one of them.",
    ),
    (
        "port taken by another cluster",
        _cluster(2, httpPort=81),
        "clusters[2].httpPort = 81: clusters[1].httpPort has the same port. Give each its own host port.",
    ),
    (
        "port taken by Redis",
        _set(redis={"port": 6444}),
        "redis.port = 6444: clusters[0].apiPort has the same port. Give each its own host port.",
    ),
    (
        "no control plane",
        _cluster(0, role="member"),
        "clusters: no cluster has role control-plane. Give one cluster `role: control-plane`.",
    ),
    (
        "two control planes",
        lambda config: config["clusters"].append(
            {"name": "second", "role": "control-plane", "apiPort": 6448, "httpPort": 84}
        ),
        (
            "clusters[4].role = 'control-plane': control-plane already is the control plane. "
            "Make all but one cluster `role: member`."
        ),
    ),
    (
        "k3d without a port",
        lambda config: config["clusters"][1].pop("apiPort"),
        (
            "clusters[1].apiPort: missing for cluster cluster-1 with source k3d. "
            "Set it: host port of the Kubernetes API."
        ),
    ),
    (
        "existing without kubeconfig",
        _cluster(1, source="existing"),
        (
            "clusters[1].kubeconfig: missing for cluster cluster-1 with source existing. "
            "Set it: path of a kubeconfig file."
        ),
    ),
    (
        "existing without context",
        _cluster(1, source="existing"),
        (
            "clusters[1].context: missing for cluster cluster-1 with source existing. "
            "Set it: context in that kubeconfig."
        ),
    ),
    (
        "existing with k3d's keys",
        _cluster(1, source="existing"),
        "clusters[1].apiPort = 6445: has no meaning for source existing. Remove it, or change `source`.",
    ),
    (
        "existing without a registry",
        _cluster(1, source="existing"),
        (
            "images.registry: cluster cluster-1 already exists and cannot be handed images by k3d. "
            "Set a registry path its nodes can pull from, such as registry.example.org/multicluster."
        ),
    ),
    (
        "external Redis without a host",
        _set(redis={"mode": "external"}),
        "redis.host: missing for mode external. Set its host name or address.",
    ),
    (
        "external Redis without a password",
        _set(redis={"mode": "external", "host": "redis.example.org"}),
        (
            "redisPassword: missing for redis.mode external. "
            "Set it with `pulumi config set --secret redisPassword`."
        ),
    ),
    (
        "Redis in a k3d cluster",
        _set(redis={"mode": "statefulset", "host": "172.28.0.1"}),
        (
            "redis.mode = 'statefulset': the control plane is made by k3d, which publishes no port for it. "
            "Use `mode: container`."
        ),
    ),
    (
        "app on no cluster",
        lambda config: config["apps"][1].update(clusters=["cluster-9"]),
        (
            "apps[1].clusters = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "app on the control plane",
        lambda config: config["apps"][1].update(clusters=["control-plane"]),
        "apps[1].clusters = 'control-plane': is the control plane, which runs no apps. Use a member.",
    ),
    (
        "export that no app provides",
        lambda config: config["exports"][0].update(clusters=["cluster-2"]),
        (
            "exports[0].service = 'nodeapp': no app provides dapr-test/nodeapp on cluster-2. "
            "Add the app to `apps`, or take cluster-2 out of the export."
        ),
    ),
    (
        "export of a port the app has not",
        lambda config: config["exports"][0]["rules"][0].update(portNumber=8080),
        "exports[0].rules[0].portNumber = 8080: service nodeapp has port 3000. Write 3000.",
    ),
    (
        "policy on no cluster",
        _policies(_policy(cluster="cluster-9")),
        (
            "policies[0].cluster = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "policy for nothing",
        _policies(_policy(name="other")),
        (
            "policies[0].name = 'other': no export is for dapr-test/other. "
            "Add it to `exports`, or correct namespace and name."
        ),
    ),
    (
        "target that is no cluster",
        _policies(_policy(targets=[{"clusterKey": "a/b/c/d"}])),
        (
            "policies[0].targets[0].clusterKey = 'a/b/c/d': no cluster has this key. "
            "Known: default/default/default/control-plane, default/default/default/cluster-1, "
            "default/default/default/cluster-2, default/default/default/cluster-3."
        ),
    ),
    (
        "target without a cluster",
        _policies(_policy(targets=[{"weight": 1}])),
        "policies[0].targets[0]: needs either cluster or clusterKey. Give exactly one of them.",
    ),
    (
        "weight below 0",
        _policies(_policy(targets=[{"cluster": "cluster-1", "weight": -1}])),
        "policies[0].targets[0].weight = -1: less than 0. It is: 0 to 1000000; 0 drains; default 100.",
    ),
    (
        "weight above a million",
        _policies(_policy(targets=[{"cluster": "cluster-1", "weight": 1_000_001}])),
        (
            "policies[0].targets[0].weight = 1000001: more than 1000000. "
            "It is: 0 to 1000000; 0 drains; default 100."
        ),
    ),
    (
        "target twice",
        _policies(_policy(targets=[{"cluster": "cluster-1"}, {"cluster": "cluster-1"}])),
        "policies[0].targets = 'cluster-1': listed more than once. Keep one entry with the weight you want.",
    ),
    (
        "FailOver without targets",
        _policies(_policy(lbType="FailOver")),
        "policies[0].targets: FailOver needs a target. List the clusters to fail over to.",
    ),
    (
        "Locality with two targets",
        _policies(_policy(lbType="Locality", targets=[{"cluster": "cluster-1"}, {"cluster": "cluster-3"}])),
        (
            "policies[0].targets = 2: Locality takes at most one target. "
            "Keep one target, or use FailOver or ActiveActive."
        ),
    ),
    (
        "two policies for one service",
        _policies(_policy(), _policy()),
        "policies[1]: policies[0] is for dapr-test/nodeapp on cluster-2 too. Merge the two into one.",
    ),
]


@pytest.mark.parametrize(
    ("change", "message"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES]
)
def test_a_mistake_is_named_with_its_way_out(
    dev: Config, change: Callable[[Config], None], message: str
) -> None:
    change(dev)
    assert message in _problems(dev)


def test_wrong_kinds_of_value_are_said_in_plain_words(dev: Config) -> None:
    problems = _problems({**dev, "gateway": 3, "apps": {}, "exports": [{"service": 1}]})
    for expected in (
        "gateway = 3: not a mapping of keys",
        "apps: not a list",
        "exports[0].service = 1: not a text",
    ):
        assert any(expected in problem for problem in problems), expected


def test_every_mistake_is_in_one_message(dev: Config) -> None:
    _cluster(1, apiPort="x")(dev)
    _set(mesh="istio", network={"subnet": "172.28.0.0/30"})(dev)
    with pytest.raises(SettingsError) as caught:
        settings.parse(dev)
    text = str(caught.value)
    assert text.startswith("3 problems in the settings:\n  - ")
    assert all(path in text for path in ("clusters[1].apiPort", "mesh", "network.subnet"))


def test_a_broken_list_of_clusters_does_not_make_every_name_unknown(dev: Config) -> None:
    _cluster(1, apiPort="x")(dev)
    assert len(_problems(dev)) == 1, "what follows from the first mistake is not shown beside it"


def test_a_short_password_is_refused_without_being_shown(dev: Config) -> None:
    problems = _problems({**dev, "redisPassword": "abc"})
    assert problems == [
        (
            "redisPassword = '(secret)': needs 8 or more printable ASCII characters without spaces. "
            "It is: Password of Redis, a secret. Empty: one is generated and kept as a secret in the state."
        )
    ]


def test_a_password_in_clear_text_is_refused(dev: Config) -> None:
    document = {"config": {f"multicluster-dapr:{key}": value for key, value in dev.items()}}
    document["config"]["multicluster-dapr:redisPassword"] = "hunter2-hunter2"
    with pytest.raises(SettingsError, match=r"redisPassword = '.secret.': is in clear text"):
        settings.parse_stack_file(document)
    document["config"]["multicluster-dapr:redisPassword"] = {"secure": "v1:abc"}
    assert settings.parse_stack_file(document).redis_password is not None, "an encrypted one counts as given"


def test_the_engines_configuration_is_read_whole() -> None:
    clusters = '[{"name": "a", "role": "control-plane", "apiPort": 1, "httpPort": 2},'
    clusters += ' {"name": "b", "apiPort": 3, "httpPort": 4}]'
    text = {"multicluster-dapr:clusters": clusters, "multicluster-dapr:redisPassword": "hunter2-hunter2"}
    pulumi.runtime.set_all_config(text, ["multicluster-dapr:redisPassword"])
    try:
        assert [cluster.name for cluster in settings.load_settings().clusters] == ["a", "b"]
        pulumi.runtime.set_all_config(
            {**text, "multicluster-dapr:extra": "1"}, ["multicluster-dapr:redisPassword"]
        )
        with pytest.raises(SettingsError, match="extra: unknown key"):
            settings.load_settings()
    finally:
        pulumi.runtime.set_all_config({}, [])


def test_pulumi_yaml_declares_every_key_of_the_model() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert declared == settings.declared_keys(), "Pulumi.yaml and stacks/model.py say the same"


def test_settings_cannot_be_changed(dev: Config) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.parse(dev).mesh = "flomesh"


def test_the_settings_model_describes_every_key() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not silent
