"""An image's tag follows from what goes into it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from airgap.images import chart, debian_base, wheels
from airgap.images.docker_build import Recipe, Source, _write_context
from airgap.images.recipes import dapr, node
from airgap.programs import programs
from airgap.report import Report, SupplyError
from airgap.versions import load_versions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    (files / "__pycache__").mkdir(parents=True)
    (files / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    (files / "a.py").write_text("a = 1\n")
    return files


def _recipe(folder: Path, dockerfile: str = "FROM scratch\n", **arguments: str) -> Recipe:
    return Recipe(
        repository="r", dockerfile=dockerfile, sources={"files": Source(path=folder)}, arguments=arguments
    )


def test_the_same_inputs_give_the_same_tag(folder: Path) -> None:
    assert _recipe(folder).reference == _recipe(folder).reference


def test_any_change_of_the_inputs_changes_the_tag(folder: Path) -> None:
    before = _recipe(folder).content
    assert _recipe(folder, "FROM scratch\nUSER 1\n").content != before
    assert _recipe(folder, A="b").content != before
    (folder / "a.py").write_text("a = 2\n")
    assert _recipe(folder).content != before


def test_what_python_leaves_behind_does_not_matter(folder: Path) -> None:
    before = _recipe(folder).content
    (folder / "__pycache__" / "b.cpython-311.pyc").write_bytes(b"y")
    assert _recipe(folder).content == before
    context = io.BytesIO()
    _write_context(_recipe(folder), context)
    context.seek(0)
    with tarfile.open(fileobj=context) as archive:
        assert archive.getnames() == ["Dockerfile", "files", "files/a.py"]


def test_an_identity_stands_for_content_that_is_not_read(tmp_path: Path) -> None:
    source = Source(path=tmp_path / "not-there", identity="kube-1")
    assert source.digest() == "kube-1"


def test_dapr_images_carry_the_names_the_chart_asks_for() -> None:
    known = programs(load_versions())
    recipes = dapr(known, {name: Path("/x") / name for name in known})
    assert {recipe.reference for recipe in recipes} >= {
        f"ghcr.io/dapr/daprd:{known['daprd'].version}",
        f"ghcr.io/dapr/scheduler:{known['scheduler'].version}",
    }
    assert all(
        "65532:65532" in recipe.dockerfile and "PROGRAM" not in recipe.dockerfile for recipe in recipes
    )


def test_the_node_image_follows_its_pause_image() -> None:
    known = programs(load_versions())
    paths = {name: Path("/x") / name for name in known}
    tags = {
        node("base:1", known, paths, pause_image=pause, pause_archive=Path("/x/pause.tar")).content
        for pause in ("pause:1", "pause:2")
    }
    assert len(tags) == 2


def test_the_machines_own_debian_mirror_is_used() -> None:
    targets = (
        "http://mirror.example/debian/|bookworm|main|Debian\n"
        "http://mirror.example/debian/|bookworm|contrib|Debian\n"
        "http://mirror.example/security/|bookworm-security|main|Debian\n"
        "https://other.example/apt|nodistro|main|Other\n"
    )
    lines = debian_base.sources(targets)
    assert lines == (
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/security/ bookworm-security main",
    )
    assert debian_base.mirror(lines) == "http://mirror.example/debian"


@pytest.mark.parametrize("targets", ["", "http://m/debian|trixie|main|Debian\n", "garbage\n"])
def test_elsewhere_debians_own_mirror_is_used(targets: str) -> None:
    assert debian_base.mirror(debian_base.sources(targets)) == debian_base.MIRROR


def test_a_release_that_debian_did_not_sign_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = debian_base.bootstrap_argv("debootstrap", tmp_path, "http://mirror.example/debian")
    assert argv[2:4] == ["--force-check-gpg", "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg"]
    installed: list[str] = []
    keyring = tmp_path / "keyring.gpg"
    monkeypatch.setattr(debian_base, "KEYRING", keyring)
    monkeypatch.setattr(debian_base.debian, "can_install", lambda: False)
    with pytest.raises(SupplyError, match="debian-archive-keyring"):
        debian_base.require_keyring(tmp_path / "log", Report())
    monkeypatch.setattr(debian_base.debian, "can_install", lambda: True)
    monkeypatch.setattr(
        debian_base.debian, "install", lambda packages, *_: installed.extend(packages) or keyring.touch()
    )
    debian_base.require_keyring(tmp_path / "log", Report())
    debian_base.require_keyring(tmp_path / "log", Report())
    assert installed == ["debian-archive-keyring"]


def test_wheels_are_checked_by_hash_and_made_for_the_images_python(tmp_path: Path) -> None:
    argv = wheels.download_argv(tmp_path / "x.lock", tmp_path, "x86_64")
    assert {"--require-hashes", ":all:", "cp311", "manylinux2014_x86_64"} <= set(argv)
    assert argv[argv.index("--python-version") + 1] == "3.11"


def test_the_charts_placeholder_version_is_replaced_everywhere() -> None:
    text = "version: '0.0.0'\ndependencies:\n  - name: dapr_rbac\n    version: '0.0.0'\n"
    assert chart.with_version(text, "1.16.0") == text.replace("0.0.0", "1.16.0")
