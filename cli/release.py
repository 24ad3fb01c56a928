"""What scripts/release does: make everything that a version of the product consists of, and publish nothing.

All is made from the commit, never from the work tree, so that the same commit makes the same files.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from airgap.images.docker_build import ImageBuilder, Recipe, Source, connect
from airgap.report import Report, SupplyError
from cli import oci_archive, process, product
from cli.choices import MODES
from cli.errors import UserError
from cli.paths import ROOT, Paths
from cli.prepare import prepare
from cli.toolchain import Toolchain

DESCRIPTION = """\
Make a version of the product: two Python packages, the gateway's image, and lists of what is in them.

The version is the one in proxy/gateway/__init__.py. Nothing is published, tagged or pushed: files are put
into a folder, and what is done with them is yours to say.

  multicluster_dapr-VERSION*   the components, as wheel and source (pip install, pulumi package add)
  gateway-VERSION*             the gateway for hosts without Kubernetes, as wheel and source
  gateway-VERSION-linux-*.oci.tar
                               the gateway's image, compiled, for this machine's architecture
  *.cdx.json                   what each is made from, with hashes (CycloneDX 1.6): multicluster-dapr-VERSION
                               the program, gateway-VERSION the gateway and its image
  SHA256SUMS                   of all of them (sha256sum --check SHA256SUMS)

Before anything is made, all of this is checked and told at once:

  - the work tree is clean, for files are made from the commit
  - CHANGELOG.md has a section `## VERSION - YYYY-MM-DD` with something in it
  - the folder for the files is empty or not there"""

EPILOG = """\
Steps of a release: set __version__, rename the section `Unreleased` of CHANGELOG.md, commit, run this, then
`git tag` the commit and hand out the files. An image comes into Docker by `docker load` (25 or newer), into
containerd by `ctr image import`, into a registry by `skopeo copy oci-archive:FILE docker://...`.

exit codes: 0 made, or --check found nothing; 1 it cannot be released as it is, or something failed
examples:   scripts/release --check
            scripts/release --output /tmp/release
            scripts/release --no-image          # in seconds, without Docker"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="scripts/release",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--output", metavar="FOLDER", help="default: dist/VERSION in the repository")
    made.add_argument("--check", action="store_true", help="check only, make nothing")
    made.add_argument("--no-image", action="store_true", help="leave out the image, which needs Docker")
    made.add_argument(
        "--supply",
        choices=MODES,
        default="auto",
        help="where the image's base comes from, as in up",
    )
    made.add_argument("--tools", type=Path, required=True, help=argparse.SUPPRESS)
    return made


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version to be made: of which repository, and the folder that its files go to."""

    root: Path
    version: str
    output: Path


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    """Check, then make; 1 with one message for what cannot be."""
    arguments, progress = parser().parse_args(argv), Report()
    version = product.version(root)
    output = Path(arguments.output or root / "dist" / version).absolute()
    release = Release(root=root, version=version, output=output)
    if found := problems(release):
        lines = "\n".join(f"  - {line}" for line in found)
        progress.note(f"release: {version} cannot be released:\n{lines}")
        return 1
    if arguments.check:
        progress.note(f"{version} can be released.")
        return 0
    try:
        make(release, arguments, progress)
    except (UserError, SupplyError) as error:
        progress.note(f"release: {error}")
        return 1
    for path in sorted(output.iterdir()):
        print(path)
    return 0


def make(release: Release, arguments: argparse.Namespace, progress: Report) -> None:
    """Make every file of a release."""
    release.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        export(release.root, source)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _git(release.root, "log", "-1", "--format=%ct")}
        with progress.step("Packages"):
            packages(arguments.tools, source, release.output, environment)
        with progress.step("What they are made from"):
            bills(arguments.tools, source, release, environment)
        if not arguments.no_image:
            image(release, source, arguments.supply, progress)
    sums(release.output)


def problems(release: Release) -> list[str]:
    """Why this version cannot be released from what is there; nothing if it can."""
    root, version, output, found = release.root, release.version, release.output, []
    if changed := _git(root, "status", "--porcelain"):
        lines = changed.splitlines()
        found.append(
            f"the work tree has changes that are in no commit, {lines[0][2:].strip()} is the first of "
            f"{len(lines)}: commit or remove them"
        )
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        found.append(f"{product.FILE} says {version}, which is not three numbers with dots")
    elif fault := _changelog((root / "CHANGELOG.md").read_text(), version):
        found.append(fault)
    if output.exists() and any(output.iterdir()):
        found.append(f"{output} holds files already: remove them, or choose another --output")
    return found


def _changelog(text: str, version: str) -> str:
    """What is wrong with the version's section; empty if nothing is."""
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    titles = {section.split(maxsplit=1)[0].strip("[]"): section for section in sections}
    if version not in titles:
        return (
            f"CHANGELOG.md has no section {version}: write `## {version} - YYYY-MM-DD` over what is new in it"
        )
    title, _, body = titles[version].partition("\n")
    if not re.search(r" - \d{4}-\d{2}-\d{2}$", title):
        return f"CHANGELOG.md says `## {title}`, without a day: write `## {version} - YYYY-MM-DD`"
    return "" if re.search(r"^- ", body, re.MULTILINE) else f"CHANGELOG.md says nothing under `## {title}`"


