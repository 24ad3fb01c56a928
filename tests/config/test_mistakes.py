"""Every mistake in the settings of the dev environment, by its message."""

from __future__ import annotations

from typing import Any

import pytest
from config.environments import GONE, Config, changed, problems

NAMES = "control-plane, cluster-1, cluster-2, cluster-3"
KEYS = ", ".join(f"default/default/default/{name}" for name in NAMES.split(", "))
PATH_HINT = "It is: Path on the exporter's gateway; default /namespace/service, which is taken off again."
SERVICE_FORM = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
ACCOUNT_FORM = r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$"
NAME_FORM = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
HOST_FORM = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
EXISTING = {"source": "existing", "kubeconfig": "/k", "context": "one"}
EXISTING |= {"gatewayHost": "192.0.2.1", "gatewayPort": 30080}
APP = {"app": "nodeapp", "clusters": ["cluster-3"], "namespace": "dapr-test"}
RULE = {"portNumber": 3000, "path": "/nodeapp"}
EXPORT = {"service": "nodeapp", "namespace": "dapr-test", "clusters": ["cluster-3"], "rules": [RULE]}
EXTERNAL_REDIS = {"redis": {"mode": "external", "host": "redis.example.org"}, "redisPassword": "of-theirs"}
INSIDE = {**EXPORT, "service": "curl", "namespace": "evil", "rules": [{**RULE, "path": "/nodeapp/x"}]}
POLICY = {"cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive"}


def two_existing(**second: Any) -> Config:
    """Clusters 1 and 2 exist, alike but for their names and the keys of the second."""
    return {
        "clusters[1]": {"name": "cluster-1", **EXISTING},
        "clusters[2]": {"name": "cluster-2", **EXISTING, **second},
    }


def members(count: int) -> Config:
    """That many members, of which dev has three."""
    return {
        f"clusters[{n}]": {"name": f"cluster-{n}", "apiPort": 7000 + n, "httpPort": 8000 + n}
        for n in range(4, count + 1)
    }


def policy(*targets: Config, **keys: Any) -> Config:
    return {"policies[0]": {**POLICY, "targets": list(targets), **keys}}


