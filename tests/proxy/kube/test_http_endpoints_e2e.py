"""Dapr's HTTPEndpoints, written by the controller as a process into a real API server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.one_cluster import FLOMESH, KEY, SERVICES, Cluster, Controller, seconds
from proxy.kube.world import eventually, made

pytestmark = pytest.mark.e2e

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CALLERS = {"multicluster.flomesh.io/dapr-callers": "true"}
APP_ID = {"multicluster.flomesh.io/dapr-app-id": "nodeapp"}


def crd() -> dict[str, Any]:
    """What of Dapr's definition counts here; the real one is in Dapr's chart."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "httpendpoints.dapr.io"},
        "spec": {
            "group": "dapr.io",
            "scope": "Namespaced",
            "names": {"kind": "HTTPEndpoint", "plural": "httpendpoints", "singular": "httpendpoint"},
            "versions": [
                {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }  # fmt: skip


class Dapr:
    """The cluster as Dapr's apps see it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def install(self) -> None:
        self.cluster.apply(CRDS, crd())

    def uninstall(self) -> None:
        self.cluster.delete(f"{CRDS}/httpendpoints.dapr.io")

    def callers(self, name: str, wanted: bool = True) -> None:
        labels = CALLERS if wanted else {}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.cluster.apply("/api/v1/namespaces", body)

    def imported(self, annotated: bool = True) -> None:
        target = {"host": "127.0.0.1", "ip": "127.0.0.1", "port": 9, "path": "/nodeapp"}
        endpoints = [{"clusterKey": "default/default/default/cluster-1", "target": target}]
        body = made(
            "ServiceImport", "nodeapp", {"ports": [{"name": "http", "port": 3000, "endpoints": endpoints}]}
        )
        body["metadata"]["annotations"] = APP_ID if annotated else {}
        self.cluster.apply(f"{FLOMESH}/serviceimports", body)

    def exported(self) -> None:
        rules = [{"portNumber": 3000, "path": "/nodeapp", "pathType": "Prefix"}]
        self.cluster.apply(f"{FLOMESH}/serviceexports", made("ServiceExport", "nodeapp", {"rules": rules}))

    def app(self) -> None:
        """A Dapr app `nodeapp`, as Dapr's operator publishes it."""
        metadata = {"name": "nodeapp-dapr", "labels": {"dapr.io/enabled": "true"},
                    "annotations": {"dapr.io/app-id": "nodeapp"}}  # fmt: skip
        ports = [{"name": "dapr-internal", "port": 50002, "protocol": "TCP"}]
        spec = {"clusterIP": "None", "selector": {"app": "node"}, "ports": ports}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        self.cluster.apply(SERVICES, body)

    def endpoint(self, namespace: str = "curl") -> Any:
        return self.cluster.get(f"/apis/dapr.io/v1alpha1/namespaces/{namespace}/httpendpoints/nodeapp")

    def condition(self) -> tuple[str, str]:
        found = self.cluster.get(f"{FLOMESH}/serviceimports/nodeapp") or {}
        for condition in found.get("status", {}).get("conditions", []):
            if condition["type"] == "DaprInvocable":
                return condition["status"], condition["reason"]
        return "", ""


@pytest.fixture
def dapr(clean: Cluster) -> Iterator[Dapr]:
    made_ = Dapr(clean)
    made_.callers("curl")
    made_.callers("dapr-test", wanted=False)
    yield made_
    made_.uninstall()
    eventually(lambda: clean.get("/apis/dapr.io/v1alpha1/httpendpoints") is None, "the CRD is gone")


def settled(dapr: Dapr, *wanted: str) -> Callable[[], bool]:
    """Whether exactly these of the namespaces have an HTTPEndpoint."""
    return lambda: {name for name in ("curl", "dapr-test") if dapr.endpoint(name)} == set(wanted)


def test_dapr_that_comes_later_is_found_and_one_that_goes_is_no_error(
    dapr: Dapr, controller: Controller
) -> None:
    dapr.imported()
    eventually(lambda: dapr.cluster.programmed("serviceimports")[0] == "True", "the import is looked at")
    assert dapr.condition() == ("", ""), "without Dapr there is nothing to say"
    dapr.install()
    assert seconds(settled(dapr, "curl"), "an HTTPEndpoint for the caller") < 10
    found = dapr.endpoint()
    assert found["spec"] == {"baseUrl": "http://nodeapp-clusterset.dapr-test.svc.cluster.local:3000"}
    assert "scopes" not in found
    eventually(lambda: dapr.condition() == ("True", "Invocable"), "the import says so")
    dapr.uninstall()
    eventually(lambda: dapr.condition() == ("", ""), "without Dapr there is nothing to say again")
    assert not controller.logged("ERROR"), controller.log.read_text()


def test_existence_follows_labels_exports_and_policies(dapr: Dapr, controller: Controller) -> None:
    dapr.install()
    dapr.imported()
    eventually(settled(dapr, "curl"), "an importer has it without a policy")
    dapr.callers("dapr-test")
    eventually(settled(dapr, "curl", "dapr-test"), "a label is followed")
    dapr.app()
    eventually(lambda: dapr.condition() == ("False", "LocalApp"), "a local app that does not export")
    eventually(settled(dapr), "nothing hides it")
    dapr.exported()
    eventually(lambda: dapr.condition() == ("True", "Native"), "under Locality Dapr's own way is left alone")
    dapr.cluster.policy("ActiveActive", "cluster-1", KEY.split("/")[-1])
    eventually(settled(dapr, "curl", "dapr-test"), "the policy lets requests leave")
    dapr.cluster.policy("Locality")
    eventually(settled(dapr), "the policy keeps requests")
    dapr.cluster.policy("FailOver", "cluster-1")
    eventually(settled(dapr, "curl", "dapr-test"), "the policy lets requests leave again")
    dapr.callers("curl", wanted=False)
    eventually(settled(dapr, "dapr-test"), "a label that goes is followed")
    dapr.imported(annotated=False)
    eventually(settled(dapr), "without an app-id there is nothing for Dapr")
    eventually(lambda: dapr.condition() == ("", ""), "nor anything to say")


def test_what_others_made_stays_and_what_is_ours_is_put_back(dapr: Dapr, controller: Controller) -> None:
    dapr.install()
    eventually(
        lambda: dapr.cluster.get("/apis/dapr.io/v1alpha1/httpendpoints") is not None, "the CRD is served"
    )
    where = "/apis/dapr.io/v1alpha1/namespaces/curl/httpendpoints"
    theirs = {"apiVersion": "dapr.io/v1alpha1", "kind": "HTTPEndpoint", "metadata": {"name": "nodeapp"},
              "spec": {"baseUrl": "http://example.org"}}  # fmt: skip
    dapr.cluster.apply(where, theirs)
    dapr.callers("dapr-test")
    dapr.imported()
    eventually(
        lambda: dapr.condition() == ("False", "ForeignHTTPEndpoint"), "the import says who is in the way"
    )
    eventually(settled(dapr, "curl", "dapr-test"), "the other namespace has ours")
    assert dapr.endpoint()["spec"] == theirs["spec"]
    dapr.cluster.delete(f"{where}/nodeapp")
    eventually(lambda: dapr.condition() == ("True", "Invocable"), "ours takes its place")
    dapr.cluster.apply("/apis/dapr.io/v1alpha1/namespaces/dapr-test/httpendpoints", theirs)
    eventually(
        lambda: "clusterset" in dapr.endpoint("dapr-test")["spec"]["baseUrl"],
        "what is ours is put back as it was",
    )


def test_what_went_while_nobody_looked_is_taken_back(
    dapr: Dapr, controller: Controller, tmp_path: Path
) -> None:
    dapr.install()
    dapr.imported()
    eventually(settled(dapr, "curl"), "an HTTPEndpoint")
    owner = dapr.endpoint()["metadata"]["ownerReferences"][0]
    home = dapr.cluster.get("/api/v1/namespaces/multicluster-system")
    assert (owner["kind"], owner["uid"]) == ("Namespace", home["metadata"]["uid"])
    controller.stop()
    dapr.cluster.delete(f"{FLOMESH}/serviceimports/nodeapp")
    time.sleep(0.5)
    assert settled(dapr, "curl")()
    controller.start()
    eventually(settled(dapr), "the import is gone, and so is its HTTPEndpoint")
