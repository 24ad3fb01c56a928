"""The mesh's components as a program of one's own uses them: what is given, what is not, what is refused."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from program.conftest import Recorder

import components
from components.mesh.global_traffic_policy import policy_spec
from components.mesh.mesh_args import MeshCluster
from components.mesh.mesh_reading import check, granted, granted_host, granted_in, joinable
from components.mesh.service_export import annotations, export_spec


def cluster(name: str, **more: Any) -> MeshCluster:
    provider: Any = None
    args = MeshCluster(name=name, provider=provider, gateway_host="192.0.2.1", gateway_port=80)
    args.update(**more)  # type: ignore[typeddict-item]
    return args


def test_parts_of_a_cluster_key_are_default_unless_given() -> None:
    assert joinable(cluster("hub")).key == "default/default/default/hub"
    given = cluster("east", region="eu", zone="b", group="shops")
    assert joinable(given).key == "eu/b/shops/east"


def test_numbers_of_other_languages_are_floats() -> None:
    assert str(joinable(cluster("hub", gateway_port=30080.0)).gateway_port) == "30080"


def test_a_member_without_an_address_of_its_api_is_refused() -> None:
    members = [cluster("east", server="https://east:6443"), cluster("west")]
    with pytest.raises(ValueError, match=r"members\[1\]: 'west' has no `server`: give the URL"):
        check({"image": "gateway", "control_plane": cluster("hub"), "members": members})


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="'hub' is there twice"):
        check({"image": "gateway", "control_plane": cluster("hub"), "members": [cluster("hub")]})


def test_a_node_port_is_one() -> None:
    plane = cluster("hub", node_port=80)
    with pytest.raises(ValueError, match="hub: node_port is 80: choose one from 30000 to 32767"):
        check({"image": "gateway", "control_plane": plane, "members": []})


def test_a_path_is_delegated_to_clusters_of_the_mesh() -> None:
    keys = {"hub": "a/b/c/hub", "east": "a/b/c/east"}
    path: components.MeshPath = {"prefix": "/shop", "namespaces": ["shop"]}
    assert granted(path, keys) == {"prefix": "/shop", "namespaces": ["shop"], "clusters": []}
    assert granted({**path, "clusters": ["east"]}, keys)["clusters"] == ["a/b/c/east"]
    with pytest.raises(ValueError, match=r"/shop is delegated to 'west'.*choose from east, hub"):
        granted({**path, "clusters": ["west"]}, keys)


def test_a_host_is_granted_in_clusters_of_the_mesh_and_told_to_them_alone() -> None:
    keys = {"hub": "a/b/c/hub", "east": "a/b/c/east"}
    host: components.MeshHost = {"host": "shop.example.com", "namespaces": ["shop"]}
    anywhere = granted_host(host, keys)
    assert anywhere == {"host": "shop.example.com", "namespaces": ["shop"], "clusters": []}
    east = granted_host({**host, "host": "*.example.com", "clusters": ["east"]}, keys)
    assert granted_in("a/b/c/hub", [anywhere, east]) == [host]
    assert granted_in("a/b/c/east", [anywhere, east]) == [host, {**host, "host": "*.example.com"}]
    with pytest.raises(ValueError, match=r"shop.example.com is granted in 'west'.*choose from east, hub"):
        granted_host({**host, "clusters": ["west"]}, keys)


def test_what_is_not_given_of_an_export_is_left_to_the_crd() -> None:
    least: components.ServiceExportArgs = {
        "service": "checkout",
        "namespace": "shop",
        "rules": [{"port_number": 8080, "path": "/checkout"}],
    }
    rules = [{"portNumber": 8080, "path": "/checkout", "pathType": "Prefix"}]
    assert export_spec(least) == {"rules": rules}
    assert annotations(least) == {}
    most: components.ServiceExportArgs = {
        **least,
        "path_rewrite": {"pattern": "^/checkout/?", "replacement": "/"},
        "service_account_name": "till",
        "session_sticky": True,
        "load_balancer": "HashingLoadBalancer",
        "target_clusters": ["a/b/c/d"],
        "host": "shop.example.com",
        "published": False,
        "app_id": "till",
        "by_sidecar": True,
    }
    assert export_spec(most) == {
        "rules": rules,
        "pathRewrite": {"from": "^/checkout/?", "to": "/"},
        "serviceAccountName": "till",
        "sessionSticky": True,
        "loadBalancer": "HashingLoadBalancer",
        "targetClusters": ["a/b/c/d"],
    }
    assert annotations(most) == {
        "multicluster.flomesh.io/host": "shop.example.com",
        "multicluster.flomesh.io/published": "false",
        "multicluster.flomesh.io/dapr-app-id": "till",
        "multicluster.flomesh.io/dapr-invoke": "sidecar",
    }


def test_a_policy_is_locality_unless_it_says_otherwise() -> None:
    assert policy_spec({"service": "checkout", "namespace": "shop"}) == {"lbType": "Locality"}
    targets: list[components.GlobalTrafficPolicyTarget] = [
        {"cluster_key": "a/b/c/d", "weight": 5},
        {"cluster_key": "e"},
    ]
    spec = policy_spec({"service": "s", "namespace": "n", "lb_type": "ActiveActive", "targets": targets})
    assert spec["targets"] == [{"clusterKey": "a/b/c/d", "weight": 5}, {"clusterKey": "e"}]


@pytest.fixture
def mesh() -> Recorder:
    """A mesh of two clusters that a program of one's own makes."""
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder.mocks, project="own", stack="test", preview=False, monitor=recorder)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        hub, east = kubernetes.Provider("hub"), kubernetes.Provider("east")
        namespace = kubernetes.core.v1.Namespace(
            "shop", metadata={"name": "shop"}, opts=pulumi.ResourceOptions(provider=east)
        )
        made = components.Mesh(
            "mesh",
            {
                "image": "registry.example.org/gateway:1",
                "control_plane": cluster("hub", provider=hub, gateway_port=30080),
                "members": [
                    cluster(
                        "east",
                        provider=east,
                        server="https://east:6443",
                        namespaces=[namespace.metadata["name"]],
                        image="mirror.example.org/gateway:1",
                        ends_with_provider=True,
                    )
                ],
            },
        )
        made.cluster_keys.apply(recorder.outputs.update)

    program()
    return recorder