# What is changed, what is wrong with it, and the hint.
# fmt: off
MISTAKES: dict[str, tuple[Config, str, str]] = {
    # Delegated paths.
    "a delegated path that nobody can ask for": (
        {"paths": [{"prefix": "/a/../b", "namespaces": ["web"]}]},
        "paths[0].prefix = '/a/../b': has dot segments, or a % that begins no escape, which no request has.",
        "Write the path as clients ask for it."),
    "a path delegated twice": (
        {"paths": [{"prefix": "/", "namespaces": ["web"]}, {"prefix": "/*", "namespaces": ["b"]}]},
        "paths[1].prefix = '/*': paths[0] delegates it.", "Join the two."),
    "a path delegated to no cluster": (
        {"paths": [{"prefix": "/", "namespaces": ["web"], "clusters": ["far"]}]},
        "paths[0].clusters = 'far': no cluster has this name.", f"Choose from: {NAMES}."),
    "a delegated path for FSM": (
        {"paths": [{"prefix": "/", "namespaces": ["web"], "clusters": ["cluster-1"]}], "mesh": "flomesh"},
        "paths[0]: has no meaning for FSM's hub.", "Remove it, or use `mesh: bundled`."),
    "a path inside another namespace's": (
        {"apps[2]": {**APP, "app": "curl", "namespace": "evil"}, "exports[1]": INSIDE},
        ("exports[1].rules[0].path = '/nodeapp/x': exports[0].rules[0].path, another namespace's, is around "
         "or inside it on cluster-3."), "Change one of them."),
    # What members may export.
    "a control plane that may export": (
        {"clusters[0].mayExport": ["dapr-test"]},
        "clusters[0].mayExport: has no meaning for the control plane, whose word it is.", "Remove it."),
    "an export that its cluster may not make": (
        {"clusters[1].mayExport": []},
        "exports[0].namespace = 'dapr-test': mayExport of cluster-1 has only nothing.",
        "Add it there, or export from another cluster."),
    "mayExport for FSM": (
        {"clusters[1].mayExport": ["dapr-test"], "mesh": "flomesh"},
        "clusters[1].mayExport: has no meaning for FSM's hub.", "Remove it, or use `mesh: bundled`."),
    "mayExport that is no namespace": (
        {"clusters[1].mayExport": ["Shop"]},
        f"clusters[1].mayExport[0] = 'Shop': does not have the form {NAME_FORM}.",
        "It is: member: namespaces that others may import from it; default any they have, too."),
    "mayExport with a namespace twice": (
        {"clusters[1].mayExport": ["dapr-test", "dapr-test"]},
        "clusters[1].mayExport = 'dapr-test': listed more than once.", "Keep one of them."),
    # Single values.
    "a misspelt key": (
        {"polcies": []}, "polcies: unknown key.", "Did you mean policies?"),
    "a misspelt key inside": (
        {"clusters[1].apiport": 1}, "clusters[1].apiport: unknown key.", "Did you mean apiPort?"),
    "no clusters": (
        {"clusters": GONE},
        "clusters: missing.",
        "Set it: The clusters: one control-plane, any number of members. Adding a member is one entry."),
    "not a port": (
        {"clusters[1].apiPort": "http"},
        "clusters[1].apiPort = 'http': not a whole number.", "It is: k3d: host port of the Kubernetes API."),
    "port out of range": (
        {"clusters[1].apiPort": 70000},
        "clusters[1].apiPort = 70000: more than 65535.", "It is: k3d: host port of the Kubernetes API."),
    "unknown choice": (
        {"mesh": "istio"}, "mesh = 'istio': not one of the choices.", "Choose 'bundled' or 'flomesh'."),
    "bad name": (
        {"clusters[1].name": "Cluster_1"},
        f"clusters[1].name = 'Cluster_1': does not have the form {NAME_FORM}.",
        "It is: Name, unique in the environment."),
    "subnet too small": (
        {"network": {"subnet": "172.28.0.0/30"}},
        "network.subnet = '172.28.0.0/30': too small for the clusters' nodes; use /28 or wider.",
        "It is: Fixed, so that addresses are known before anything runs."),
    "trusted proxies that are no network": (
        {"gateway": {"trustedProxies": ["10.0.0.0/8", "proxy"]}},
        "gateway.trustedProxies[1] = 'proxy': 'proxy' does not appear to be an IPv4 or IPv6 network.",
        "It is: Networks of proxies in front whose X-Forwarded-* fields are believed."),
    "bind address that is none": (
        {"bindAddresses": ["127.0.0.1", "host"]},
        "bindAddresses[1] = 'host': Expected 4 octets in 'host'.",
        "It is: Host addresses that ports are published on, besides the network's gateway."),
    "no room for pods": (
        {"clusters[1].podCidr": "10.50.0.0/25"},
        "clusters[1].podCidr = '10.50.0.0/25': too small for a node; use /24 or wider.",
        "It is: k3d: address range of pods; default 10.42.0.0/16."),
    "a gateway's address with a scheme": (
        two_existing(gatewayHost="http://east"),
        f"clusters[2].gatewayHost = 'http://east': does not have the form {HOST_FORM}.",
        "It is: existing: address other clusters reach its gateway at."),
    "a gateway's address that is none": (
        two_existing(gatewayHost="10.0.0.256"),
        "clusters[2].gatewayHost = '10.0.0.256': Octet 256 (> 255) not permitted in '10.0.0.256'.",
        "It is: existing: address other clusters reach its gateway at."),
    "a gateway at this machine itself": (
        two_existing(gatewayHost="127.0.0.2"),
        "clusters[2].gatewayHost = '127.0.0.2': is this machine itself, wherever it is asked for.",
        "It is: existing: address other clusters reach its gateway at."),
    "an API server that is no URL": (
        two_existing(apiServer="east:6443"),
        r"clusters[2].apiServer = 'east:6443': does not have the form ^https://[^/\s?#]+(/[^\s?#]*)?$.",
        "It is: existing: API URL seen from the hub; default the context's."),
    "weight below 0": (
        policy({"cluster": "cluster-1", "weight": -1}),
        "policies[0].targets[0].weight = -1: less than 0.", "It is: 0 to 1000000; 0 drains; default 100."),
    "weight above a million": (
        policy({"cluster": "cluster-1", "weight": 1_000_001}),
        "policies[0].targets[0].weight = 1000001: more than 1000000.",
        "It is: 0 to 1000000; 0 drains; default 100."),

    # Clusters.
    "no control plane": (
        {"clusters[0].role": "member"},
        "clusters: no cluster has role control-plane.", "Give one cluster `role: control-plane`."),
    "two control planes": (
        {"clusters[4]": {"name": "second", "role": "control-plane", "apiPort": 6448, "httpPort": 84}},
        "clusters[4].role = 'control-plane': control-plane already is the control plane.",
        "Make all but one cluster `role: member`."),
    "no member": (
        {"clusters": [{"name": "control-plane", "role": "control-plane", "apiPort": 6444, "httpPort": 80}]},
        "clusters: no cluster has role member.", "Add a cluster with `role: member`."),
    "two of one name": (
        {"clusters[4]": {"name": "cluster-3", "apiPort": 6448, "httpPort": 84}},
        "clusters[4].name = 'cluster-3': clusters[3] has the same name.", "Rename one of them."),
    "k3d without a port": (
        {"clusters[1].apiPort": GONE},
        "clusters[1].apiPort: missing for cluster cluster-1 with source k3d.",
        "Set it: host port of the Kubernetes API."),
    "existing without kubeconfig": (
        {"clusters[1].source": "existing"},
        "clusters[1].kubeconfig: missing for cluster cluster-1 with source existing.",
        "Set it: path of a kubeconfig file."),
    "existing without context": (
        {"clusters[1].source": "existing"},
        "clusters[1].context: missing for cluster cluster-1 with source existing.",
        "Set it: context in that kubeconfig."),
    "existing with k3d's keys": (
        {"clusters[1].source": "existing"},
        "clusters[1].apiPort = 6445: has no meaning for source existing.", "Remove it, or change `source`."),
    "existing with a range of k3d": (
        two_existing(podCidr="10.50.0.0/16"),
        "clusters[2].podCidr = '10.50.0.0/16': has no meaning for source existing.",
        "Remove it, or change `source`."),
    "existing without a registry": (
        {"clusters[1].source": "existing"},
        "images.registry: cluster cluster-1 already exists and cannot be handed images by k3d.",
        "Set a registry path its nodes can pull from, such as registry.example.org/multicluster."),
    "one existing cluster twice": (
        two_existing(gatewayHost="192.0.2.2"),
        ("clusters[2].context = 'one': "
         "cluster-1 is the same cluster: the same context of the same kubeconfig."),
        "Name another context, or remove one of the two."),
    "two gateways at one address": (
        two_existing(context="two"),
        "clusters[2].gatewayHost = '192.0.2.1:30080': cluster-1 has its gateway there.",
        "Give each gateway its own host or port."),
    "the article's Kubernetes below the bundled mesh": (
        {"versions": "article"},
        "versions = 'article': the article's k3s is Kubernetes 1.23, and the bundled mesh needs 1.25.",
        "Use `mesh: flomesh`, or `versions: current`."),

    # The host: ports, address ranges, Redis.
    "port taken by another cluster": (
        {"clusters[2].httpPort": 81},
        "clusters[2].httpPort = 81: clusters[1].httpPort has the same port.", "Give each its own host port."),
    "port taken by Redis": (
        {"redis": {"port": 6444}},
        "redis.port = 6444: clusters[0].apiPort has the same port.", "Give each its own host port."),
    "subnet inside the clusters": (
        {"network": {"subnet": "10.42.0.0/24"}},
        "network.subnet = '10.42.0.0/24': overlaps 10.42.0.0/16, which control-plane uses inside.",
        "Choose another private range, such as 172.28.0.0/16."),
    "subnet inside a cluster's own range": (
        {"clusters[1].podCidr": "172.28.0.0/20"},
        "network.subnet = '172.28.0.0/16': overlaps 172.28.0.0/20, which cluster-1 uses inside.",
        "Choose another private range, such as 172.28.0.0/16."),
    "pods among services": (
        {"clusters[1].serviceCidr": "10.42.8.0/22"},
        "clusters[1].serviceCidr = '10.42.8.0/22': overlaps the pods' range 10.42.0.0/16 of cluster-1.",
        "Choose another private range for one of them."),
    "a container with a host": (
        {"redis": {"host": "redis.example.org"}},
        "redis.host = 'redis.example.org': has no meaning for mode container.",
        "Remove it, or choose another mode."),
    "external Redis without a host": (
        {"redis": {"mode": "external"}},
        "redis.host: missing for mode external.", "Set its host name or address."),
    "external Redis without a password": (
        {"redis": {"mode": "external", "host": "redis.example.org"}},
        "redisPassword: missing for redis.mode external.",
        ('In a shell of the environment (`./stack init ENV`, then `eval "$(./stack env ENV)"`) run '
        "`pulumi config set --secret redisPassword`.")),
    "Redis in a k3d cluster": (
        {"redis": {"mode": "statefulset", "host": "172.28.0.1"}},
        "redis.mode = 'statefulset': the control plane is a k3d cluster, which publishes no port for it.",
        "Use `mode: container`."),

    "no Redis, with a host": (
        {"redis": {"mode": "none", "host": "redis.example.org"}},
        "redis.host = 'redis.example.org': has no meaning for mode none.",
        "Remove it, or choose another mode."),
    "a state store without Redis": (
        {"redis": {"mode": "none"}, "dapr": {"stateStore": {"perCluster": True}}},
        "dapr.stateStore.perCluster = True: has no meaning without Redis.",
        "Remove it, or set `redis.mode`."),

    # Dapr of clusters.
    "Dapr of the control plane": (
        {"clusters[0].dapr": "install"},
        "clusters[0].dapr = 'install': has no meaning for the control plane, which runs no apps.",
        "Remove it."),
    "an existing Dapr in a cluster made here": (
        {"clusters[1].dapr": "existing"},
        "clusters[1].dapr = 'existing': cluster-1 is made here, and has no Dapr before.",
        "Write install, or none."),
    "sidecars without Dapr": (
        {"clusters[1].dapr": "none", "dapr": {"invoke": "sidecar"}},
        "clusters[1].dapr = 'none': `dapr.invoke: sidecar` asks Dapr's sidecars in cluster-1, which exports.",
        "Use Dapr there, or write `invoke: app`."),
    "an app's sidecar where no Dapr is": (
        {"clusters[1].dapr": "none", "apps[2]": {
            "name": "pay", "namespace": "shop", "image": "r/pay:1", "clusters": ["cluster-1"], "dapr": {}}},
        "apps[2].dapr: none of its clusters (cluster-1) has Dapr.",
        "Remove it, or use Dapr there (`dapr` of the cluster, or `dapr.mode`)."),

    # The state store.
    "actors that members share": (
        {"dapr": {"stateStore": {"actors": True}}},
        ("dapr.stateStore.actors = True: cluster-1, cluster-2, cluster-3 share the store, and each would run "
         "every actor in it, one undoing what the other wrote."),
        "Set `perCluster: true` beside it, and each member has its own; or leave actors out."),
    "actors that namespaces share": (
        {"dapr": {"stateStore": {"actors": True, "perCluster": True}},
         "apps[2]": {**APP, "namespace": "other"}},
        ("dapr.stateStore.actors = True: namespaces dapr-test, other share the store, and Dapr's keys of "
         "actors hold no namespace."),
        "Put nodeapp in one namespace, or leave actors out."),
    "more members than databases": (
        {"dapr": {"stateStore": {"perCluster": True}}, **EXTERNAL_REDIS, **members(17)},
        "dapr.stateStore.perCluster = True: Redis has 16 databases, and there are 17 members.",
        "Share the store, or use fewer members."),

    # Dapr's sidecars.
    "sidecars without the mesh that asks them": (
        {"dapr": {"invoke": "sidecar"}, "mesh": "flomesh", "versions": "article"},
        "dapr.invoke = 'sidecar': the flomesh mesh goes to the apps' ports.",
        "Write `app`, or use the bundled mesh."),
    "a session that sidecars do not keep": (
        {"dapr": {"invoke": "sidecar"}, "exports[0].sessionSticky": True},
        ("exports[0].sessionSticky = True: does nothing with `dapr.invoke: sidecar`, where Dapr picks the "
         "pod."),
        "Leave it out, or write `invoke: app`."),
    "a balancer that sidecars do not have": (
        {"dapr": {"invoke": "sidecar"}, "exports[0].loadBalancer": "LeastWorkLoadBalancer"},
        ("exports[0].loadBalancer = 'LeastWorkLoadBalancer': does nothing with `dapr.invoke: sidecar`, where "
         "Dapr picks the pod."),
        "Leave it out, or write `invoke: app`."),

    # Apps and exports.
    "app on no cluster": (
        {"apps[1].clusters": ["cluster-9"]},
        "apps[1].clusters = 'cluster-9': no such cluster.", f"Choose from: {NAMES}."),
    "app on the control plane": (
        {"apps[1].clusters": ["control-plane"]},
        "apps[1].clusters = 'control-plane': is the control plane, which runs no apps.", "Use a member."),
    "an app twice on a cluster": (
        {"apps[2]": APP},
        "apps[2].clusters = 'cluster-3': apps[0].clusters already puts nodeapp there.",
        "Remove one of them."),
    "an export on no cluster": (
        {"exports[0].clusters": ["cluster-9"]},
        "exports[0].clusters = 'cluster-9': no such cluster.", f"Choose from: {NAMES}."),
    "an export twice on a cluster": (
        {"exports[1]": EXPORT},
        "exports[1].clusters = 'cluster-3': exports[0] exports it already.", "Remove one of them."),
    "a name that no Service has": (
        {"exports[0].service": "3scale"},
        f"exports[0].service = '3scale': does not have the form {SERVICE_FORM}.",
        "It is: Service to export, whoever deploys it and when."),
    "an account that is none": (
        {"exports[0].serviceAccountName": "Shop"},
        f"exports[0].serviceAccountName = 'Shop': does not have the form {ACCOUNT_FORM}.",
        "It is: Calling ServiceAccount allowed; * is any."),
    "an app-id that Dapr does not take": (
        {"exports[0].appId": "a" * 59},
        f"exports[0].appId = '{'a' * 59}': longer than 58 characters.",
        ("It is: Dapr app-id by which Dapr apps of other clusters call it; default that of its entry in "
         "`apps` (bundled mesh).")),
    "an app-id for FSM": (
        {"exports[0].appId": "shop", "mesh": "flomesh"},
        "exports[0].appId = 'shop': has no meaning for FSM's hub.",
        "Remove it, or use `mesh: bundled`."),
    "more rules than an export takes": (
        {"exports[0].rules": [{**RULE, "path": f"/{n}"} for n in range(65)]},
        "exports[0].rules: has more than 64 entries.", "It is: Published paths."),
    "a path that is too long": (
        {"exports[0].rules[0].path": f"/{'a' * 1024}"},
        f"exports[0].rules[0].path = '/{'a' * 1024}': longer than 1024 characters.", PATH_HINT),
    "an export for a cluster twice": (
        {"exports[0].targetClusters": ["default/default/default/cluster-2"] * 2},
        "exports[0].targetClusters = 'default/default/default/cluster-2': listed more than once.",
        "Keep one of them."),
    "export of a port the app has not": (
        {"exports[0].rules[0].portNumber": 8080},
        "exports[0].rules[0].portNumber = 8080: service nodeapp has port 3000.", "Write 3000."),
    "a path with a query": (
        {"exports[0].rules[0].path": "/a?x"},
        r"exports[0].rules[0].path = '/a?x': does not have the form ^/[^\s?#]*$.",
        PATH_HINT),
    "a path with dot segments": (
        {"exports[0].rules[0].path": "/a/%2e%2e/b"},
        ("exports[0].rules[0].path = '/a/%2e%2e/b': has dot segments, or a % that begins no escape, "
         "which no request has."),
        "Write the path as clients ask for it."),
    "a path with dot segments behind its star": (
        {"exports[0].rules[0].path": "/a/..*"},
        ("exports[0].rules[0].path = '/a/..*': has dot segments, or a % that begins no escape, "
         "which no request has."),
        "Write the path as clients ask for it."),
    "a path outside ASCII": (
        {"exports[0].rules[0].path": "/café"},
        ("exports[0].rules[0].path = '/café': has characters outside printable ASCII, "
         "which clients send escaped."),
        "Write the path as clients ask for it."),
    "two rules for one path": (
        {"exports[0].rules": [RULE, {**RULE, "path": "/nodeapp/*"}]},
        "exports[0].rules[1].path = '/nodeapp/*': exports[0].rules[0].path has it on cluster-1 already.",
        "Change one of them."),
    "two exports of one path": (
        {"exports[1]": {**EXPORT, "service": "curl", "namespace": "curl"}},
        "exports[1].rules[0].path = '/nodeapp': exports[0].rules[0].path has it on cluster-3 already.",
        "Change one of them."),
    "a rewrite that is no pattern": (
        {"exports[0].pathRewrite": {"from": "(", "to": "/"}},
        ("exports[0].pathRewrite.from = '(': is not a regular expression in RE2 syntax: "
         "missing ): (."),
        "Correct it."),
    "a rewrite to a group that is not there": (
        {"exports[0].pathRewrite": {"from": "^/(a)", "to": "/$$1/$3"}},
        "exports[0].pathRewrite.to = '/$$1/$3': uses group $3, and `from` has 1.", "Correct one of them."),
    "a rewrite to nothing": (
        {"exports[0].pathRewrite": {"from": "^/a", "to": ""}},
        "exports[0].pathRewrite.to = '': empty.",
        "Write / for the root; escape spaces, # and the like, as %20."),
    "a rewrite with a line end": (
        {"exports[0].pathRewrite": {"from": "^/a", "to": "/\r\nEvil: 1"}},
        "exports[0].pathRewrite.to = '/\\r\\nEvil: 1': has a character that no request target can have.",
        "Write / for the root; escape spaces, # and the like, as %20."),
    "an export for a cluster that is none": (
        {"exports[0].targetClusters": ["a/b/c/d"]},
        "exports[0].targetClusters = 'a/b/c/d': no cluster has this key.", f"Choose from: {KEYS}."),

    # Namespaces.
    "a namespace on no cluster": (
        {"namespaces": [{"name": "shop", "clusters": ["cluster-9"]}]},
        "namespaces[0].clusters = 'cluster-9': no such cluster.", f"Choose from: {NAMES}."),
    "a namespace twice": (
        {"namespaces": [{"name": "shop"}, {"name": "shop", "clusters": ["cluster-1"]}]},
        "namespaces = 'shop': listed more than once.", "Keep one of them."),

    # Policies.
    "policy on no cluster": (
        policy(cluster="cluster-9"),
        "policies[0].cluster = 'cluster-9': no such cluster.", f"Choose from: {NAMES}."),
    "two policies for one service": (
        {"policies": [POLICY, POLICY]},
        "policies[1]: policies[0] is for dapr-test/nodeapp on cluster-2 too.", "Merge the two into one."),
    "a target by a name that is none": (
        policy({"cluster": "cluster-9"}),
        "policies[0].targets[0].cluster = 'cluster-9': no such cluster.", f"Choose from: {NAMES}."),
    "target that is no cluster": (
        policy({"clusterKey": "a/b/c/d"}),
        "policies[0].targets[0].clusterKey = 'a/b/c/d': no cluster has this key.", f"Choose from: {KEYS}."),
    "target without a cluster": (
        policy({"weight": 1}),
        "policies[0].targets[0]: needs either cluster or clusterKey.", "Give exactly one of them."),
    "target twice": (
        policy({"cluster": "cluster-1"}, {"cluster": "cluster-1"}),
        "policies[0].targets = 'default/default/default/cluster-1': listed more than once.",
        "Keep one entry with the weight you want."),
    "a target by its name and by its key": (
        policy({"cluster": "cluster-1"}, {"clusterKey": "default/default/default/cluster-1"}),
        "policies[0].targets = 'default/default/default/cluster-1': listed more than once.",
        "Keep one entry with the weight you want."),
    "FailOver without targets": (
        policy(lbType="FailOver"),
        "policies[0].targets: FailOver needs a target.", "List the clusters to fail over to."),
    "Locality with two targets": (
        policy({"cluster": "cluster-1"}, {"cluster": "cluster-3"}, lbType="Locality"),
        "policies[0].targets = 2: Locality takes at most one target.",
        "Keep one target, or use FailOver or ActiveActive."),
    "the flomesh mesh and a target without a weight": (
        {"mesh": "flomesh", **policy({"cluster": "cluster-1"})},
        "policies[0].targets[0].weight: missing, and the flomesh mesh has no default.", "Write 100."),
}
# fmt: on


