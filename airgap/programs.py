"""The programs built from Go modules: where each comes from, and how it is compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airgap.versions import Versions

GO_FOLDER = Path(__file__).parent / "go"
KUBERNETES_PROVIDER = "pulumi-resource-kubernetes"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One executable. `package` is an import path, or `./cmd/x` or `.` for a main of our own."""

    name: str
    version: str
    module: str  # folder below airgap/go: what shares a module shares compiled packages
    package: str
    variables: Mapping[str, str] = field(default_factory=dict)  # import path.name -> value
    embeds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Files that our own main embeds and that lie in another module: name -> (module, path in it)."""

    @property
    def recipe(self) -> str:
        """Twelve hex digits that change when what is compiled, or how, changes."""
        digest = hashlib.sha256(repr((self.name, self.version, self.package, sorted(self.flags))).encode())
        if self.package.startswith("."):
            for source in sorted((GO_FOLDER / self.module / self.package).rglob("*.go")):
                digest.update(source.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def flags(self) -> tuple[str, ...]:
        """Linker flags that tell the program its version; without them it calls itself a development one."""
        return tuple(f"-X {name}={value}" for name, value in self.variables.items())


def programs(versions: Versions) -> dict[str, Program]:
    """All programs by name."""
    kubernetes = "k8s.io/component-base/version."
    major, minor, _ = versions.kubernetes.split(".", 2)
    all_of_them = [
        Program(
            name="pulumi",
            version=versions.pulumi,
            module="platform",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            variables={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{versions.pulumi}"},
        ),
        Program(
            name="k3d",
            version=versions.k3d,
            module="platform",
            package="github.com/k3d-io/k3d/v5",
            variables={"github.com/k3d-io/k3d/v5/version.Version": f"v{versions.k3d}"},
        ),
        Program(
            name="helm",
            version=versions.helm,
            module="platform",
            package="helm.sh/helm/v3/cmd/helm",
            variables={"helm.sh/helm/v3/internal/version.version": f"v{versions.helm}"},
        ),
        Program(
            name="kube",
            version=versions.kubernetes,
            module="platform",
            package="./cmd/kube",
            variables={
                f"{kubernetes}gitVersion": f"v{versions.kubernetes}",
                f"{kubernetes}gitMajor": major,
                f"{kubernetes}gitMinor": minor,
                f"{kubernetes}gitTreeState": "clean",
                f"{kubernetes}gitCommit": "0000000",
                f"{kubernetes}buildDate": "1970-01-01T00:00:00Z",
            },
        ),
        Program(name="coredns", version=versions.coredns, module="platform", package="./cmd/coredns"),
        Program(name="pause", version="1", module="platform", package="./cmd/pause"),
        Program(
            name="traefik",
            version=versions.traefik,
            module="traefik",
            package="github.com/traefik/traefik/v3/cmd/traefik",
            variables={"github.com/traefik/traefik/v3/pkg/version.Version": versions.traefik},
        ),
        Program(
            name="pulumi-language-yaml",
            version=versions.pulumi_yaml,
            module="yaml",
            package=".",
            variables={"github.com/pulumi/pulumi-yaml/pkg/version.Version": f"v{versions.pulumi_yaml}"},
        ),
        Program(
            name=KUBERNETES_PROVIDER,
            version=versions.kubernetes_provider,
            # Two versions of the engine's SDK do not fit in one module: the provider asks for an older one.
            module="kubernetes",
            package=".",
            variables={"main.version": versions.kubernetes_provider},
            embeds={
                "schema.json": (
                    "github.com/pulumi/pulumi-kubernetes/provider/v4",
                    "cmd/pulumi-resource-kubernetes/schema.json",
                )
            },
        ),
    ]
    all_of_them += [
        Program(
            name=name,
            version=versions.dapr,
            # Apart from Kubernetes: its etcd is 3.5, and all get the versions they were released with.
            module="dapr",
            package=f"github.com/dapr/dapr/cmd/{name}",
            variables={"github.com/dapr/dapr/pkg/buildinfo.version": versions.dapr},
        )
        for name in ("daprd", "operator", "injector", "sentry", "placement", "scheduler")
    ]
    return {program.name: program for program in all_of_them}