def export(root: Path, target: Path) -> None:
    """Put the files of the commit into a folder."""
    archive = subprocess.run(
        ["git", "-C", str(root), "archive", "--format=tar", "HEAD"], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        # Our own commit: its links lead from folder to folder.
        files.extractall(target, filter="fully_trusted")  # noqa: S202


def packages(tools: Path, source: Path, output: Path, environment: Mapping[str, str]) -> None:
    """Wheel and source distribution of components and gateway; each wheel is made from its source alone."""
    for folder in (source, source / "proxy"):
        build = [str(tools / "bin" / "python"), "-m", "build", "--no-isolation", f"--outdir={output}"]
        process.output([*build, str(folder)], env=environment, cwd=folder, timeout=600)


def bills(tools: Path, source: Path, release: Release, environment: Mapping[str, str]) -> None:
    """A CycloneDX document for each lock file that a user installs from."""
    version, output = release.version, release.output
    for folder in (source, source / "proxy"):
        said = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        about = folder / "about.toml"
        # The tool asks pyproject.toml for the version, where ours says where to look for it.
        lines = [f"{key} = {json.dumps(said[key])}" for key in ("name", "description")]
        about.write_text("\n".join(["[project]", *lines, f"version = {json.dumps(version)}"]) + "\n")
        target = output / f"{said['name']}-{version}.cdx.json"
        make = [str(tools / "bin" / "cyclonedx-py"), "requirements", "--spec-version=1.6"]
        make += ["--output-reproducible", "--validate", f"--pyproject={about}", f"--output-file={target}"]
        process.output([*make, str(folder / "requirements.lock")], env=environment, timeout=600)


def image(release: Release, source: Path, supply: str, progress: Report) -> None:
    """The gateway's image as an OCI archive, built as the program builds it, with its version as label."""
    version, output, paths = release.version, release.output, Paths.here()
    prepared = prepare(paths, progress, supply=supply)
    base, compiler = _bases(prepared, source)
    revision = _git(release.root, "rev-parse", "HEAD")
    recipe = Recipe(
        repository="multicluster-dapr/gateway",
        tag=version,
        dockerfile=(source / "proxy" / "Dockerfile").read_text(),
        sources={name: Source(path=source / "proxy" / name) for name in _context(source / "proxy")},
        arguments={
            "BASE_IMAGE": base, "BUILD_IMAGE": compiler, "VERSION": version, "REVISION": revision,
        },
    )  # fmt: skip
    builder = ImageBuilder(
        connect(prepared.exports.get("DOCKER_HOST", "unix:///var/run/docker.sock")), paths.cache, progress
    )
    reference = builder.ensure(recipe)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    with progress.step("Saving the image") as step, tempfile.TemporaryDirectory(dir=output) as folder:
        saved = Path(folder) / "saved.tar"
        builder.save([reference], saved, step)
        oci_archive.write(
            saved,
            output / f"gateway-{version}-linux-{machine}.oci.tar",
            name=f"docker.io/{reference}",
            annotations={
                "org.opencontainers.image.version": version, "org.opencontainers.image.revision": revision,
            },
        )  # fmt: skip


def _bases(prepared: Toolchain, source: Path) -> tuple[str, str]:
    """The images that ours lies on and is compiled on."""
    if prepared.mode == "airgap":
        images = json.loads(prepared.paths.supply_map.read_text())["images"]
        return images["python"]["ref"], images["compiler"]["ref"]
    images = yaml.safe_load((source / "stacks" / "config" / "versions.yaml").read_text())["images"]
    return images["python"], images["compiler"]


def _context(folder: Path) -> list[str]:
    """What of a folder goes into its build: what .dockerignore takes back from ignoring everything."""
    lines = (folder / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def sums(output: Path) -> None:
    """Write the SHA-256 of every file."""
    lines = []
    for path in sorted(output.iterdir()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    (output / "SHA256SUMS").write_text("".join(lines))


def _git(root: Path, *arguments: str) -> str:
    return process.output(["git", "-C", str(root), *arguments], env=os.environ).rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
