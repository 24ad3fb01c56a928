"""CoreDNS as it is in the node image, with the rules of the cluster set, against a real API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import dns.exception
import dns.rcode
import dns.rdatatype
import pytest

from airgap.gobuild import ensure_programs
from airgap.images.node.k3s_node import render
from airgap.programs import programs
from airgap.report import Report
from airgap.versions import load_versions
from components.cluster.cluster_set_dns import KEY, RULES, reread_command
from tests.airgap.coredns import ELSEWHERE, SERVICES, CoreDns, addresses, eventually, running
from tests.harness.api_server import ApiServer, NoBinaryError, kube_binary
from tests.harness.ports import free_ports

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
NAME = "nodeapp.dapr-test.svc.clusterset.local"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    try:
        server = ApiServer(tmp_path_factory.mktemp("api"))
    except NoBinaryError as error:
        pytest.skip(str(error))
    with server:
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": "dapr-test"}})
        yield server


@pytest.fixture(scope="module")
def coredns() -> Path:
    """The program as the node image has it."""
    if shutil.which("go") is None:
        pytest.skip("CoreDNS is built from Go modules, and there is no `go` on PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr"
    program = programs(load_versions())["coredns"]
    return ensure_programs(cache, [program], Report())[program.name]


@pytest.fixture(scope="module")
def served(api: ApiServer, coredns: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreDns]:
    """The node's CoreDNS, and a Service behind an import's name in the cluster set."""
    with running(coredns, api, tmp_path_factory.mktemp("coredns")) as resolver:
        assert addresses(resolver.ask(NAME)) == {f"{NAME}.": ELSEWHERE}, "without rules it leaves the cluster"
        resolver.service("nodeapp-clusterset")
        resolver.custom({KEY: RULES.read_text()})
        in_force = lambda: ELSEWHERE not in addresses(resolver.ask(NAME)).values()  # noqa: E731
        assert eventually("the rules are in force", in_force) < 10
        yield resolver


def test_the_name_has_the_address_of_the_service_behind_it(served: CoreDns) -> None:
    address = served.api.call("GET", f"{SERVICES}/nodeapp-clusterset")["spec"]["clusterIP"]
    assert addresses(served.ask(NAME)) == {f"{NAME}.": address}, "under the name that was asked for"


def test_letters_of_either_case_are_the_same(served: CoreDns) -> None:
    assert addresses(served.ask("NodeApp.Dapr-Test.svc.ClusterSet.local")).keys() == {f"{NAME}."}


def test_a_name_without_such_an_address_is_there_and_has_none(served: CoreDns) -> None:
    found = served.ask(NAME, "AAAA")
    assert (found.rcode(), found.answer) == (dns.rcode.NOERROR, []), "NXDOMAIN would end the look-up of A too"
    (authority,) = found.authority
    assert (str(authority.name), authority.rdtype) == ("clusterset.local.", dns.rdatatype.SOA)
    for name in ("dapr-test.svc.clusterset.local", "svc.clusterset.local", "clusterset.local"):
        found = served.ask(name)
        assert (found.rcode(), found.answer) == (dns.rcode.NOERROR, []), (
            f"names below {name} exist (RFC 8020)"
        )


@pytest.mark.parametrize(
    "name",
    [
        "other.dapr-test.svc.clusterset.local",
        "nodeapp.other.svc.clusterset.local",
        "other.svc.clusterset.local",
        "pod-1.cluster-1.nodeapp.dapr-test.svc.clusterset.local",
        "nodeapp-clusterset.dapr-test.svc.clusterset.local",
        "nodeapp.dapr-test.clusterset.local",
        "_http._tcp.svc.clusterset.local",
        f"{NAME}.dapr-test.svc.cluster.local",  # the search path of a pod, before the name itself
        f"{NAME}.svc.cluster.local",
        f"{NAME}.cluster.local",
    ],
)
def test_what_is_not_there_is_said_not_to_be_and_asked_of_nobody_else(served: CoreDns, name: str) -> None:
    found = served.ask(name)
    assert found.rcode() == dns.rcode.NXDOMAIN
    assert [str(authority.name) for authority in found.authority] == [".".join([*name.split(".")[-2:], ""])]
    assert name not in served.upstream.asked


def test_other_names_go_where_they_always_went(served: CoreDns) -> None:
    for name in ("example.org", "clusterset.local.example.org", "notclusterset.local"):
        assert addresses(served.ask(name)) == {f"{name}.": ELSEWHERE}
        assert name in served.upstream.asked


def test_ports_are_found_by_name_and_lead_to_the_cluster_sets_name(served: CoreDns) -> None:
    found = served.ask(f"_http._tcp.{NAME}", "SRV")
    ((answer,),) = (rrset for rrset in found.answer)
    assert (answer.port, str(answer.target)) == (3000, f"{NAME}.")
    assert [str(extra.name) for extra in found.additional] == [f"{NAME}."], "with its address"


def test_an_address_leads_back_to_the_service_it_is_of(served: CoreDns) -> None:
    address = addresses(served.ask(NAME))[f"{NAME}."]
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    ((answer,),) = (rrset for rrset in served.ask(reverse, "PTR").answer)
    assert str(answer.target) == "nodeapp-clusterset.dapr-test.svc.cluster.local."


def test_an_import_that_comes_and_goes_is_followed_at_once(served: CoreDns) -> None:
    name = "late.dapr-test.svc.clusterset.local"
    assert served.ask(name).rcode() == dns.rcode.NXDOMAIN
    served.service("late-clusterset")
    assert eventually("it is there", lambda: bool(addresses(served.ask(name)))) < 2
    served.api.call("DELETE", f"{SERVICES}/late-clusterset")
    assert eventually("it is gone", lambda: served.ask(name).rcode() == dns.rcode.NXDOMAIN) < 2


def test_a_stub_zone_of_another_dns_server_needs_these_lines_alone(served: CoreDns) -> None:
    (port,) = free_ports(1)
    zone = f"    kubernetes cluster.local {{\n        kubeconfig {served.api.kubeconfig}\n    }}\n"
    rules = RULES.read_text()
    block = f"clusterset.local:{port} {{\n    bind 127.0.0.1\n{zone}{rules}}}\n"
    served.custom({KEY: rules, "stub.server": block})

    def asked() -> bool:
        with suppress(OSError, dns.exception.Timeout):  # nobody listens there yet
            return addresses(served.ask(NAME, port=port)) == addresses(served.ask(NAME))
        return False

    eventually("the second server block is in force", asked)
    assert served.ask("other.dapr-test.svc.clusterset.local", port=port).rcode() == dns.rcode.NXDOMAIN


def test_rules_that_somebody_broke_leave_the_last_good_ones(served: CoreDns) -> None:
    served.custom({KEY: RULES.read_text(), "broken.override": "no-such-plugin\n"})
    time.sleep(5)  # twice the time CoreDNS takes to look: that nothing happens cannot be watched
    assert addresses(served.ask(NAME)).keys() == {f"{NAME}."}
    served.custom({KEY: RULES.read_text()})


@pytest.fixture
def reread(api: ApiServer, tmp_path: Path) -> Callable[[str], None]:
    """Runs the program's command, as the engine does."""
    (tmp_path / "kubectl").symlink_to(kube_binary())

    def run(rules: str) -> None:
        subprocess.run(
            reread_command(rules).split(), input=api.kubeconfig.read_text(), text=True,
            check=True, timeout=60, cwd=ROOT, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        )  # fmt: skip

    return run


