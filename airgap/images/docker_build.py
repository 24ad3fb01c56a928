"""Building images with the daemon's own builder: tagged by their content, built once."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from airgap.leftovers import PREFIX
from airgap.report import Report, Step, SupplyError

HEX_DIGITS = 12
TAIL_LINES = 15
SHOWN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file or folder of a build context. `identity` stands for content that is too large to hash."""

    path: Path
    identity: str | None = None

    def digest(self) -> str:
        if self.identity is not None:
            return self.identity
        if self.path.is_file():
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        files = (path for path in sorted(self.path.rglob("*")) if path.is_file() and wanted(path))
        names = ((str(path.relative_to(self.path)), path.read_bytes()) for path in files)
        return content_hex([(name, hashlib.sha256(data).digest()) for name, data in names])


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An image: its repository, Dockerfile, build context and arguments."""

    repository: str
    dockerfile: str
    sources: Mapping[str, Source] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None  # a fixed tag where a chart dictates one; the label then tells the content

    @property
    def content(self) -> str:
        """Hex digits that change when anything that goes into the image changes."""
        inputs = sorted((name, source.digest()) for name, source in self.sources.items())
        return content_hex((self.dockerfile, inputs, sorted(self.arguments.items())))

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag or self.content}"


def content_hex(value: object) -> str:
    """Short digest of a value made of strings, bytes and numbers."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:HEX_DIGITS]


def wanted(path: Path) -> bool:
    """Whether a file belongs into a build context: not what Python leaves behind."""
    return path.suffix != ".pyc" and "__pycache__" not in path.parts


LABEL = "multicluster-dapr.content"


class ImageBuilder:
    """Builds recipes on one daemon."""

    def __init__(self, client: docker.DockerClient, cache: Path, report: Report) -> None:
        self.client = client
        self._cache = cache
        self._report = report

    def has(self, recipe: Recipe) -> bool:
        """Whether the daemon holds the image, with this very content."""
        try:
            image = self.client.images.get(recipe.reference)
        except ImageNotFound:
            return False
        return image.labels.get(LABEL) == recipe.content

    def ensure(self, recipe: Recipe) -> str:
        """The image's reference, building it if the daemon does not hold it."""
        if not self.has(recipe):
            with self._report.step(f"Building image {recipe.reference}") as step:
                self._build(recipe, step)
        return recipe.reference

    def ensure_archive(self, name: str, recipes: Sequence[Recipe]) -> Path:
        """The images saved as one file, CACHE/images/<name>-<hex>.tar.

        Older ones stay: clusters that are up have them mounted.
        """
        content = content_hex([recipe.content for recipe in recipes])
        folder = self._cache / "images"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{name}-{content}.tar"
        if not target.exists():
            with self._report.step(f"Saving images of {name}") as step:
                self.save([recipe.reference for recipe in recipes], target, step)
        return target

    def save(self, references: Sequence[str], target: Path, step: Step) -> None:
        """Write the images into one archive; the file appears only when it is whole."""
        api = self.client.api
        # The SDK's own call takes one image only; several in one archive share their layers.
        url = f"{api.base_url}/v{api.api_version}/images/get"
        written = shown = 0
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=PREFIX) as file:
            with api.get(url, params={"names": list(references)}, stream=True, timeout=600) as answer:
                answer.raise_for_status()
                for chunk in answer.iter_content(1024 * 1024):
                    file.write(chunk)
                    written += len(chunk)
                    if written - shown >= SHOWN_BYTES:
                        shown = written
                        step.update(f"{written // (1024 * 1024)} MiB")
            file.flush()
            Path(file.name).chmod(0o644)
            target.unlink(missing_ok=True)
            target.hardlink_to(file.name)

    def _build(self, recipe: Recipe, step: Step) -> None:
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._cache) as context:
            _write_context(recipe, context)
            context.seek(0)
            events = self.client.api.build(
                fileobj=context,
                custom_context=True,
                tag=recipe.reference,
                buildargs=dict(recipe.arguments),
                labels={LABEL: recipe.content},
                network_mode="host",  # the machine's own names and proxies, whatever the bridge can reach
                rm=True,
                forcerm=True,
                decode=True,
                timeout=1800,
            )
            for event in events:
                for line in str(event.get("stream", "")).splitlines():
                    if line.strip():
                        tail.append(line)
                        step.update(line.strip()[:100])
                if "error" in event:
                    raise SupplyError(_failure(recipe, str(event["error"]), tail))


def _failure(recipe: Recipe, error: str, tail: Sequence[str]) -> str:
    lines = "\n".join(f"    {line}" for line in tail)
    hint = (
        "The Docker daemon's disk is full: free some gigabytes"
        if "no space left" in error.lower()
        else "Check that Debian's package mirror can be reached"
    )
    return f"The image {recipe.reference} could not be built: {error}\n{lines}\n{hint}, and run again."


def _write_context(recipe: Recipe, file: Any) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        data = recipe.dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
        for name, source in recipe.sources.items():
            archive.add(source.path, arcname=name, filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Drop what differs between machines, so that Docker's layer cache serves."""
    if not wanted(Path(entry.name)):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def connect(docker_host: str) -> docker.DockerClient:
    """A client for the daemon; SupplyError when it does not answer."""
    try:
        client = docker.DockerClient(base_url=docker_host, timeout=120)
        client.ping()
    except DockerException as error:
        raise SupplyError(f"The Docker daemon at {docker_host} does not answer: {error}") from error
    return client
