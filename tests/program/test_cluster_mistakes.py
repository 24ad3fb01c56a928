"""Every mistake about values, clusters and the host they stand on, by its message."""

from __future__ import annotations

import pytest
from program.mistakes import Change, Config, Mistake, cluster, keys, problems, two_existing

MISTAKES: list[Mistake] = [
    ("misspelt key", keys(polcies=[]), "polcies: unknown key. Did you mean policies?"),
    (
        "misspelt key inside",
        cluster(1, apiport=1),
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
        cluster(1, apiPort="http"),
        ("clusters[1].apiPort = 'http': not a whole number. It is: k3d: host port of the Kubernetes API."),
    ),
    (
        "port out of range",
        cluster(1, apiPort=70000),
        ("clusters[1].apiPort = 70000: more than 65535. It is: k3d: host port of the Kubernetes API."),
    ),
    (
        "unknown choice",
        keys(mesh="istio"),
        "mesh = 'istio': not one of the choices. Choose 'bundled' or 'flomesh'.",
    ),
    (
        "bad name",
        cluster(1, name="Cluster_1"),
        (
            "clusters[1].name = 'Cluster_1': does not have the form ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$. "
            "It is: Name, unique in the environment."
        ),
    ),
    (
        "subnet too small",
        keys(network={"subnet": "172.28.0.0/30"}),
        (
            "network.subnet = '172.28.0.0/30': too small for the clusters' nodes; use /28 or wider. "
            "It is: Fixed, so that addresses are known before anything runs."
        ),
    ),
    (
        "subnet inside the clusters",
        keys(network={"subnet": "10.42.0.0/24"}),
        (
            "network.subnet = '10.42.0.0/24': overlaps 10.42.0.0/16, which control-plane uses inside. "
            "Choose another private range, such as 172.28.0.0/16."
        ),
    ),
    (
        "subnet inside a cluster's own range",
        cluster(1, podCidr="172.28.0.0/20"),
        (
            "network.subnet = '172.28.0.0/16': overlaps 172.28.0.0/20, which cluster-1 uses inside. "
            "Choose another private range, such as 172.28.0.0/16."
        ),
    ),
    (
        "pods among services",
        cluster(1, serviceCidr="10.42.8.0/22"),
        (
            "clusters[1].serviceCidr = '10.42.8.0/22': overlaps the pods' range 10.42.0.0/16 of cluster-1. "
            "Choose another private range for one of them."
        ),
    ),
    (
        "no room for pods",
        cluster(1, podCidr="10.50.0.0/25"),
        (
            "clusters[1].podCidr = '10.50.0.0/25': too small for a node; use /24 or wider. "
            "It is: k3d: address range of pods; default 10.42.0.0/16."
        ),
    ),
    (
        "one existing cluster twice",
        two_existing(gatewayHost="192.0.2.2"),
        (
            "clusters[2].context = 'one': cluster-1 is the same cluster: "
            "the same context of the same kubeconfig. Name another context, or remove one of the two."
        ),
    ),
    (
        "two gateways at one address",
        two_existing(context="two"),
        (
            "clusters[2].gatewayHost = '192.0.2.1:30080': cluster-1 has its gateway there. "
            "Give each gateway its own host or port."
        ),
    ),
    (
        "a gateway's address with a scheme",
        two_existing(gatewayHost="http://east"),
        (
            "clusters[2].gatewayHost = 'http://east': does not have the form "
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$. "
            "It is: existing: address other clusters reach its gateway at."
        ),
    ),
    (
        "an API server that is no URL",
        two_existing(apiServer="east:6443"),
        (
            r"clusters[2].apiServer = 'east:6443': does not have the form ^https://[^/\s]+/?$. "
            "It is: existing: API URL seen from the hub; default the context's."
        ),
    ),
    (
        "existing with a range of k3d",
        two_existing(podCidr="10.50.0.0/16"),
        (
            "clusters[2].podCidr = '10.50.0.0/16': has no meaning for source existing. "
            "Remove it, or change `source`."
        ),
    ),
    (
        "the article's Kubernetes below the bundled mesh",
        keys(versions="article"),
        (
            "versions = 'article': the article's k3s is Kubernetes 1.23, and the bundled mesh needs 1.25. "
            "Use `mesh: flomesh`, or `versions: current`."
        ),
    ),
    (
        "a container with a host",
        keys(redis={"host": "redis.example.org"}),
        (
            "redis.host = 'redis.example.org': has no meaning for mode container. "
            "Remove it, or choose another mode."
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
        cluster(2, httpPort=81),
        "clusters[2].httpPort = 81: clusters[1].httpPort has the same port. Give each its own host port.",
    ),
    (
        "port taken by Redis",
        keys(redis={"port": 6444}),
        "redis.port = 6444: clusters[0].apiPort has the same port. Give each its own host port.",
    ),
    (
        "no control plane",
        cluster(0, role="member"),
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
        cluster(1, source="existing"),
        (
            "clusters[1].kubeconfig: missing for cluster cluster-1 with source existing. "
            "Set it: path of a kubeconfig file."
        ),
    ),
    (
        "existing without context",
        cluster(1, source="existing"),
        (
            "clusters[1].context: missing for cluster cluster-1 with source existing. "
            "Set it: context in that kubeconfig."
        ),
    ),
    (
        "existing with k3d's keys",
        cluster(1, source="existing"),
        "clusters[1].apiPort = 6445: has no meaning for source existing. Remove it, or change `source`.",
    ),
    (
        "existing without a registry",
        cluster(1, source="existing"),
        (
            "images.registry: cluster cluster-1 already exists and cannot be handed images by k3d. "
            "Set a registry path its nodes can pull from, such as registry.example.org/multicluster."
        ),
    ),
    (
        "external Redis without a host",
        keys(redis={"mode": "external"}),
        "redis.host: missing for mode external. Set its host name or address.",
    ),
    (
        "external Redis without a password",
        keys(redis={"mode": "external", "host": "redis.example.org"}),
        (
            "redisPassword: missing for redis.mode external. "
            "Set it with `pulumi config set --secret redisPassword`."
        ),
    ),
    (
        "Redis in a k3d cluster",
        keys(redis={"mode": "statefulset", "host": "172.28.0.1"}),
        (
            "redis.mode = 'statefulset': the control plane is made by k3d, which publishes no port for it. "
            "Use `mode: container`."
        ),
    ),
]


@pytest.mark.parametrize(
    ("change", "message"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES]
)
def test_a_mistake_is_named_with_its_way_out(dev: Config, change: Change, message: str) -> None:
    change(dev)
    assert message in problems(dev)