def test_k3ss_coredns_is_rolled_once_for_each_revision_and_is_never_without_a_pod(
    api: ApiServer, reread: Callable[[str], None]
) -> None:
    deployments = "/apis/apps/v1/namespaces/kube-system/deployments"
    labels = {"k8s-app": "kube-dns"}
    containers = [{"name": "coredns", "image": "coredns"}]
    spec = {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    api.call("POST", deployments, {"metadata": {"name": "coredns"}, "spec": spec})
    # There is no controller here: the rollout is told to be over already.
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    over = {"status": {"observedGeneration": 99, **counts}}
    api.call("PATCH", f"{deployments}/coredns/status", over, content="merge")
    generations = []
    for rules in ("a", "a", "b"):
        reread(rules)
        found = api.call("GET", f"{deployments}/coredns")
        assert found["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        generations.append(found["metadata"]["generation"])
    assert generations == [2, 2, 3]


def test_our_nodes_coredns_needs_nothing(api: ApiServer, reread: Callable[[str], None]) -> None:
    node = render.Node(name="n", address="172.28.0.3", options=render.ServerOptions(), pause_image="pause:1")
    path = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
    api.call("POST", path, json.loads(render.dns_endpoints(node)))
    api.call("DELETE", "/apis/apps/v1/namespaces/kube-system/deployments/coredns")
    reread("c")
