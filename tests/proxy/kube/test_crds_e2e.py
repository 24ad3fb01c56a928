"""The CRDs against a real API server: accepted, and refusing what they must."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from components.mesh.admin_policy import admin_policy_spec

pytestmark = pytest.mark.e2e

RULE = {"portNumber": 3000, "path": "/nodeapp", "pathType": "Prefix"}
REWRITE = {"from": "^/nodeapp/?", "to": "/"}
TARGET = {"host": "gateway.test", "ip": "172.28.0.1", "port": 81, "path": "/nodeapp"}
TOKENS = {"namespace": "multicluster-system", "serviceAccount": "multicluster-hub", "secret": "kept"}
ENDPOINT = {"clusterKey": "default/default/default/cluster-1", "target": TARGET}


def key(name: str, **more: Any) -> dict[str, Any]:
    return {"clusterKey": f"default/default/default/{name}", **more}


def made(kind: str, name: str, spec: Any) -> dict[str, Any]:
    return {"apiVersion": "flomesh.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def export(name: str = "nodeapp", **spec: Any) -> dict[str, Any]:
    return made("ServiceExport", name, {"rules": [RULE], **spec})


def cluster(**spec: Any) -> dict[str, Any]:
    base = {"gatewayHost": "172.28.0.1", "kubeconfigSecretRef": {"name": "cluster-1"}}
    return made("Cluster", "cluster-1", {k: v for k, v in {**base, **spec}.items() if v is not None})


def policy(**spec: Any) -> dict[str, Any]:
    return made("GlobalTrafficPolicy", "nodeapp", spec)


def imported(*ports: Any) -> dict[str, Any]:
    return made("ServiceImport", "nodeapp", {"ports": list(ports)})


ACCEPTED = {
    "the article's export": export(pathRewrite=REWRITE, serviceAccountName="*"),
    "an export to some clusters": export(targetClusters=["a/b/c/d", "a/b/c/e"], sessionSticky=True),
    "a cluster by Secret": cluster(),
    "a cluster by inline kubeconfig": cluster(kubeconfigSecretRef=None, kubeconfig="apiVersion: v1"),
    "a cluster by name": cluster(gatewayHost="gw-1.example.test"),
    "a cluster that the hub asks for tokens": cluster(tokenRequest=TOKENS),
    "the hub's own cluster": made("Cluster", "control-plane", {"isInCluster": True}),
    "a policy without anything": policy(),
    "Locality with one target": policy(lbType="Locality", targets=[key("cluster-1")]),
    "FailOver": policy(lbType="FailOver", targets=[key("cluster-1", weight=0), key("cluster-3", weight=100)]),
    "a canary of one in ten thousand": policy(
        lbType="ActiveActive", targets=[key("a", weight=9999), key("b", weight=1)]
    ),
    "ActiveActive with all exporters": policy(lbType="ActiveActive"),
    "an import": imported({"port": 3000, "name": "http", "endpoints": [ENDPOINT]}),
}

REFUSED = {
    "no rules": (export(rules=[]), "at least 1"),
    "rules absent": (made("ServiceExport", "a", {}), "spec.rules: Required"),
    "a rule without port": (export(rules=[{"path": "/a", "pathType": "Prefix"}]), "portNumber: Required"),
    "a rule on port 0": (export(rules=[{**RULE, "portNumber": 0}]), "greater than or equal to 1"),
    "a relative path": (export(rules=[{**RULE, "path": "nodeapp"}]), "should match"),
    "a path with query": (export(rules=[{**RULE, "path": "/a?b"}]), "should match"),
    "an unknown path type": (
        export(rules=[{**RULE, "pathType": "ImplementationSpecific"}]),
        "Unsupported value",
    ),
    "one path twice": (export(rules=[RULE, {**RULE, "portNumber": 3001}]), "same path and pathType"),
    "half a rewrite": (export(pathRewrite={"from": "^/a"}), "needs both from and to"),
    "an invalid pattern": (export(pathRewrite={"from": "(a", "to": "/"}), "missing closing )"),
    "a pattern with lookahead": (export(pathRewrite={"from": "(?=a)", "to": "/"}), "RE2 syntax"),
    "a name no Service can have": (export(name="a.b"), "valid Service name"),
    "a target that is no key": (export(targetClusters=["cluster-1"]), "should match"),
    "a target twice": (export(targetClusters=["a/b/c/d", "a/b/c/d"]), "names a cluster twice"),
    "an unknown balancer": (export(loadBalancer="round-robin"), "Unsupported value"),
    "a cluster without host": (cluster(gatewayHost=None), "needs gatewayHost"),
    "a cluster without credential": (cluster(kubeconfigSecretRef=None), "needs kubeconfigSecretRef"),
    "two credentials": (cluster(kubeconfig="apiVersion: v1"), "not both"),
    "tokens of nobody": (cluster(tokenRequest={**TOKENS, "serviceAccount": None}), "serviceAccount"),
    "tokens kept nowhere": (cluster(tokenRequest={**TOKENS, "secret": "a/b"}), "should match"),
    "port 0": (cluster(gatewayPort=0), "greater than or equal to 1"),
    "port 65536": (cluster(gatewayPort=65536), "less than or equal to 65535"),
    "a slash in the region": (cluster(region="eu/west"), "should match"),
    "loopback": (cluster(gatewayHost="127.0.0.1"), "neither loopback"),
    "localhost": (cluster(gatewayHost="localhost"), "neither loopback"),
    "any address": (cluster(gatewayHost="0.0.0.0"), "neither loopback"),
    "300.1.1.1": (cluster(gatewayHost="300.1.1.1"), "valid IPv4"),
    "IPv6": (cluster(gatewayHost="fd00::1"), "no IPv6"),
    "upper case": (cluster(gatewayHost="Gateway.test"), "lower case"),
    "an underscore": (cluster(gatewayHost="gate_way"), "no underscore"),
    "host and port": (cluster(gatewayHost="gateway:80"), "no port"),
    "Locality with two": (policy(lbType="Locality", targets=[key("a"), key("b")]), "at most one target"),
    "FailOver without": (policy(lbType="FailOver"), "at least one target"),
    "FailOver with none": (policy(lbType="FailOver", targets=[]), "at least one target"),
    "a negative weight": (
        policy(lbType="FailOver", targets=[key("a", weight=-1)]),
        "greater than or equal to 0",
    ),
    "a weight beyond any use": (
        policy(lbType="ActiveActive", targets=[key("a", weight=1_000_001)]),
        "less than or equal to 1000000",
    ),
    "a target listed twice": (
        policy(lbType="ActiveActive", targets=[key("a"), key("a")]),
        "names a cluster twice",
    ),
    "a short key": (policy(lbType="ActiveActive", targets=[{"clusterKey": "a/b/c"}]), "should match"),
    "an unknown lbType": (policy(lbType="Random"), "Unsupported value"),
    "a port twice": (imported({"port": 1, "endpoints": []}, {"port": 1, "endpoints": []}), "listed twice"),
    "a cluster twice": (imported({"port": 1, "endpoints": [ENDPOINT, ENDPOINT]}), "Duplicate value"),
    "an ip that is none": (
        imported({"port": 1, "endpoints": [{**ENDPOINT, "target": {**TARGET, "ip": "gateway"}}]}),
        "must be of type ipv4",
    ),
}


@pytest.fixture(scope="module")
def server(api_servers: Callable[[int], list[Any]]) -> Any:
    return api_servers(1)[0]


@pytest.mark.parametrize("what", ACCEPTED)
def test_the_api_server_accepts(server: Any, what: str) -> None:
    said = server.kubectl(
        "create", "--dry-run=server", "-f", "-", stdin=json.dumps(ACCEPTED[what]), check=False
    )
    assert "created (server dry run)" in said, said


@pytest.mark.parametrize("what", REFUSED)
def test_the_api_server_refuses(server: Any, what: str) -> None:
    body, reason = REFUSED[what]
    said = server.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body), check=False)
    assert "is invalid" in said, said
    assert reason in said


def test_is_in_cluster_cannot_be_changed(server: Any) -> None:
    server.kubectl("apply", "-f", "-", stdin=json.dumps(cluster()))
    said = server.kubectl("apply", "-f", "-", stdin=json.dumps(cluster(isInCluster=True)), check=False)
    assert "isInCluster cannot be changed" in said


def test_columns_are_those_of_the_article(server: Any) -> None:
    server.kubectl("apply", "-f", "-", stdin=json.dumps(export()))
    server.kubectl("apply", "-f", "-", stdin=json.dumps(cluster()))
    server.kubectl("apply", "-f", "-", stdin=json.dumps(policy(lbType="ActiveActive")))
    heads = {kind: server.kubectl("get", kind).split("\n")[0].split() for kind in ("sexp", "gtp", "clusters")}
    assert heads["sexp"] == ["NAME", "VALID", "CONFLICT", "AGE"]
    assert heads["gtp"] == ["NAME", "LB", "TYPE", "AGE"]
    assert (
        " ".join(heads["clusters"])
        == "NAME REGION ZONE GROUP GATEWAY HOST GATEWAY PORT MANAGED MANAGED AGE AGE"
    )


def test_the_network_policy_of_the_admin_pages_is_one(server: Any) -> None:
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "admin", "namespace": "default"},
        "spec": admin_policy_spec(["192.0.2.1", "2001:db8::/64"]),
    }
    server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
