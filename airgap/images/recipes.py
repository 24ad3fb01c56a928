"""What goes into each image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from airgap.images.docker_build import Recipe, Source
from airgap.programs import Program

HERE = Path(__file__).parent
REPOSITORY = "multicluster-dapr"
DAPR_PROGRAMS = ("daprd", "operator", "injector", "sentry", "placement", "scheduler")
DAPR_REPOSITORY = "ghcr.io/dapr"


def _dockerfile(name: str) -> str:
    return (HERE / name / "Dockerfile").read_text()


def _from_base(name: str, base: str, *files: str, repository: str | None = None) -> Recipe:
    return Recipe(
        repository=repository or f"{REPOSITORY}/{name}",
        dockerfile=_dockerfile(name),
        sources={file: Source(path=HERE / name / file) for file in files},
        arguments={"BASE_IMAGE": base},
    )


def _binary(program: Program, paths: Mapping[str, Path]) -> Source:
    return Source(path=paths[program.name], identity=f"{program.name}-{program.version}-{program.recipe}")


def redis(base: str) -> Recipe:
    return _from_base("redis", base, "entrypoint")


def curl(base: str) -> Recipe:
    # Named with its registry, because inside a cluster the short name is completed to this.
    return _from_base("curl", base, repository=f"docker.io/{REPOSITORY}/curl")


def k3d_tools(base: str) -> Recipe:
    return _from_base("k3d-tools", base)


def python(base: str, wheels: Path) -> Recipe:
    names = sorted(path.name for path in wheels.iterdir())
    return Recipe(
        repository=f"{REPOSITORY}/python",
        dockerfile=_dockerfile("python"),
        sources={"wheels": Source(path=wheels, identity=repr(names))},
        arguments={"BASE_IMAGE": base},
    )


def compiler(python_image: str, wheels: Path) -> Recipe:
    names = sorted(path.name for path in wheels.iterdir())
    return Recipe(
        repository=f"{REPOSITORY}/compiler",
        dockerfile=_dockerfile("compiler"),
        sources={"wheels": Source(path=wheels, identity=repr(names))},
        arguments={"BASE_IMAGE": python_image},
    )


def pause(program: Program, paths: Mapping[str, Path]) -> Recipe:
    return Recipe(
        repository=f"docker.io/{REPOSITORY}/pause",
        dockerfile=_dockerfile("pause"),
        sources={"pause": _binary(program, paths)},
    )


def dapr(programs: Mapping[str, Program], paths: Mapping[str, Path]) -> list[Recipe]:
    """The images the chart asks for, under the names it asks for."""
    return [
        Recipe(
            repository=f"{DAPR_REPOSITORY}/{name}",
            tag=programs[name].version,
            dockerfile=_dockerfile("dapr").replace("PROGRAM", name),
            sources={
                "passwd": Source(path=HERE / "dapr" / "passwd"),
                "group": Source(path=HERE / "dapr" / "group"),
                "program": _binary(programs[name], paths),
            },
        )
        for name in DAPR_PROGRAMS
    ]


def node(
    base: str,
    programs: Mapping[str, Program],
    paths: Mapping[str, Path],
    *,
    pause_image: str,
    pause_archive: Path,
) -> Recipe:
    """The k3d node; the pause image travels inside, because no pod starts without it."""
    folder = HERE / "node"
    return Recipe(
        repository=f"{REPOSITORY}/node-without-images",
        dockerfile=_dockerfile("node"),
        sources={
            "kube": _binary(programs["kube"], paths),
            "coredns": _binary(programs["coredns"], paths),
            "pause.tar": Source(path=pause_archive, identity=pause_image),
            "manifests": Source(path=folder / "manifests"),
            "k3s_node": Source(path=folder / "k3s_node"),
            "k3s": Source(path=folder / "k3s"),
        },
        arguments={
            "BASE_IMAGE": base,
            "KUBERNETES_VERSION": programs["kube"].version,
            "PAUSE_IMAGE": pause_image,
        },
    )