def test_keys_of_the_clusters_are_known_by_name(mesh: Recorder) -> None:
    assert mesh.outputs == {"hub": "default/default/default/hub", "east": "default/default/default/east"}


def test_each_cluster_pulls_its_image_and_publishes_its_port(mesh: Recorder) -> None:
    for name, image in (("hub", "registry.example.org/gateway:1"), ("east", "mirror.example.org/gateway:1")):
        template = mesh.find(f"{name}-gateway-deployment").inputs["spec"]["template"]
        assert template["spec"]["containers"][0]["image"] == image
    assert mesh.find("hub-gateway-service").inputs["spec"]["type"] == "NodePort"
    assert mesh.find("east-gateway-service").inputs["spec"]["type"] == "LoadBalancer"


def test_a_member_joins_after_the_namespaces_the_program_makes(mesh: Recorder) -> None:
    assert "shop" in mesh.find("east-membership-bootstrap-credential").after


def test_only_a_cluster_that_ends_with_its_provider_is_not_emptied(mesh: Recorder) -> None:
    made = [one for one in mesh.registered if one.type.startswith("kubernetes:") and one.name != "shop"]
    assert {(one.provider, one.deleted_with) for one in made} == {("hub", ""), ("east", "east")}


@pytest.mark.parametrize("every_caller", [True, False])
def test_a_policy_has_no_empty_annotations(every_caller: bool) -> None:
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder.mocks, project="own", stack="test", preview=False, monitor=recorder)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        opts = pulumi.ResourceOptions(provider=kubernetes.Provider("east"))
        args = components.GlobalTrafficPolicyArgs(service="s", namespace="n", every_caller=every_caller)
        components.GlobalTrafficPolicy("in", args, opts)

    program()
    assert ("annotations" in recorder.find("in-object").inputs["metadata"]) is every_caller


def test_an_export_is_made_by_the_provider_it_is_given() -> None:
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder.mocks, project="own", stack="test", preview=False, monitor=recorder)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        opts = pulumi.ResourceOptions(provider=kubernetes.Provider("east"))
        rules: list[components.ServiceExportRule] = [{"port_number": 8080, "path": "/checkout"}]
        components.ServiceExport("out", {"service": "checkout", "namespace": "shop", "rules": rules}, opts)
        components.GlobalTrafficPolicy("in", {"service": "checkout", "namespace": "shop"}, opts)

    program()
    assert recorder.find("out-object").provider == recorder.find("in-object").provider == "east"
    assert recorder.find("in-object").inputs["metadata"]["annotations"] == {
        "multicluster.flomesh.io/every-caller": "true"
    }
