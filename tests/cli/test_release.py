"""What scripts/release makes, and what it refuses. The image is made by hand: it needs Docker."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from cli import oci_archive, product, release
from cli.arguments import parser
from cli.paths import ROOT
from gateway import __version__

SECTION = "## {} - 2026-01-31\n\n### Added\n\n- Something.\n\n## Unreleased\n"


@pytest.fixture(scope="module")
def tools() -> Path:
    """The environment that scripts/release makes from its lock file."""
    loader = SourceFileLoader("stack", str(ROOT / "stack"))
    spec = spec_from_loader("stack", loader)
    assert spec is not None
    stack = module_from_spec(spec)
    loader.exec_module(stack)
    folder: Path = stack.virtual_environment(ROOT / "requirements-release.lock")
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with this one's files as its only commit, and a section for its version."""
    folder = tmp_path / "clone"
    ask = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        source, target = ROOT / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target, follow_symlinks=False)
    changelog = folder / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased\n", SECTION.format(__version__)))
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")


def test_there_is_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert product.version(ROOT) == __version__
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"multicluster-dapr {__version__}\n"


def test_the_packages_are_made_from_the_commit_and_say_what_is_in_them(
    clone: Path, tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "build").mkdir()
    (clone / "build" / "stray.py").touch()  # .gitignore has it: no change, and in no commit
    output = tmp_path / "made"
    code = release.main([f"--tools={tools}", f"--output={output}", "--no-image"], clone)
    assert code == 0, capsys.readouterr().err
    names = {path.name for path in output.iterdir()}
    packages = {
        f"{name}-{__version__}{end}"
        for name in ("gateway", "multicluster_dapr")
        for end in ("-py3-none-any.whl", ".tar.gz")
    }
    bills = {f"gateway-{__version__}.cdx.json", f"multicluster-dapr-{__version__}.cdx.json"}
    assert names == {"SHA256SUMS"} | packages | bills
    with zipfile.ZipFile(output / f"multicluster_dapr-{__version__}-py3-none-any.whl") as wheel:
        assert "multicluster_dapr/crds/serviceexports.yaml" in wheel.namelist()
        assert not any("stray" in name for name in wheel.namelist())
    with zipfile.ZipFile(output / f"gateway-{__version__}-py3-none-any.whl") as wheel:
        assert "gateway/core/snapshot.py" in wheel.namelist()
    bill = json.loads((output / f"gateway-{__version__}.cdx.json").read_text())
    assert bill["metadata"]["component"]["version"] == __version__
    (uvloop,) = [part for part in bill["components"] if part["name"] == "uvloop"]
    assert f"uvloop=={uvloop['version']} " in (ROOT / "proxy" / "requirements.lock").read_text()
    for line in (output / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((output / name).read_bytes()).hexdigest() == digest
    assert str(output / "SHA256SUMS") in capsys.readouterr().out


def test_all_that_is_in_the_way_is_told_at_once(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made"
    output.mkdir()
    (output / "old.whl").touch()
    (clone / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- Something.\n")
    assert release.main(["--tools=none", f"--output={output}"], clone) == 1
    said = capsys.readouterr().err
    assert f"release: {__version__} cannot be released:" in said
    assert "the work tree has changes that are in no commit, CHANGELOG.md is the first of 1" in said
    assert f"CHANGELOG.md has no section {__version__}" in said
    assert f"{output} holds files already" in said
    assert [path.name for path in output.iterdir()] == ["old.whl"]


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("## 0.1.0\n\n- Something.\n", "without a day"),
        ("## 0.1.0 - 2026-01-31\n\n### Added\n\n## 0.0.9 - 2026-01-01\n\n- Old.\n", "says nothing under"),
        ("## [0.1.0] - 2026-01-31\n\n- Something.\n", ""),
    ],
)
def test_a_section_has_a_day_and_says_something(
    clone: Path, section: str, fault: str, tmp_path: Path
) -> None:
    (clone / "CHANGELOG.md").write_text(f"# Changelog\n\n{section}")
    commit(clone)
    found = release.problems(release.Release(root=clone, version="0.1.0", output=tmp_path / "made"))
    assert [fault in line for line in found] == ([True] if fault else [])


def test_a_version_is_three_numbers(clone: Path, tmp_path: Path) -> None:
    (found,) = release.problems(release.Release(root=clone, version="0.2.0.dev1", output=tmp_path / "made"))
    assert "0.2.0.dev1, which is not three numbers with dots" in found


def test_what_docker_saves_becomes_an_oci_archive(tmp_path: Path) -> None:
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
    saved = tmp_path / "saved.tar"
    with tarfile.open(saved, "w") as archive:
        for name, data in {"one/layer.tar": b"first layer", "c.json": config}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        again = tarfile.TarInfo("two/layer.tar")
        again.type, again.linkname = tarfile.SYMTYPE, "../one/layer.tar"
        archive.addfile(again)
        layers = ["one/layer.tar", "two/layer.tar"]
        manifest = json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": layers}]).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest))
    made = [tmp_path / "one.tar", tmp_path / "two.tar"]
    annotations = {"org.opencontainers.image.version": "1"}
    digests = [
        oci_archive.write(saved, path, name="example.org/a:1", annotations=annotations) for path in made
    ]
    assert made[0].read_bytes() == made[1].read_bytes()
    with tarfile.open(made[0]) as archive:
        files = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    blobs = {
        name.removeprefix("blobs/sha256/"): data for name, data in files.items() if name.startswith("blobs")
    }
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
    (entry_of_index,) = json.loads(files["index.json"])["manifests"]
    assert entry_of_index["digest"] == digests[0]
    assert entry_of_index["platform"] == {"architecture": "amd64", "os": "linux"}
    manifest_of_image = json.loads(blobs[digests[0].removeprefix("sha256:")])
    assert manifest_of_image["annotations"] == annotations
    assert blobs[manifest_of_image["config"]["digest"].removeprefix("sha256:")] == config
    assert [layer["size"] for layer in manifest_of_image["layers"]] == [11, 11]


def test_the_image_is_built_from_what_its_dockerfile_copies() -> None:
    copied = {
        name
        for line in (ROOT / "proxy" / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    }
    assert set(release._context(ROOT / "proxy")) == copied
