"""The node image with images unpacked inside, so that no cluster has to unpack them again."""

from __future__ import annotations

from pathlib import Path

from docker.errors import ImageNotFound
from docker.types import Mount

from airgap.images.docker_build import LABEL, ImageBuilder, content_hex
from airgap.report import Report, SupplyError

SECONDS = 300
RECIPE_VERSION = 2


def ensure_preloaded(builder: ImageBuilder, node: str, archive: Path, repository: str, report: Report) -> str:
    """Reference of an image like `node` that holds the archive's images; made once per pair of the two."""
    content = content_hex((RECIPE_VERSION, node, archive.name))
    reference = f"{repository}:{content}"
    try:
        builder.client.images.get(reference)
    except ImageNotFound:
        with report.step(f"Unpacking {archive.name} into {reference}"):
            _preload(builder, node, archive, repository, content)
    return reference


def _preload(builder: ImageBuilder, node: str, archive: Path, repository: str, content: str) -> None:
    inside = f"/preload/{archive.name}"
    container = builder.client.containers.create(
        node,
        entrypoint=["/usr/bin/python3", "-m", "k3s_node.store"],
        command=[inside],
        environment={"PYTHONPATH": "/usr/lib/k3s-node"},
        # A mount and not a volume: a volume would become part of the committed image.
        mounts=[Mount(inside, str(archive), type="bind", read_only=True)],
        privileged=True,
        network_mode="none",
    )
    try:
        container.start()
        code = container.wait(timeout=SECONDS)["StatusCode"]
        if code != 0:
            said = container.logs(tail=15).decode(errors="replace")
            raise SupplyError(
                f"Images of {archive} could not be unpacked into {node}, exit code {code}:\n{said}"
            )
        changes = ['ENTRYPOINT ["/bin/k3s"]', 'CMD ["server"]', "ENV PYTHONPATH=", f"LABEL {LABEL}={content}"]
        container.commit(repository=repository, tag=content, changes=changes)
    finally:
        container.remove(v=True, force=True)
