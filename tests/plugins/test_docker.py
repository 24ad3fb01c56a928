"""Build contexts, defaults and diffs of the docker replacement plugin; no Docker needed."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import ProviderError, Request, ResourceType
from airgap.plugins.base.values import UNKNOWN, Secret
from airgap.plugins.docker import container, image
from airgap.plugins.docker.context import _go_mode, context_digest, context_files
from airgap.plugins.docker.plugin import DockerProvider

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"


def resource_type(kind: str = CONTAINER) -> ResourceType:
    return DockerProvider().resource_type(kind)


def request(kind: str = CONTAINER, **fields: Any) -> Request:
    return Request(urn="urn:x", type=kind, name="made", log=Log(), **fields)


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


BUILD = {"context": "app", "dockerfile": "app/Dockerfile", "platform": "linux/amd64"}


async def test_an_image_notes_what_is_in_its_context(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context.parent)
    # The last of them the SDK says by itself.
    given = {"imageName": "a", "skipPush": True, "build": BUILD, "buildOnPreview": False}
    inputs, failures = await resource_type(image.IMAGE).check(request(image.IMAGE, inputs=given))
    assert not failures
    assert inputs["build"]["contextDigest"] == context_digest(context, context / "Dockerfile")
    given = {**given, "buildOnPreview": True, "build": {"context": "app", "target": "x"}}
    _, failures = await resource_type(image.IMAGE).check(request(image.IMAGE, inputs=given))
    refused = ["buildOnPreview", "build.target", "build.dockerfile", "build.platform"]
    assert [failure.property for failure in failures] == refused


async def test_a_missing_dockerfile_is_named(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context.parent)
    given = {"imageName": "a", "skipPush": True, "build": {**BUILD, "dockerfile": "Dockerfile"}}
    with pytest.raises(ProviderError, match="could not open dockerfile at relative path"):
        await resource_type(image.IMAGE).check(request(image.IMAGE, inputs=given))


async def test_an_image_to_be_pushed_must_name_its_registry(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(context.parent)
    given = {"imageName": "team/app:1", "build": BUILD}
    with pytest.raises(ProviderError, match="repository name must be canonical"):
        await resource_type(image.IMAGE).check(request(image.IMAGE, inputs=given))


async def test_an_image_never_needs_a_replacement() -> None:
    state = {"__inputs": Secret({"imageName": "a", "build": {"contextDigest": "1"}})}
    inputs = {"imageName": "b", "build": {"contextDigest": "2"}}
    found = await resource_type(image.IMAGE).diff(request(image.IMAGE, state=state, inputs=inputs))
    assert found.changes == {("imageName",): "update", ("build",): "update"}
    assert not found.replaces


async def test_defaults_are_noted_as_not_the_users() -> None:
    given = {"name": "n", "image": "x", "ports": [{"internal": 80}]}
    inputs, failures = await resource_type().check(request(inputs=given))
    assert not failures
    assert inputs["restart"] == "no"
    assert "restart" in inputs["__defaults"]
    assert "name" not in inputs["__defaults"]
    assert inputs["ports"] == [
        {"internal": 80, "ip": "0.0.0.0", "protocol": "tcp", "__defaults": ["ip", "protocol"]}
    ]


async def test_what_is_not_covered_is_refused_by_name() -> None:
    inputs = {"image": "x", "gpus": "all", "ports": [{"internal": 1, "range": 2}]}
    _, failures = await resource_type().check(request(inputs=inputs))
    assert [failure.property for failure in failures] == ["gpus", "name", "ports.range"]


async def test_the_order_of_a_set_is_no_change() -> None:
    labels = [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]
    old = {"name": "n", "image": "x", "labels": labels, "command": ["a", "b"], "__defaults": ["restart"]}
    same = {**old, "labels": labels[::-1], "__defaults": []}
    assert not (await resource_type().diff(request(old_inputs=old, inputs=same))).changes
    moved = {**old, "command": ["b", "a"]}
    assert (await resource_type().diff(request(old_inputs=old, inputs=moved))).replaces


async def test_some_changes_are_made_in_place_and_others_delete_first() -> None:
    old = {"name": "n", "image": "x", "restart": "no", "__defaults": []}
    found = await resource_type().diff(request(old_inputs=old, inputs={**old, "restart": "always"}))
    assert not found.replaces
    found = await resource_type().diff(request(old_inputs=old, inputs={**old, "image": UNKNOWN}))
    assert found.replaces == {("image",)}
    assert found.delete_before_replace
    network = {"name": "n", "__defaults": []}
    found = await resource_type(NETWORK).diff(request(old_inputs=network, inputs={**network, "driver": "x"}))
    assert found.replaces == {("driver",)}


def test_a_container_that_has_stopped_need_not_run_and_has_no_ports() -> None:
    inputs = {"mustRun": True, "ports": [{"internal": 80}], "image": "x"}
    assert container.as_it_runs(inputs, {"mustRun": False}) == {"mustRun": False, "image": "x"}
    assert container.as_it_runs(inputs, {"mustRun": True}) == inputs


def test_other_resources_are_refused_with_what_there_is() -> None:
    with pytest.raises(ProviderError, match="Image, Network, Volume, Container") as refused:
        resource_type("docker:index/secret:Secret")
    assert "docker:index/secret:Secret" in str(refused.value)


async def test_provider_arguments_outside_the_scope_are_refused() -> None:
    _, failures = await DockerProvider().check_config({"host": "unix:///x", "sshOpts": '["-v"]'})
    assert [failure.property for failure in failures] == ["sshOpts"]


def test_a_build_gets_arguments_by_name_and_their_values_by_environment() -> None:
    command = image.build_arguments("registry.test/app:1", {**BUILD, "args": {"A": "s3"}})
    assert command[command.index("--build-arg") + 1] == "A"
    assert "s3" not in " ".join(command)
    assert command[-1] == "app"


def test_special_modes_are_written_as_go_does(context: Path) -> None:
    target = context / "a.txt"
    target.chmod(0o4755)
    assert _go_mode(target.stat().st_mode) == "urwxr-xr-x"
    assert _go_mode(0o120777) == "Lrwxrwxrwx"
