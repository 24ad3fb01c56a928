"""The key by which gateways know each other: one in all clusters, and nobody else's."""

from __future__ import annotations

import subprocess
from typing import Any

from components.mesh.peers_key import GENERATE

KEY = "stdout of peers-key-random"
CLUSTERS = ["control-plane", "cluster-1", "cluster-2", "cluster-3"]


def test_every_gateway_reads_the_one_key_from_a_file(run: Any) -> None:
    recorder = run("dev")
    assert len([each for each in recorder.registered if each.name == "peers-key-random"]) == 1
    for cluster in CLUSTERS:
        secret = recorder.find(f"{cluster}-gateway-peers-key").inputs
        assert secret["metadata"] == {"name": "gateway-peers-key", "namespace": "multicluster-system"}
        assert secret["stringData"] == {"keys": KEY}
        pod = recorder.find(f"{cluster}-gateway-deployment").inputs["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        mount = {"name": "peers-key", "mountPath": "/etc/gateway/peers", "readOnly": True}
        assert mount in container["volumeMounts"]
        assert "--peers-key-file=/etc/gateway/peers/keys" in container["args"]
        files = {"secretName": "gateway-peers-key", "defaultMode": 0o440}
        assert {"name": "peers-key", "secret": files} in pod["volumes"]
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_nobody_else_gets_it_and_it_is_a_secret_wherever_it_goes(run: Any) -> None:
    recorder = run("dev")
    holders = {each.name for each in recorder.registered if KEY in str(each.inputs)}
    assert holders == {f"{cluster}-gateway-peers-key" for cluster in CLUSTERS}
    assert not any(KEY in str(each.in_clear) for each in recorder.registered)
    drawn = recorder.find("peers-key-random").inputs
    assert (drawn["logging"], drawn["addPreviousOutputInEnv"]) == ("none", False)


def test_with_fsm_there_is_none(run: Any) -> None:
    assert not [each.name for each in run("article").registered if "peers-key" in each.name]


def test_it_is_drawn_from_the_systems_random_bytes() -> None:
    drawn = {subprocess.run(["sh", "-c", GENERATE], capture_output=True, check=True).stdout for _ in "12"}
    assert [len(bytes.fromhex(key.decode())) for key in drawn] == [32, 32]
