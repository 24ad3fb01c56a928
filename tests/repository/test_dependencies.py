"""Every dependency is asked for with a reason, and the lock files say what the .in files ask."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    path
    for pattern in ("requirements*.in", "proxy/*.in", "apps/*/*.in", "tests/*/*.in")
    for path in sorted(ROOT.glob(pattern))
]
ASKED = [str(path.relative_to(ROOT).with_suffix("")) for path in FILES]
PINNED = re.compile(
    r"^(?P<name>[\w.-]+)(?:\[[\w,-]+\])?==(?P<version>\S+) \\\n(?P<body>(?:^[ ].*\n?)+)", re.MULTILINE
)


def lines(name: str) -> list[str]:
    """What a .in file asks for, without comments of its own line."""
    return [
        line for line in (ROOT / f"{name}.in").read_text().splitlines() if line.strip() and line[0] != "#"
    ]


def asked(name: str) -> dict[str, Requirement]:
    """Requirements of a .in file, those it includes among them."""
    found: dict[str, Requirement] = {}
    for line in lines(name):
        if line.startswith("-r "):
            found |= asked(line.split()[1].removesuffix(".in"))
        else:
            requirement = Requirement(line.partition("#")[0].strip())
            found[canonicalize_name(requirement.name)] = requirement
    return found


def pinned(name: str) -> dict[str, tuple[str, str]]:
    """Version and body (hashes, who asks) of every package in a lock file."""
    text = (ROOT / f"{name}.lock").read_text()
    return {canonicalize_name(m["name"]): (m["version"], m["body"]) for m in PINNED.finditer(text)}


@pytest.mark.parametrize("name", ASKED)
def test_every_dependency_has_its_reason(name: str) -> None:
    bare = [line for line in lines(name) if not re.search(r"# \S+|^-r ", line)]
    assert not bare, f"{name}.in: say after each of these why it is there"


@pytest.mark.parametrize("name", ASKED)
def test_the_lock_holds_what_is_asked_for_and_nothing_nobody_asks_for(name: str) -> None:
    locked, wanted = pinned(name), asked(name)
    stale = {package: str(asks) for package, asks in wanted.items() if package not in locked
             or not asks.specifier.contains(locked[package][0], prereleases=True)}  # fmt: skip
    assert not stale, f"{name}.lock does not fulfil these; run scripts/lock"
    direct = {
        package for package, (_, body) in locked.items() if re.search(r"-r \S+\.in$", body, re.MULTILINE)
    }
    assert direct == set(wanted), f"{name}.lock was made from another {name}.in; run scripts/lock"


@pytest.mark.parametrize("name", ASKED)
def test_every_locked_package_has_hashes(name: str) -> None:
    text = (ROOT / f"{name}.lock").read_text()
    packages = pinned(name)
    assert len(packages) == len(re.findall(r"^[\w.-]+(?:\[[\w,-]+\])?==", text, re.MULTILINE))
    assert all("--hash=sha256:" in body for _, body in packages.values())


@pytest.mark.parametrize("name", [name for name in ASKED if name != "requirements-dev"])
def test_tests_run_on_the_versions_that_users_run_on(name: str) -> None:
    everything, here = pinned("requirements-dev"), pinned(name)
    other = {
        package: (here[package][0], everything[package][0])
        for package in here.keys() & everything.keys()
        if here[package][0] != everything[package][0]
    }
    assert not other, f"{name}.lock and requirements-dev.lock differ; run scripts/lock"
