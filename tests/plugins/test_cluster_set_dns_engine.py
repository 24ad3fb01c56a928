"""The names of the cluster set under the real engine: in a ConfigMap that others may have keys in as well."""

import json
from pathlib import Path

import pytest

from airgap.images.node.k3s_node import render
from components.cluster.cluster_set_dns import CONFIG_MAP, KEY, RULES
from plugins.cluster import Cluster
from plugins.engine import REPOSITORY, Engine

pytestmark = pytest.mark.e2e

COMPONENT = """
import pulumi_command as command
from components.cluster.cluster import Cluster
from components.cluster.cluster_set_dns import ClusterSetDns, ClusterSetDnsArgs

made = pulumi.Output.from_input("made-once")
cluster = Cluster(
    name="one", key="a/b/c/one", provider=provider, server="", gateway_host="", gateway_port=0, http="",
    context="", creation_id=made, kubeconfig=pulumi.Output.secret(Path("{kubeconfig}").read_text()),
)
local = pulumi.ResourceOptions(providers=[provider, command.Provider("command")])
ClusterSetDns("dns", ClusterSetDnsArgs(cluster=cluster), local)
"""


def test_one_key_comes_stays_and_goes_and_the_others_stay(
    engine: Engine, cluster: Cluster, tmp_path: Path
) -> None:
    node = render.Node(name="n", address="172.28.0.3", options=render.ServerOptions(), pause_image="pause:1")
    cluster.kubectl("apply", "-f", "-", stdin=render.dns_endpoints(node))
    (tmp_path / "dns").mkdir()
    (tmp_path / "dns" / "components").symlink_to(REPOSITORY / "components")
    inside = cluster.program_inside()
    stack = engine.stack(tmp_path / "dns", inside + COMPONENT.format(kubeconfig=cluster.kubeconfig))

    def keys() -> set[str]:
        where = ("-n", CONFIG_MAP["namespace"], "get", "configmap", CONFIG_MAP["name"], "-o", "json")
        data: dict[str, str] = json.loads(cluster.kubectl(*where)).get("data") or {}
        assert data.get(KEY, RULES.read_text()) == RULES.read_text()
        return set(data)

    stack.up()
    assert keys() == {KEY}, "made where there was none"
    users = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": CONFIG_MAP,
        "data": {"users.server": "# theirs"},
    }
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(users))
    stack.refresh()
    assert stack.changed() == {}
    lost = json.dumps([{"op": "remove", "path": f"/data/{KEY}"}])
    where = ("-n", CONFIG_MAP["namespace"], "patch", "configmap", CONFIG_MAP["name"])
    cluster.kubectl(*where, "--type=json", "-p", lost)
    stack.up("--refresh")
    assert keys() == {KEY, "users.server"}, "what doctor says to do"
    stack.program(inside)
    stack.up()
    assert keys() == {"users.server"}
