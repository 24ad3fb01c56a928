"""The image every other one starts from: Debian, bootstrapped from its package mirror."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from docker.errors import ImageNotFound

from airgap import debian
from airgap.images.docker_build import HEX_DIGITS, ImageBuilder
from airgap.leftovers import PREFIX
from airgap.report import Report, SupplyError
from airgap.run import run_logged

SUITE = "bookworm"  # its containerd is the one the node was made with, its Python is 3.11
REPOSITORY = "multicluster-dapr/debian"
MIRROR = "http://deb.debian.org/debian"
# Nobody reads manuals in these images; the setting also holds for packages added later.
DPKG_CONFIGURATION = "".join(
    f"path-exclude={pattern}\n"
    for pattern in ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
)
EMPTIED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    *(f"usr/share/{name}" for name in ("doc", "man", "info", "locale")),
)
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""What Debian signs its releases with. Without it debootstrap would believe whoever serves the mirror."""
RECIPE_VERSION = 1  # raise to have everyone's base image made again


def reference() -> str:
    content = repr((RECIPE_VERSION, SUITE, DPKG_CONFIGURATION, EMPTIED))
    return f"{REPOSITORY}:{SUITE}-{hashlib.sha256(content.encode()).hexdigest()[:HEX_DIGITS]}"


def ensure_base(builder: ImageBuilder, cache: Path, report: Report) -> str:
    """The base image's reference, bootstrapping it if the daemon does not hold it."""
    try:
        builder.client.images.get(reference())
    except ImageNotFound:
        log, apt_log = cache / "logs" / "debootstrap.log", cache / "logs" / "apt.log"
        debootstrap = debian.require(
            "debootstrap", ["debootstrap", "debian-archive-keyring"], apt_log, report
        )
        require_keyring(apt_log, report)
        with report.step("Bootstrapping the Debian base image") as step:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix=PREFIX) as folder:
                root = Path(folder) / "root"
                lines = sources(_apt_targets())
                run_logged(
                    bootstrap_argv(debootstrap, root, mirror(lines)),
                    log=log,
                    step=step,
                    hint="Check that Debian's package mirror can be reached, and run again.",
                    progress=lambda line: line.removeprefix("I: ") if line.startswith("I: ") else None,
                )
                step.update("importing")
                _import(builder, root, lines, Path(folder) / "root.tar")
    return reference()


def require_keyring(log: Path, report: Report) -> None:
    """Debian's keys, installed when they are missing. SupplyError when they cannot be had."""
    if not KEYRING.exists() and debian.can_install():
        debian.install(["debian-archive-keyring"], log, report)
    if not KEYRING.exists():
        raise SupplyError(
            f"{KEYRING} is missing, and without it what a Debian mirror serves cannot be checked: "
            "install the package debian-archive-keyring and run again."
        )


def bootstrap_argv(debootstrap: str, root: Path, mirror: str) -> list[str]:
    """Make SUITE in a folder. A release that Debian did not sign is refused, however it is served."""
    checked = ["--force-check-gpg", f"--keyring={KEYRING}"]
    return [debootstrap, "--variant=minbase", *checked, SUITE, str(root), mirror]


def sources(targets: str) -> tuple[str, ...]:
    """Lines of sources.list for SUITE, from what this machine's apt uses, else Debian's own mirror.

    `targets` is the output of `apt-get indextargets` in the format of `_apt_targets`.
    """
    fields = [line.split("|") for line in targets.splitlines() if line.count("|") == 3]
    own = dict.fromkeys(
        f"deb {uri} {codename} main"
        for uri, codename, component, origin in fields
        if origin == "Debian" and component == "main" and codename.split("-")[0] == SUITE
    )
    if any(line.endswith(f" {SUITE} main") for line in own):
        return tuple(own)
    return (
        f"deb {MIRROR} {SUITE} main",
        f"deb {MIRROR} {SUITE}-updates main",
        f"deb {MIRROR}-security {SUITE}-security main",
    )


def mirror(lines: Sequence[str]) -> str:
    """The mirror that serves SUITE itself, from lines of sources.list."""
    return next(line.split()[1].rstrip("/") for line in lines if line.endswith(f" {SUITE} main"))


def _apt_targets() -> str:
    form = "$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)"
    argv = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def _import(builder: ImageBuilder, root: Path, lines: Sequence[str], archive: Path) -> None:
    (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    (root / "etc/dpkg/dpkg.cfg.d/without-documentation").write_text(DPKG_CONFIGURATION)
    excludes = [f"--exclude=./{folder}/*" for folder in EMPTIED]
    # tar runs as root and keeps owners; Python's tarfile would be slower by seconds.
    argv = ["tar", "--numeric-owner", "-C", str(root), *excludes, "-cf", str(archive), "."]
    subprocess.run(argv, check=True, capture_output=True)
    repository, tag = reference().rsplit(":", 1)
    builder.client.api.import_image_from_file(str(archive), repository=repository, tag=tag)
    builder.client.images.get(reference())  # the import call reports its failure only in its answer's text
