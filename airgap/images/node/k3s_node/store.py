"""Images that are unpacked once, when the node image is made, instead of in every node.

`build` runs in a privileged container of the node image: it imports archives and copies what containerd
made of them to `layout.STORE`, which is then committed as a layer of the image. `adopt` runs in a node: it
links those snapshots into the node's own containerd. Overlay cannot have its upper layer on overlay, but it
can have its lower ones there, which is all an image's snapshot ever is. One limit: no layer may delete a
file of a layer below, because the mark for that (a character device 0:0) cannot be copied onto overlay.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

from . import layout

CONTENT = "io.containerd.content.v1.content"
METADATA = "io.containerd.metadata.v1.bolt/meta.db"
SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"
ARCHIVES = "archives.json"
START_SECONDS = 30


def archive_identity(archive: Path) -> str:
    """Digest of an archive's manifest, which names every image, and its content by digest."""
    with tarfile.open(archive) as file:
        manifest = file.extractfile("manifest.json")
        if manifest is None:
            raise ValueError(f"{archive} is no image archive: its manifest.json is not a file")
        return hashlib.sha256(manifest.read()).hexdigest()


def layer_digests(content: Path) -> set[str]:
    """Hex digests of all layers that image manifests in a containerd content folder refer to."""
    digests: set[str] = set()
    for blob in (content / "blobs/sha256").iterdir():
        if blob.stat().st_size < 1024 * 1024:
            digests.update(_layers_of(blob.read_bytes()))
    return digests


def _layers_of(data: bytes) -> Iterable[str]:
    try:
        document = json.loads(data)
    except ValueError:
        return ()  # a small layer
    layers = document.get("layers", []) if isinstance(document, dict) else []
    return [layer["digest"].removeprefix("sha256:") for layer in layers]


def adopt(store: Path = layout.STORE, root: Path = layout.CONTAINERD_ROOT) -> bool:
    """Give a new node's containerd the images of the store; whether the node has them."""
    if not store.exists():
        return False
    if (root / METADATA).exists():
        return (root / ARCHIVES).exists()  # a restarted node
    for name in (f"{SNAPSHOTTER}/snapshots", CONTENT, str(Path(METADATA).parent)):
        (root / name).mkdir(parents=True, exist_ok=True)
    for snapshot in (store / SNAPSHOTTER / "snapshots").iterdir():
        (root / SNAPSHOTTER / "snapshots" / snapshot.name).symlink_to(snapshot)
    shutil.copytree(store / CONTENT, root / CONTENT, dirs_exist_ok=True)
    for name in (f"{SNAPSHOTTER}/metadata.db", ARCHIVES, METADATA):  # the last one says that all is there
        shutil.copy(store / name, root / name)
    return True


def holds(archive: Path, root: Path = layout.CONTAINERD_ROOT) -> bool:
    """Whether an archive's images came with the store."""
    listed = root / ARCHIVES
    return listed.exists() and archive_identity(archive) in json.loads(listed.read_text())


def build(archives: list[Path], store: Path = layout.STORE, root: Path = layout.CONTAINERD_ROOT) -> None:
    """Import the archives into a fresh containerd and copy the outcome to the store, without layer blobs."""
    configuration = Path("/tmp/containerd.toml")  # noqa: S108 - nothing else runs in this container
    configuration.write_text(f'version = 2\nroot = "{root}"\n')
    with subprocess.Popen(
        ["containerd", "--config", str(configuration), "--log-level", "warn"]
    ) as containerd:
        _wait_until_it_answers()
        for archive in archives:
            subprocess.run(["ctr", "images", "import", "--all-platforms", str(archive)], check=True)
        for digest in layer_digests(root / CONTENT):  # unpacked they are; nobody reads the blobs again
            subprocess.run(["ctr", "content", "rm", f"sha256:{digest}"], check=True)
        skipped = layer_digests(root / CONTENT)
        containerd.terminate()
    store.mkdir(parents=True)
    shutil.copytree(
        root / CONTENT, store / CONTENT, ignore=lambda _folder, names: skipped.intersection(names)
    )
    # cp keeps owners and modes, on which the programs in the images rely.
    subprocess.run(["cp", "-a", str(root / SNAPSHOTTER), str(store)], check=True)
    (store / METADATA).parent.mkdir()
    shutil.copy(root / METADATA, store / METADATA)
    (store / ARCHIVES).write_text(json.dumps([archive_identity(archive) for archive in archives]))


def _wait_until_it_answers() -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(["ctr", "version"], capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"containerd does not answer after {START_SECONDS} s")
        time.sleep(0.1)


if __name__ == "__main__":
    build([Path(word) for word in sys.argv[1:]])
