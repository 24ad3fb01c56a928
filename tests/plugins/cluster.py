"""Programs for, and looks at, one namespace of an API server without nodes."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.harness.api_server import kube_binary

HEAD = """
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

provider = k8s.Provider(
    "cluster",
    kubeconfig=pulumi.Output.secret(Path("{kubeconfig}").read_text()),
    cluster_identifier="one",
    {extra}
)
opts = pulumi.ResourceOptions(provider=provider)
"""
NAMESPACE = """
namespace = k8s.core.v1.Namespace("ns", metadata={{"name": "{namespace}"}}, opts=opts)
place = {{"namespace": namespace.metadata["name"]}}
"""


class Cluster:
    """Programs for, and looks at, one namespace of the API server."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def program(self, body: str) -> str:
        """A program that makes the namespace and what `body` says in it."""
        return (
            HEAD.format(kubeconfig=self.kubeconfig, extra="")
            + NAMESPACE.format(namespace=self.namespace)
            + body
        )

    def program_inside(self, extra: str = "") -> str:
        """The head of a program for a namespace that is there already; `extra` goes to the provider."""
        place = f'place = {{"namespace": "{self.namespace}"}}\n'
        return HEAD.format(kubeconfig=self.kubeconfig, extra=extra) + place

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        argv = [kube_binary(), "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", kind, name, "-n", self.namespace, "-o", "json")))