@pytest.mark.parametrize(("changes", "mistake", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_a_hint(dev: Config, changes: Config, mistake: str, hint: str) -> None:
    assert f"{mistake} {hint}" in problems(changed(dev, changes))


def test_namespaces_have_paths_beside_each_other(dev: Config) -> None:
    beside = {**INSIDE, "rules": [{"portNumber": 80, "path": "/nodeapp2"}, {"portNumber": 80, "path": "/"}]}
    app = {**APP, "app": "curl", "namespace": "evil"}
    assert problems(changed(dev, {"apps[2]": app, "exports[1]": beside})) == []


def test_services_of_anybody_are_exported_and_steered(dev: Config) -> None:
    checkout = {"service": "checkout", "namespace": "shop", "clusters": ["cluster-2"], "appId": "checkout"}
    changes = {
        "exports[1]": {**checkout, "rules": [{"portNumber": 8080}]},
        "policies": [{**POLICY, "namespace": "elsewhere", "name": "theirs"}],
    }
    assert problems(changed(dev, changes)) == []


def test_a_balancer_counts_where_no_sidecar_is_asked(dev: Config) -> None:
    theirs = {**EXPORT, "service": "checkout", "namespace": "shop", "sessionSticky": True}
    changes = {"dapr": {"invoke": "sidecar"}, "exports[1]": {**theirs, "rules": [{"portNumber": 80}]}}
    assert problems(changed(dev, changes)) == []


def test_a_redis_that_is_made_has_a_database_for_everybody(dev: Config) -> None:
    alone = {"dapr": {"stateStore": {"perCluster": True}}}
    assert problems(changed(dev, {**alone, **members(17)})) == []
    assert problems(changed(dev, {**alone, **EXTERNAL_REDIS})) == []
