"""Build contexts, defaults and diffs of the docker stand-in; no Docker needed."""

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import pytest

from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import ProviderError, Request
from airgap.plugins.base.values import UNKNOWN, Secret
from airgap.plugins.docker import container, image
from airgap.plugins.docker.context import _go_mode, context_archive, context_digest, context_files
from airgap.plugins.docker.plugin import KINDS, DockerProvider

CONTAINER = KINDS["docker:index/container:Container"]
NETWORK = KINDS["docker:index/network:Network"]


def request(kind: str = CONTAINER.token, **fields: Any) -> Request:
    return Request(urn="urn:x", type=kind, name="made", log=Log(None), seed=b"seed", **fields)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("b")
    for path in folder.rglob("*.txt"):
        path.chmod(0o644)
    (folder / "Dockerfile").chmod(0o644)
    return folder


def test_the_digest_is_that_of_the_official_plugin(context: Path) -> None:
    def entry(name: str, mode: str, text: str) -> bytes:
        return name.encode() + mode.encode() + hashlib.sha256(text.encode()).digest() + b"\0"

    expected = entry("Dockerfile", "----------", "FROM scratch\n")
    expected += entry("Dockerfile", "-rw-r--r--", "FROM scratch\n")
    expected += entry("a.txt", "-rw-r--r--", "a") + entry("sub/b.txt", "-rw-r--r--", "b")
    assert context_digest(context, context / "Dockerfile") == hashlib.sha256(expected).hexdigest()


def test_content_mode_and_names_count_and_ignored_files_do_not(context: Path) -> None:
    dockerfile = context / "Dockerfile"
    digests = [context_digest(context, dockerfile)]
    (context / "a.txt").write_text("changed")
    digests.append(context_digest(context, dockerfile))
    (context / "a.txt").chmod(0o755)
    digests.append(context_digest(context, dockerfile))
    (context / "link").symlink_to("a.txt")
    digests.append(context_digest(context, dockerfile))
    assert len(set(digests)) == len(digests)
    (context / ".dockerignore").write_text("# comment\n__pycache__\n.dockerignore\n")
    before = context_digest(context, dockerfile)
    (context / "__pycache__").mkdir()
    (context / "__pycache__" / "x.pyc").write_text("x")
    assert context_digest(context, dockerfile) == before


def test_the_dockerfiles_own_ignore_file_wins(context: Path) -> None:
    (context / ".dockerignore").write_text("a.txt\n")
    (context / "Dockerfile.dockerignore").write_text("sub\n")
    assert "a.txt" in context_files(context, context / "Dockerfile")
    assert "sub/b.txt" not in context_files(context, context / "Dockerfile")


def test_the_archive_holds_the_context_and_a_dockerfile_from_outside(context: Path, tmp_path: Path) -> None:
    outside = tmp_path / "other.Dockerfile"
    outside.write_text("FROM scratch\n")
    data, name = context_archive(context, outside)
    with data, tarfile.open(fileobj=data) as archive:
        assert {"Dockerfile", "a.txt", "sub", "sub/b.txt", name} <= set(archive.getnames())
        assert all(member.uid == 0 for member in archive.getmembers())
    data, name = context_archive(context, context / "Dockerfile")
    data.close()
    assert name == "Dockerfile"


def test_an_images_defaults_are_filled_in(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context.parent)
    # The last of them the SDK says by itself.
    given = {"imageName": "a", "skipPush": True, "build": {"context": "app"}, "buildOnPreview": False}
    inputs, failures = image.check(request(image.IMAGE, inputs=given))
    assert not failures
    assert inputs["build"]["dockerfile"] == "app/Dockerfile"
    assert inputs["build"]["platform"].startswith("linux/")
    assert len(inputs["build"]["contextDigest"]) == 64
    assert inputs["buildOnPreview"] is False
    _, failures = image.check(request(image.IMAGE, inputs={**given, "buildOnPreview": True}))
    assert [failure.property for failure in failures] == ["buildOnPreview"]


def test_a_misplaced_dockerfile_gets_advice(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context.parent)
    build = {"context": "app", "dockerfile": "Dockerfile"}
    with pytest.raises(ProviderError, match=r"Try setting `dockerfile` to \"app/Dockerfile\""):
        image.check(request(image.IMAGE, inputs={"imageName": "a", "skipPush": True, "build": build}))


