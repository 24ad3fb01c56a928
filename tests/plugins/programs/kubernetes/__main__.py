"""One of each kind that the real program makes; config switches what a test wants to see change."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
text = config.get("text") or "one"
kubeconfig = pulumi.Output.secret(Path(config.require("kubeconfig")).read_text())
provider = k8s.Provider(
    "cluster",
    kubeconfig=kubeconfig,
    cluster_identifier="c1",
    delete_unreachable=config.get_bool("deleteUnreachable") or None,
)
opts = pulumi.ResourceOptions(provider=provider)

namespace = k8s.core.v1.Namespace("ns", metadata={"name": "cases"}, opts=opts)
place = {"namespace": namespace.metadata["name"]}
auto = k8s.core.v1.ConfigMap("auto", metadata=place, data={"text": text}, opts=opts)
k8s.core.v1.ConfigMap("fixed", metadata={"name": "fixed", **place}, data={"text": text}, opts=opts)
secret = k8s.core.v1.Secret("secret", metadata=place, string_data={"password": "hunter2-secret"}, opts=opts)
account = k8s.core.v1.ServiceAccount("account", metadata=place, opts=opts)
k8s.core.v1.Secret(
    "token",
    metadata={**place, "annotations": {"kubernetes.io/service-account.name": account.metadata["name"]}},
    type="kubernetes.io/service-account-token",
    opts=opts,
)
role = k8s.rbac.v1.ClusterRole(
    "role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}], opts=opts
)
k8s.rbac.v1.ClusterRoleBinding(
    "binding",
    role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role.metadata["name"]},
    subjects=[{"kind": "ServiceAccount", "name": account.metadata["name"], **place}],
    opts=opts,
)
labels = {"app": "web"}
deployment = k8s.apps.v1.Deployment(
    "web",
    metadata={**place, "labels": {"text": text}},
    spec={
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "containers": [{"name": "web", "image": f"web:{text}", "ports": [{"containerPort": 80}]}]
            },
        },
    },
    opts=opts,
)
k8s.core.v1.Service(
    "headless",
    metadata=place,
    spec={"clusterIP": "None", "selector": labels, "ports": [{"port": 80}]},
    opts=opts,
)
definition = k8s.apiextensions.v1.CustomResourceDefinition(
    "things",
    metadata={"name": "things.cases.test"},
    spec={
        "group": "cases.test",
        "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
    opts=opts,
)
k8s.apiextensions.CustomResource(
    "thing",
    api_version="cases.test/v1",
    kind="Thing",
    metadata={"name": "thing", **place},
    spec={"weight": 1, "share": 0.5, "text": text, "list": [1, 2]},
    opts=opts,
)
pulumi.export("auto", auto.metadata["name"])
pulumi.export("password", secret.data)
