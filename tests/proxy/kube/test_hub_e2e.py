"""The hub and a gateway as processes against real API servers: three clusters, no containers."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.admission import Bound, bind, refuses
from proxy.kube.world import FLOMESH, HOME, MEMBER, Clusters, Process, eventually, made, namespace

from components.mesh.admission import hub_spec

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def clusters(api_servers: Callable[[int], list[Any]], tmp_path_factory: pytest.TempPathFactory) -> Clusters:
    found = Clusters(api_servers(3), tmp_path_factory.mktemp("clusters"))
    for server in (found.home, found.one, found.two):
        namespace(server, "multicluster-system")
        namespace(server, "dapr-test")
        # Whatever the hub does in these tests, it may do.
        account = "hub-home" if server is found.home else "multicluster-hub"
        rules = [*MEMBER, *HOME] if server is found.home else MEMBER
        bind(server, "hub", hub_spec(account=account, namespace="multicluster-system"))
        theirs = made("ServiceImport", "theirs", {"ports": [{"port": 1, "endpoints": []}]})
        hub = Bound(server, server.account(account, *rules))
        refuses(hub, "POST", f"{FLOMESH}/namespaces/dapr-test/serviceimports", theirs, "with its label only")
    return found


@pytest.fixture
def hub(clusters: Clusters, tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, clusters.home, "hub", "--admin", "127.0.0.1:0")
    yield process
    code, said = process.stop(), process.log.read_text()
    assert code == 0, said
    assert "Traceback" not in said, said


@pytest.fixture
def joined(clusters: Clusters, hub: Process) -> Iterator[Clusters]:
    """Both members joined; at the end they leave and nothing of the hub is left behind."""
    clusters.join("cluster-1", clusters.one, 81)
    clusters.join("cluster-2", clusters.two, 82)
    yield clusters
    for server in (clusters.one, clusters.two):
        for kind in (
            f"{FLOMESH}/namespaces/dapr-test/serviceexports",
            "/api/v1/namespaces/dapr-test/services",
        ):
            for item in server.call("GET", kind)["items"]:
                clusters.remove(server, f"{kind}/{item['metadata']['name']}")
    for item in clusters.home.call("GET", f"{FLOMESH}/clusters")["items"]:
        clusters.remove(clusters.home, f"{FLOMESH}/clusters/{item['metadata']['name']}")
    for server in (clusters.home, clusters.one, clusters.two):
        eventually(
            lambda s=server: not s.call("GET", f"{FLOMESH}/serviceimports")["items"], "imports are withdrawn"
        )
    # The hub, which ends next, must have let go of them: the next test makes Clusters of the same names.
    eventually(lambda: not clusters.home.call("GET", f"{FLOMESH}/clusters")["items"], "the Clusters are gone")


EXPORT = f"{FLOMESH}/namespaces/dapr-test/serviceexports/nodeapp"
SERVICE = "/api/v1/namespaces/dapr-test/services/nodeapp"


def test_an_export_reaches_the_other_member_and_the_control_plane(joined: Clusters) -> None:
    joined.service(joined.one)
    joined.export(joined.one, serviceAccountName="*")
    joined.expect_import(joined.two, {3000: {"cluster-1"}})
    joined.expect_import(joined.home, {3000: {"cluster-1"}})
    assert joined.imported(joined.one) == {}, "an exporter never imports from itself"
    found = joined.two.call("GET", f"{FLOMESH}/namespaces/dapr-test/serviceimports/nodeapp")["spec"]
    target = {"host": "172.28.0.1", "ip": "172.28.0.1", "port": 81, "path": "/nodeapp"}
    endpoint = {"clusterKey": "default/default/default/cluster-1", "target": target}
    assert found == {
        "type": "ClusterSetIP",
        "serviceAccountName": "*",
        "ports": [{"name": "http", "port": 3000, "protocol": "TCP", "endpoints": [endpoint]}],
    }
    joined.expect(joined.one, EXPORT, "Valid", "True")
    joined.expect(joined.one, EXPORT, "Conflict", "False")
    clusters = [{"cluster": "default/default/default/cluster-1", "addresses": ["172.28.0.1"]}]
    path = f"{FLOMESH}/namespaces/dapr-test/serviceimports/nodeapp"
    eventually(
        lambda: joined.two.call("GET", path).get("status", {}).get("clusters") == clusters, "its status"
    )
    joined.expect(joined.home, f"{FLOMESH}/clusters/cluster-1", "Managed", "True")
    eventually(lambda: "Valid" in joined.one.kubectl("get", "events", "-n", "dapr-test"), "an event tells")


def test_a_late_joiner_catches_up(clusters: Clusters, hub: Process) -> None:
    clusters.join("cluster-1", clusters.one, 81)
    clusters.service(clusters.one)
    clusters.export(clusters.one)
    clusters.expect_import(clusters.home, {3000: {"cluster-1"}})
    clusters.join("cluster-2", clusters.two, 82)
    clusters.expect_import(clusters.two, {3000: {"cluster-1"}})


def test_a_cluster_that_leaves_takes_its_endpoints_and_its_imports_along(joined: Clusters) -> None:
    for server in (joined.one, joined.two):
        joined.service(server)
        joined.export(server)
    joined.expect_import(joined.home, {3000: {"cluster-1", "cluster-2"}})
    joined.expect_import(joined.one, {3000: {"cluster-2"}})
    joined.remove(joined.home, f"{FLOMESH}/clusters/cluster-1")
    joined.expect_import(joined.home, {3000: {"cluster-2"}})
    joined.expect_import(joined.two, {})
    joined.expect_import(joined.one, {})
    eventually(lambda: joined.condition(joined.one, EXPORT, "Valid") == ("", ""), "its condition goes")


def test_a_service_made_after_its_export_is_noticed(joined: Clusters) -> None:
    joined.export(joined.one)
    joined.expect(joined.one, EXPORT, "Valid", "False", "there is no Service")
    joined.service(joined.one)
    joined.expect_import(joined.two, {3000: {"cluster-1"}})
    joined.expect(joined.one, EXPORT, "Valid", "True")


def test_an_export_goes_whichever_of_service_and_export_is_deleted_first(joined: Clusters) -> None:
    joined.service(joined.one)
    joined.export(joined.one)
    joined.expect_import(joined.two, {3000: {"cluster-1"}})
    joined.remove(joined.one, SERVICE)
    joined.expect_import(joined.two, {})
    joined.service(joined.one)
    joined.expect_import(joined.two, {3000: {"cluster-1"}})
    joined.remove(joined.one, EXPORT)
    joined.expect_import(joined.two, {})


def test_target_clusters_are_honoured_and_can_change(joined: Clusters) -> None:
    joined.service(joined.one)
    joined.export(joined.one, targetClusters=["default/default/default/cluster-2"])
    joined.expect_import(joined.two, {3000: {"cluster-1"}})
    assert joined.imported(joined.home) == {}
    joined.export(joined.one, targetClusters=["default/default/default/control-plane"])
    joined.expect_import(joined.home, {3000: {"cluster-1"}})
    joined.expect_import(joined.two, {})


def test_a_conflict_is_named_and_cleared_when_it_is_over(joined: Clusters) -> None:
    joined.service(joined.one)
    joined.export(joined.one)
    joined.expect(joined.one, EXPORT, "Valid", "True")
    joined.younger(joined.one, EXPORT)
    grpc = [{"name": "http", "port": 3000, "protocol": "TCP", "appProtocol": "grpc"}]
    joined.service(joined.two, ports=grpc)
    joined.export(joined.two)
    joined.expect(joined.two, EXPORT, "Conflict", "True", "port 3000 is grpc here but http in")
    assert joined.imported(joined.home) == {3000: {"cluster-1"}}
    joined.remove(joined.one, EXPORT)
    joined.expect(joined.two, EXPORT, "Conflict", "False")
    joined.expect_import(joined.home, {3000: {"cluster-2"}})


def test_two_exports_with_one_path_in_one_cluster(joined: Clusters) -> None:
    joined.service(joined.one)
    joined.export(joined.one)
    joined.expect(joined.one, EXPORT, "Valid", "True")
    joined.younger(joined.one, EXPORT)
    other = f"{FLOMESH}/namespaces/dapr-test/serviceexports/other"
    joined.service(joined.one, name="other")
    joined.export(joined.one, name="other", path="/nodeapp/")
    joined.expect(joined.one, other, "Valid", "False", "already exported by dapr-test/nodeapp")
    joined.remove(joined.one, EXPORT)
    joined.expect(joined.one, other, "Valid", "True")
    joined.expect_import(joined.two, {3000: {"cluster-1"}}, "other")


def test_a_changed_gateway_address_and_key_are_followed(joined: Clusters) -> None:
    joined.service(joined.one)
    joined.export(joined.one)
    joined.expect_import(joined.two, {3000: {"cluster-1"}})
    joined.join("cluster-1", joined.one, 8081, zone="west")

    def endpoint() -> Any:
        found = joined.two.call("GET", f"{FLOMESH}/namespaces/dapr-test/serviceimports/nodeapp")
        (only,) = found["spec"]["ports"][0]["endpoints"]
        return only["clusterKey"], only["target"]["port"]

    eventually(lambda: endpoint() == ("default/west/default/cluster-1", 8081), "the endpoint moves")


def test_a_dead_member_blocks_nobody_and_keeps_its_endpoints(joined: Clusters) -> None:
    for server in (joined.one, joined.two):
        joined.service(server)
        joined.export(server)
    joined.expect_import(joined.home, {3000: {"cluster-1", "cluster-2"}})
    joined.one.stop_api()
    try:
        joined.expect(joined.home, f"{FLOMESH}/clusters/cluster-1", "Managed", "False", "cannot reach")
        joined.service(joined.two, name="late")
        joined.export(joined.two, name="late", path="/late")
        joined.expect_import(joined.home, {3000: {"cluster-2"}}, "late")
        assert joined.imported(joined.home) == {3000: {"cluster-1", "cluster-2"}}
    finally:
        joined.one.start_api()
    joined.expect(joined.home, f"{FLOMESH}/clusters/cluster-1", "Managed", "True")
    joined.expect_import(joined.one, {3000: {"cluster-2"}}, "late")


def test_a_restarted_hub_invents_and_loses_nothing_while_a_member_is_down(
    clusters: Clusters, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = Process(tmp_path_factory.mktemp("hub"), clusters.home, "hub")
    try:
        clusters.join("cluster-1", clusters.one, 81)
        clusters.join("cluster-2", clusters.two, 82)
        for server in (clusters.one, clusters.two):
            clusters.service(server)
            clusters.export(server)
        clusters.expect_import(clusters.home, {3000: {"cluster-1", "cluster-2"}})
        clusters.expect_import(clusters.two, {3000: {"cluster-1"}})  # which the next hub finds there
    finally:
        first.kill()
    clusters.one.stop_api()
    second = Process(tmp_path_factory.mktemp("hub"), clusters.home, "hub")
    try:
        try:
            clusters.expect(clusters.home, f"{FLOMESH}/clusters/cluster-1", "Managed", "False")
            clusters.remove(clusters.two, EXPORT)
            clusters.expect_import(clusters.home, {3000: {"cluster-1"}})
            clusters.expect_import(clusters.two, {3000: {"cluster-1"}})
        finally:
            clusters.one.start_api()
        clusters.remove(clusters.one, EXPORT)
        clusters.expect_import(clusters.home, {})
        clusters.expect_import(clusters.two, {})
    finally:
        assert second.stop() == 0


def test_a_cluster_deleted_while_no_hub_runs_gives_its_imports_back(
    clusters: Clusters, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = Process(tmp_path_factory.mktemp("hub"), clusters.home, "hub")
    path = f"{FLOMESH}/clusters/cluster-1"
    clusters.join("cluster-1", clusters.one, 81)
    clusters.join("cluster-2", clusters.two, 82)
    clusters.service(clusters.two)
    clusters.export(clusters.two)
    clusters.expect_import(clusters.one, {3000: {"cluster-2"}})
    eventually(lambda: clusters.home.call("GET", path)["metadata"].get("finalizers"), "it is marked")
    first.kill()
    clusters.remove(clusters.home, path)
    assert clusters.home.call("GET", path)["metadata"]["deletionTimestamp"], "it waits for a hub"
    second = Process(tmp_path_factory.mktemp("hub"), clusters.home, "hub")
    try:
        clusters.expect_import(clusters.one, {})
        eventually(lambda: not _exists(clusters.home, path), "it is let go")
    finally:
        assert second.stop() == 0


def _exists(server: Any, path: str) -> bool:
    try:
        server.call("GET", path)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
    return True


def test_of_two_hubs_one_writes_and_the_other_takes_over(
    clusters: Clusters, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hubs = {
        name: Process(tmp_path_factory.mktemp(name), clusters.home, "hub", "--elect", POD_NAME=name)
        for name in ("a", "b")
    }
    lease = "/apis/coordination.k8s.io/v1/namespaces/multicluster-system/leases/multicluster-hub"

    def holder() -> str:
        return str(clusters.home.call("GET", lease)["spec"].get("holderIdentity") or "")

    try:
        first = str(eventually(holder, "one holds the Lease"))
        clusters.join("cluster-2", clusters.two, 82)
        clusters.service(clusters.two)
        clusters.export(clusters.two)
        clusters.expect_import(clusters.home, {3000: {"cluster-2"}})
        assert hubs.pop(first).stop() == 0
        eventually(lambda: holder() in hubs, "the other takes over")
        clusters.remove(clusters.two, EXPORT)
        clusters.expect_import(clusters.home, {})
    finally:
        for process in hubs.values():
            assert process.stop() == 0


def test_a_changed_secret_is_read_again(joined: Clusters) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cluster-1"}}
    path = "/api/v1/namespaces/multicluster-system/secrets"
    cluster = f"{FLOMESH}/clusters/cluster-1"
    joined.expect(joined.home, cluster, "Managed", "True")
    joined.apply(
        joined.home, path, {**secret, "stringData": {"kubeconfig": joined.one.kubeconfig_with("wrong")}}
    )
    joined.expect(joined.home, cluster, "Managed", "False", "refuses the hub's credential")
    joined.apply(
        joined.home,
        path,
        {
            **secret,
            "stringData": {
                "kubeconfig": joined.one.kubeconfig_with(joined.one.account("multicluster-hub", *MEMBER))
            },
        },
    )
    joined.expect(joined.home, cluster, "Managed", "True")


def test_an_import_the_hub_did_not_make_is_left_alone(joined: Clusters) -> None:
    foreign = made("ServiceImport", "nodeapp", {"ports": []})
    joined.apply(joined.two, f"{FLOMESH}/namespaces/dapr-test/serviceimports", foreign)
    joined.service(joined.one)
    joined.export(joined.one)
    joined.expect(joined.one, EXPORT, "Conflict", "True", "the hub did not make")
    assert joined.imported(joined.two) == {}
    joined.remove(joined.two, f"{FLOMESH}/namespaces/dapr-test/serviceimports/nodeapp")
    joined.expect_import(joined.two, {3000: {"cluster-1"}})
    joined.expect(joined.one, EXPORT, "Conflict", "False")


def test_external_names_are_refused(joined: Clusters) -> None:
    joined.service(joined.one, type="ExternalName", externalName="example.test")
    joined.export(joined.one)
    joined.expect(joined.one, EXPORT, "Valid", "False", "ExternalName")
    assert joined.imported(joined.two) == {}


def test_the_control_planes_word_and_the_hubs_dates(joined: Clusters) -> None:
    """With the rights the program grants, and as the CRD stores them."""
    joined.service(joined.one)
    joined.export(joined.one)
    joined.expect_import(joined.home, {3000: {"cluster-1"}})
    cluster = f"{FLOMESH}/clusters/cluster-1"

    def claims() -> list[str]:
        recorded = joined.home.call("GET", cluster).get("status", {}).get("firstSeen", [])
        return [claim for entry in recorded for claim in entry["claims"]]

    eventually(lambda: claims() == ["dapr-test/nodeapp", "dapr-test/nodeapp /nodeapp"], "the dates are kept")
    joined.join("cluster-1", joined.one, 81, mayExport=["shop"])
    joined.expect(joined.one, EXPORT, "Valid", "False", "lets this cluster export shop")
    joined.expect_import(joined.home, {})
    joined.join("cluster-1", joined.one, 81, mayExport=["dapr-test"])
    joined.expect_import(joined.home, {3000: {"cluster-1"}})
    joined.expect(joined.home, cluster, "Managed", "True")


def test_a_path_of_the_front_door_has_one_owner(joined: Clusters) -> None:
    for server in (joined.home, joined.one, joined.two):
        namespace(server, "evil")
    joined.service(joined.one)
    joined.export(joined.one)
    joined.expect_import(joined.home, {3000: {"cluster-1"}})
    evil = f"{FLOMESH}/namespaces/evil/serviceexports/evil"
    rules = [{"portNumber": 3000, "path": "/nodeapp/login", "pathType": "Prefix"}]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "evil"},
        "spec": {"ports": [{"port": 3000}]},
    }
    joined.apply(joined.two, "/api/v1/namespaces/evil/services", body)
    joined.apply(joined.two, evil.rpartition("/")[0], made("ServiceExport", "evil", {"rules": rules}))
    joined.expect(
        joined.two, evil, "Conflict", "True", "dapr-test/nodeapp has it, or one around or inside it"
    )
    imported = f"{FLOMESH}/namespaces/evil/serviceimports/evil"
    # Another cluster than the one that was told: each is written in its own time.
    found = eventually(lambda: joined.home.call("GET", imported), "it is imported all the same")
    assert found["spec"]["ports"][0]["endpoints"][0]["frontDoor"] is False
    joined.expect(joined.one, EXPORT, "Valid", "True", "does not serve /nodeapp/login of evil/evil")
    joined.remove(joined.one, EXPORT)
    joined.expect(joined.two, evil, "Conflict", "False")
    joined.remove(joined.two, evil)


def test_how_fast_an_export_travels(joined: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    joined.service(joined.one)
    joined.expect(joined.home, f"{FLOMESH}/clusters/cluster-1", "Managed", "True")
    joined.export(joined.one)
    there = joined.expect_import(joined.two, {3000: {"cluster-1"}})
    joined.remove(joined.one, EXPORT)
    gone = joined.expect_import(joined.two, {})
    with capsys.disabled():
        print(f"\nexport seen as import after {there * 1000:.0f} ms, gone after {gone * 1000:.0f} ms")


def test_a_thief_of_the_hubs_token_writes_its_imports_only(clusters: Clusters) -> None:
    member, imports = clusters.one, f"{FLOMESH}/namespaces/dapr-test/serviceimports"
    thief = Bound(member, member.account("multicluster-hub", *MEMBER))
    label = {"app.kubernetes.io/managed-by": "multicluster-hub"}
    spec = {"ports": [{"port": 1, "endpoints": []}]}
    clusters.apply(member, imports, made("ServiceImport", "theirs", spec))
    try:
        for method, body in (("DELETE", None), ("PATCH", {"metadata": {"labels": label}})):
            status, said = thief.call(method, f"{imports}/theirs", body)
            assert (status, "with its label only" in said) == (422, True), said
        evil = made("ServiceImport", "kubernetes", spec)
        evil["metadata"]["labels"] = label
        status, said = thief.call("POST", imports.replace("dapr-test", "default"), evil)
        assert (status, "into the system's namespaces" in said) == (422, True), said
        assert thief.call("POST", f"{imports}?dryRun=All", evil)[0] == 201, "what the hub does"
    finally:
        clusters.remove(member, f"{imports}/theirs")


def test_a_thief_of_the_hubs_token_sends_no_member_elsewhere(clusters: Clusters) -> None:
    home = clusters.home
    thief = Bound(home, home.account("hub-home", *MEMBER, *HOME))
    spec = {"gatewayHost": "192.0.2.1", "gatewayPort": 80, "kubeconfigSecretRef": {"name": "none"}}
    clusters.apply(home, f"{FLOMESH}/clusters", made("Cluster", "lone", spec))
    try:
        status, said = thief.call(
            "PATCH", f"{FLOMESH}/clusters/lone", {"spec": {"gatewayHost": "192.0.2.66"}}
        )
        assert (status, "its own finalizer only" in said) == (422, True), said
    finally:
        clusters.remove(home, f"{FLOMESH}/clusters/lone")