def test_an_image_to_be_pushed_must_name_its_registry(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context.parent)
    with pytest.raises(ProviderError, match="repository name must be canonical"):
        image.check(request(image.IMAGE, inputs={"imageName": "team/app:1", "build": {"context": "app"}}))


def test_an_image_never_needs_a_replacement() -> None:
    state = {"__inputs": Secret({"imageName": "a", "build": {"contextDigest": "1"}})}
    found = image.diff(
        request(image.IMAGE, state=state, inputs={"imageName": "b", "build": {"contextDigest": "2"}})
    )
    assert found.changes == {("imageName",): "update", ("build",): "update"}
    assert not found.replaces


def test_names_and_defaults_are_noted_as_not_the_users() -> None:
    inputs, failures = CONTAINER.check(request(inputs={"image": "x", "ports": [{"internal": 80}]}))
    assert not failures
    assert inputs["name"].startswith("made-")
    assert len(inputs["name"]) == len("made-") + 7
    assert "name" in inputs["__defaults"]
    assert inputs["ports"] == [
        {"internal": 80, "ip": "0.0.0.0", "protocol": "tcp", "__defaults": ["ip", "protocol"]}
    ]
    again, _ = CONTAINER.check(request(inputs={"image": "x"}, old_inputs=inputs))
    assert again["name"] == inputs["name"]


def test_what_is_not_covered_is_refused_by_name() -> None:
    inputs = {"image": "x", "gpus": "all", "ports": [{"internal": 1, "range": 2}]}
    _, failures = CONTAINER.check(request(inputs=inputs))
    assert [failure.property for failure in failures] == ["gpus", "ports.range"]
    _, failures = CONTAINER.check(request(inputs={}))
    assert "image" in failures[0].reason


def test_the_order_of_a_set_is_no_change() -> None:
    labels = [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]
    old = {"name": "n", "image": "x", "labels": labels, "command": ["a", "b"], "__defaults": ["name"]}
    same = {**old, "labels": labels[::-1], "__defaults": []}
    assert not CONTAINER.diff(request(old_inputs=old, inputs=same))
    moved = {**old, "command": ["b", "a"]}
    assert CONTAINER.diff(request(old_inputs=old, inputs=moved)).replaces


def test_some_changes_are_made_in_place_and_others_delete_first() -> None:
    old = {"name": "n", "image": "x", "restart": "no", "__defaults": []}
    found = CONTAINER.diff(request(old_inputs=old, inputs={**old, "restart": "always"}))
    assert not found.replaces
    found = CONTAINER.diff(request(old_inputs=old, inputs={**old, "image": UNKNOWN}))
    assert found.replaces == {("image",)}
    assert found.delete_before_replace
    network = {"name": "n", "__defaults": ["name"]}
    found = NETWORK.diff(request(NETWORK.token, old_inputs=network, inputs={**network, "driver": "x"}))
    assert not found.delete_before_replace, "an automatic name leaves room for the new one"


def test_a_container_that_has_stopped_need_not_run_and_has_no_ports() -> None:
    inputs = {"mustRun": True, "ports": [{"internal": 80}], "image": "x"}
    assert container.as_it_runs(inputs, {"mustRun": False}) == {"mustRun": False, "image": "x"}
    assert container.as_it_runs(inputs, {"mustRun": True}) == inputs


async def test_other_resources_are_refused_with_what_there_is() -> None:
    _, failures = await DockerProvider().check(request("docker:index/secret:Secret", inputs={}))
    assert "docker:index/secret:Secret" in failures[0].reason
    assert "Image, Network, Volume, Container" in failures[0].reason


async def test_provider_arguments_outside_the_scope_are_refused() -> None:
    _, failures = await DockerProvider().check_config({"host": "unix:///x", "sshOpts": '["-v"]'})
    assert [failure.property for failure in failures] == ["sshOpts"]


def test_buildkit_gets_arguments_by_name_and_their_values_by_environment() -> None:
    options = {
        "context": "app",
        "dockerfile": "app/Dockerfile",
        "platform": "linux/amd64",
        "args": {"A": "s3"},
    }
    command = image.buildkit_command("registry.test/app:1", options)
    assert command[command.index("--build-arg") + 1] == "A"
    assert "s3" not in " ".join(command)
    assert command[-1] == "app"


def test_special_modes_are_written_as_go_does(context: Path) -> None:
    target = context / "a.txt"
    target.chmod(0o4755)
    assert _go_mode(target.stat().st_mode) == "urwxr-xr-x"
    assert _go_mode(0o120777) == "Lrwxrwxrwx"
