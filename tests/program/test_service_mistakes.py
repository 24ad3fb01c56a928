"""Every mistake about apps, exports and policies, by its message."""

from __future__ import annotations

import pytest
from program.mistakes import Change, Config, Mistake, policies, policy, problems

MISTAKES: list[Mistake] = [
    (
        "the flomesh mesh and a target without a weight",
        lambda config: config.update(mesh="flomesh", policies=[policy(targets=[{"cluster": "cluster-1"}])]),
        ("policies[0].targets[0].weight: missing, and the flomesh mesh has no default. Write 100."),
    ),
    (
        "an app twice on a cluster",
        lambda config: config["apps"].append({**config["apps"][0], "clusters": ["cluster-3"]}),
        "apps[2].clusters = 'cluster-3': apps[0].clusters already puts nodeapp there. Remove one of them.",
    ),
    (
        "an export twice on a cluster",
        lambda config: config["exports"].append({**config["exports"][0], "clusters": ["cluster-3"]}),
        "exports[1].clusters = 'cluster-3': exports[0] exports it already. Remove one of them.",
    ),
    (
        "an export on no cluster",
        lambda config: config["exports"][0].update(clusters=["cluster-9"]),
        (
            "exports[0].clusters = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "an export for a cluster that is none",
        lambda config: config["exports"][0].update(targetClusters=["a/b/c/d"]),
        (
            "exports[0].targetClusters = 'a/b/c/d': no cluster has this key. "
            "Known: default/default/default/control-plane, default/default/default/cluster-1, "
            "default/default/default/cluster-2, default/default/default/cluster-3."
        ),
    ),
    (
        "a target by a name that is none",
        policies(policy(targets=[{"cluster": "cluster-9"}])),
        (
            "policies[0].targets[0].cluster = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "app on no cluster",
        lambda config: config["apps"][1].update(clusters=["cluster-9"]),
        (
            "apps[1].clusters = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "app on the control plane",
        lambda config: config["apps"][1].update(clusters=["control-plane"]),
        "apps[1].clusters = 'control-plane': is the control plane, which runs no apps. Use a member.",
    ),
    (
        "export that no app provides",
        lambda config: config["exports"][0].update(clusters=["cluster-2"]),
        (
            "exports[0].service = 'nodeapp': no app provides dapr-test/nodeapp on cluster-2. "
            "Add the app to `apps`, or take cluster-2 out of the export."
        ),
    ),
    (
        "export of a port the app has not",
        lambda config: config["exports"][0]["rules"][0].update(portNumber=8080),
        "exports[0].rules[0].portNumber = 8080: service nodeapp has port 3000. Write 3000.",
    ),
    (
        "policy on no cluster",
        policies(policy(cluster="cluster-9")),
        (
            "policies[0].cluster = 'cluster-9': no such cluster. "
            "Known: control-plane, cluster-1, cluster-2, cluster-3."
        ),
    ),
    (
        "policy for nothing",
        policies(policy(name="other")),
        (
            "policies[0].name = 'other': no export is for dapr-test/other. "
            "Add it to `exports`, or correct namespace and name."
        ),
    ),
    (
        "target that is no cluster",
        policies(policy(targets=[{"clusterKey": "a/b/c/d"}])),
        (
            "policies[0].targets[0].clusterKey = 'a/b/c/d': no cluster has this key. "
            "Known: default/default/default/control-plane, default/default/default/cluster-1, "
            "default/default/default/cluster-2, default/default/default/cluster-3."
        ),
    ),
    (
        "target without a cluster",
        policies(policy(targets=[{"weight": 1}])),
        "policies[0].targets[0]: needs either cluster or clusterKey. Give exactly one of them.",
    ),
    (
        "weight below 0",
        policies(policy(targets=[{"cluster": "cluster-1", "weight": -1}])),
        "policies[0].targets[0].weight = -1: less than 0. It is: 0 to 1000000; 0 drains; default 100.",
    ),
    (
        "weight above a million",
        policies(policy(targets=[{"cluster": "cluster-1", "weight": 1_000_001}])),
        (
            "policies[0].targets[0].weight = 1000001: more than 1000000. "
            "It is: 0 to 1000000; 0 drains; default 100."
        ),
    ),
    (
        "target twice",
        policies(policy(targets=[{"cluster": "cluster-1"}, {"cluster": "cluster-1"}])),
        "policies[0].targets = 'cluster-1': listed more than once. Keep one entry with the weight you want.",
    ),
    (
        "FailOver without targets",
        policies(policy(lbType="FailOver")),
        "policies[0].targets: FailOver needs a target. List the clusters to fail over to.",
    ),
    (
        "Locality with two targets",
        policies(policy(lbType="Locality", targets=[{"cluster": "cluster-1"}, {"cluster": "cluster-3"}])),
        (
            "policies[0].targets = 2: Locality takes at most one target. "
            "Keep one target, or use FailOver or ActiveActive."
        ),
    ),
    (
        "two policies for one service",
        policies(policy(), policy()),
        "policies[1]: policies[0] is for dapr-test/nodeapp on cluster-2 too. Merge the two into one.",
    ),
]


@pytest.mark.parametrize(
    ("change", "message"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES]
)
def test_a_mistake_is_named_with_its_way_out(dev: Config, change: Change, message: str) -> None:
    change(dev)
    assert message in problems(dev)
