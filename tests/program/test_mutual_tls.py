"""What a mesh with mutual TLS has that one without has not, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from program.conftest import Recorder
from program.test_mesh import cluster

import components
from components.mesh import mutual_tls, rbac
from components.mesh.mesh_args import MeshMutualTls
from components.mesh.mesh_reading import check, mutual_tls_of
from gateway.kube import acknowledgement, authority

CERTIFICATE = {
    "name": "certificate",
    "secret": {"secretName": "gateway-certificate", "defaultMode": 0o440},
}
STRICT = MeshMutualTls(mode="strict", certificate_hours=0.5, root_days=2)


@pytest.fixture
def mesh() -> Callable[..., Recorder]:
    """Makes a mesh of a control plane and one member."""

    def make(**more: Any) -> Recorder:
        recorder = Recorder()
        pulumi.runtime.set_mocks(recorder.mocks, project="own", stack="test", preview=False, monitor=recorder)

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def program() -> None:
            east = {"server": "https://east:6443", "gateway_port": 30081, **more.pop("east", {})}
            components.Mesh(
                "mesh",
                {
                    "image": "registry.example.org/gateway:1",
                    "control_plane": cluster("hub", provider=kubernetes.Provider("hub")),
                    "members": [cluster("east", provider=kubernetes.Provider("east"), **east)],
                    **more,  # type: ignore[typeddict-item]
                },
            )

        program()
        return recorder

    return make


def container(recorder: Recorder, name: str) -> dict[str, Any]:
    found: dict[str, Any] = pod(recorder, name)["containers"][0]
    return found


def pod(recorder: Recorder, name: str) -> dict[str, Any]:
    found: dict[str, Any] = recorder.find(f"{name}-deployment").inputs["spec"]["template"]["spec"]
    return found


def rules(recorder: Recorder, name: str) -> str:
    return str(recorder.find(f"{name}-role").inputs["rules"])


def test_gateways_prove_by_certificates_whose_they_are(mesh: Callable[..., Recorder]) -> None:
    made = mesh(mutual_tls=STRICT, east={"peers_port": 30443})
    for name in ("hub", "east"):
        said = container(made, f"{name}-gateway")["args"]
        assert {"--mutual-tls=strict", "--peers=[::]:15443", "--certificate=/etc/gateway/certificate"} <= set(
            said
        )
        said = container(made, f"{name}-controller")["args"]
        assert {"--mutual-tls=strict", "--certificate-hours=0.5", "--root-days=2"} <= set(said)
        assert CERTIFICATE in pod(made, f"{name}-gateway")["volumes"], "pods wait for it"
        assert CERTIFICATE not in pod(made, f"{name}-controller").get("volumes", ())
        assert "peers" in rules(made, f"{name}-gateway")
        assert "peers/status" in rules(made, f"{name}-controller")
        assert "gateway-ca" in rules(made, f"{name}-controller-own")
    assert "--mutual-tls=strict" in container(made, "hub-hub")["args"]
    for name in ("hub-hub-identity", "east-membership-identity"):
        assert "peers/status" in rules(made, name)
    http, peers = made.find("east-gateway-service").inputs["spec"]["ports"]
    assert (http["port"], http["nodePort"]) == (80, 30081)
    assert (peers["port"], peers["targetPort"], peers["nodePort"]) == (443, 15443, 30443)
    assert len(made.find("hub-gateway-service").inputs["spec"]["ports"]) == 1, "nobody asks the control plane"
    assert made.find("east-membership-cluster").inputs["spec"]["gatewayPeersPort"] == 30443


def test_the_network_policy_lets_through_what_mutual_tls_asks_for(mesh: Callable[..., Recorder]) -> None:
    """Gateways of other clusters come from any address; the controller asks its gateways for `/peers`."""
    made = mesh(mutual_tls=STRICT, east={"peers_port": 30443, "admin_from": ()})
    policy = made.find("east-admin-policy").inputs
    listening = {port["name"]: port["containerPort"] for port in container(made, "east-gateway")["ports"]}
    assert listening == {"http": 8080, "east-west": 15080, "peers": 15443, "admin": 9090}
    assert listening["admin"] == acknowledgement.ADMIN_PORT
    for name in ("http", "peers"):
        assert {} in admitted(policy, listening[name]), f"anybody comes to the port {name}"
    system = policy["metadata"]["namespace"]
    for name in ("east-gateway", "east-controller"):
        assert made.find(f"{name}-deployment").inputs["metadata"]["namespace"] == system
    assert {"podSelector": {}} in admitted(policy, listening["admin"]), "all pods of the namespace"
    assert {} not in admitted(policy, listening["admin"])
    assert policy["spec"]["policyTypes"] == ["Ingress"], "the hub goes to the APIs of members"


def admitted(policy: dict[str, Any], port: int) -> list[dict[str, Any]]:
    """Who comes to a TCP port, as a NetworkPolicy says it; {} is anybody."""
    return [
        who
        for rule in policy["spec"]["ingress"]
        for one in rule["ports"]
        if one["protocol"] == "TCP" and one["port"] <= port <= one.get("endPort", one["port"])
        for who in rule.get("from", [{}])
    ]


def test_a_load_balancer_publishes_both_ports(mesh: Callable[..., Recorder]) -> None:
    east = {"gateway_port": 80, "peers_port": 8443}
    ports = (
        mesh(mutual_tls={"mode": "permissive"}, east=east)
        .find("east-gateway-service")
        .inputs["spec"]["ports"]
    )
    assert [(port["name"], port["port"], "nodePort" in port) for port in ports] == [
        ("http", 80, False),
        ("peers", 8443, False),
    ]


@pytest.mark.parametrize(
    ("east", "west", "mode"),
    [
        ({"peers_port": 8443}, {"peers_port": 8443}, "permissive"),
        ({"peers_port": 8443}, {}, "off"),
        ({}, {}, "off"),
    ],
)
def test_it_is_on_by_itself_where_every_member_has_a_port_for_it(
    east: dict[str, Any], west: dict[str, Any], mode: str
) -> None:
    members = [cluster("east", **east), cluster("west", **west)]
    args: Any = {"image": "g", "control_plane": cluster("hub"), "members": members}
    assert mutual_tls_of(args).mode == mode
    assert mutual_tls_of(args | {"mutual_tls": {"root_days": 2}}).mode == mode
    assert mutual_tls_of(args | {"mutual_tls": {"mode": "off"}}).mode == "off"
    assert mutual_tls_of(args | {"members": []}).mode == "off", "nobody could be asked"


def test_without_it_a_port_for_gateways_alone_means_nothing(mesh: Callable[..., Recorder]) -> None:
    made = mesh(mutual_tls={"mode": "off"}, east={"peers_port": 30443})
    for name in ("hub-gateway", "east-gateway", "hub-controller", "east-controller", "hub-hub"):
        assert not [one for one in container(made, name)["args"] if "tls" in one or "certificate" in one]
    assert len(made.find("east-gateway-service").inputs["spec"]["ports"]) == 1
    assert "gatewayPeersPort" not in made.find("east-membership-cluster").inputs["spec"]
    for one in made.registered:
        if one.type.endswith("Role"):
            assert "peers" not in str(one.inputs["rules"])


@pytest.mark.parametrize(
    ("plane", "member", "tls", "words"),
    [
        ({}, {}, {"mode": "on"}, "mutual_tls: mode is 'on': choose from off, accept, permissive, strict"),
        ({}, {}, {"mode": "strict"}, "east has no `peers_port`, and mutual_tls is strict"),
        ({}, {"peers_port": 30443}, {}, "east: gateway_port and peers_port are ports of one Service"),
        ({"peers_node_port": 443}, {}, {}, "hub: peers_node_port is 443: choose one from 30000 to 32767"),
    ],
)
def test_what_cannot_be_is_refused(
    plane: dict[str, Any], member: dict[str, Any], tls: MeshMutualTls, words: str
) -> None:
    members = [cluster("east", server="https://east:6443", **member)]
    with pytest.raises(ValueError, match=words):
        check({"image": "g", "control_plane": cluster("hub", **plane), "members": members, "mutual_tls": tls})


def test_the_names_are_those_of_the_gateway() -> None:
    assert (mutual_tls.CA_SECRET, mutual_tls.CERTIFICATE_SECRET) == (
        authority.CA_SECRET,
        authority.CERTIFICATE_SECRET,
    )
    named = [rule["resourceNames"] for rule in rbac.CONTROLLER_CERTIFICATES[1:]]
    assert named == [[authority.CA_SECRET, authority.CERTIFICATE_SECRET], [authority.OWN_CA_SECRET]]
