"""One Helm release of a local chart."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
provider = k8s.Provider(
    "cluster", kubeconfig=Path(config.require("kubeconfig")).read_text(), cluster_identifier="c1"
)
opts = pulumi.ResourceOptions(provider=provider)
namespace = k8s.core.v1.Namespace("ns", metadata={"name": "helm-cases"}, opts=opts)
release = k8s.helm.v3.Release(
    "cases",
    name="cases",
    chart=str(Path(__file__).parent / "chart"),
    namespace=namespace.metadata["name"],
    values={"text": config.get("text") or "one", "password": pulumi.Output.secret("hunter2-helm")},
    timeout=60,
    opts=opts,
)
pulumi.export("status", release.status)
pulumi.export("names", release.resource_names)
