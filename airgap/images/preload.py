"""The node image with images unpacked inside, so that no cluster has to unpack them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from docker.errors import ImageNotFound
from docker.types import Mount

from airgap.images.docker_build import LABEL, ImageBuilder, content_hex
from airgap.report import Report, SupplyError

SECONDS = 300
RECIPE_VERSION = 2  # raise to have everyone's image made again


def ensure_preloaded(
    builder: ImageBuilder, node: str, archives: Sequence[Path], repository: str, report: Report
) -> str:
    """Reference of an image like `node` that holds the archives' images; made once per set of them."""
    content = content_hex((RECIPE_VERSION, node, [archive.name for archive in archives]))
    reference = f"{repository}:{content}"
    try:
        builder.client.images.get(reference)
    except ImageNotFound:
        with report.step(f"Unpacking images into {reference}"):
            _preload(builder, node, archives, reference)
    return reference


def _preload(builder: ImageBuilder, node: str, archives: Sequence[Path], reference: str) -> None:
    # Mounts and not volumes: a volume would become part of the committed image.
    mounts = [Mount(f"/preload/{path.name}", str(path), type="bind", read_only=True) for path in archives]
    container = builder.client.containers.create(
        node,
        entrypoint=["/usr/bin/python3", "-m", "k3s_node.store"],
        command=[mount["Target"] for mount in mounts],
        environment={"PYTHONPATH": "/usr/lib/k3s-node"},
        mounts=mounts,
        privileged=True,
        network_mode="none",
    )
    repository, content = reference.rsplit(":", 1)
    try:
        container.start()
        code = container.wait(timeout=SECONDS)["StatusCode"]
        if code != 0:
            said = container.logs(tail=15).decode(errors="replace")
            raise SupplyError(f"Images could not be unpacked into {node}, exit code {code}:\n{said}")
        changes = ['ENTRYPOINT ["/bin/k3s"]', 'CMD ["server"]', "ENV PYTHONPATH=", f"LABEL {LABEL}={content}"]
        container.commit(repository=repository, tag=content, changes=changes)
    finally:
        container.remove(v=True, force=True)
