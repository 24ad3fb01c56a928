"""An image as an OCI archive (OCI Image Layout 1.0), made from what `docker save` writes.

Docker before 25 saves in a format of its own, which other tools read less and less; its layers and
configuration are those of the OCI format already.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"
CHUNK = 1024 * 1024


def write(saved: Path, target: Path, *, name: str, annotations: Mapping[str, str]) -> str:
    """Write the one image in `saved` to `target`; returns the digest of its manifest.

    `name` is the reference that loading it gives the image, `annotations` are those of its manifest. The same
    image makes the same bytes.
    """
    with tarfile.open(saved) as source, tarfile.open(target, "w") as archive:
        (image,) = json.loads(_bytes(source, "manifest.json"))
        config = _bytes(source, image["Config"])
        system = json.loads(config)
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        layers = [_layer(source, path, archive) for path in image["Layers"]]
        manifest = _json({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": _described(CONFIG, config),
            "layers": layers, "annotations": dict(annotations),
        })  # fmt: skip
        for blob in (config, manifest):
            _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        entry = {
            **_described(MANIFEST, manifest),
            "platform": {key: system[key] for key in ("architecture", "os") if key in system},
            # The first is read by podman and skopeo, the second by containerd.
            "annotations": {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name},
        }
        _add(archive, "index.json", _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}))
        return str(entry["digest"])


def _layer(source: tarfile.TarFile, path: str, archive: tarfile.TarFile) -> dict[str, Any]:
    """Copy a layer, which may be larger than memory: read once for its digest, once for its bytes."""
    digest, size = hashlib.sha256(), 0
    reader = _file(source, path)
    while chunk := reader.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    named = f"blobs/sha256/{digest.hexdigest()}"
    if named not in archive.getnames():  # two layers may be the same
        archive.addfile(_entry(named, size), _file(source, path))
    return {"mediaType": LAYER, "digest": f"sha256:{digest.hexdigest()}", "size": size}


def _described(media_type: str, blob: bytes) -> dict[str, Any]:
    return {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}",
        "size": len(blob),
    }


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _bytes(source: tarfile.TarFile, path: str) -> bytes:
    return _file(source, path).read()


def _file(source: tarfile.TarFile, path: str) -> IO[bytes]:
    found = source.extractfile(path)  # follows links: Docker saves a layer that is there twice as one
    if found is None:
        raise ValueError(f"the saved image has no file {path}")
    return found


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_entry(name, len(data)), io.BytesIO(data))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry
