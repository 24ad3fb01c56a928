"""The docker replacement plugin under the real engine and on a real Docker daemon."""

import contextlib
import ipaddress
import os
import random
import re
import subprocess
from pathlib import Path

import docker
import docker.errors
import pytest

from plugins.engine import Engine
from tests.harness.ports import free_ports

pytestmark = pytest.mark.e2e

PROGRAM = """
    import pulumi
    import pulumi_docker as docker

    network = docker.Network(
        "network",
        name="{name}",
        driver="bridge",
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet="{subnet}", gateway="{gateway}")],
        labels=[docker.NetworkLabelArgs(label="cases", value="yes")],
    )
    volume = docker.Volume("volume", name="{name}")
    image = docker.Image(
        "image",
        image_name="docker.io/cases/{name}:dev",
        build=docker.DockerBuildArgs(
            context="app",
            dockerfile="app/Dockerfile",
            platform="linux/amd64",
            args={{"GREETING": "{greeting}"}},
        ),
        skip_push=True,
    )
    server = docker.Container(
        "server",
        name="{name}",
        image=image.image_name,
        command=["sleep", "3600"],
        restart="{restart}",
        labels=[docker.ContainerLabelArgs(label=label, value="1") for label in {labels}],
        networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name)],
        ports=[docker.ContainerPortArgs(internal=80, external={port}, ip="127.0.0.1")],
        uploads=[
            docker.ContainerUploadArgs(file="/etc/new/case.conf", content=pulumi.Output.secret("hunter2"))
        ],
        volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")],
        opts=pulumi.ResourceOptions(additional_secret_outputs=["uploads"]),
    )
    pulumi.export("digest", image.repo_digest)
"""


@pytest.fixture
def name() -> str:
    """Of this run alone: others may be at work on the same daemon."""
    return f"cases-{os.getpid()}"


@pytest.fixture
def base(docker_client: docker.DockerClient) -> str:
    """An image with a shell that is on the daemon already; the closed network's base, as a rule."""
    for image in docker_client.images.list():
        for tag in image.tags:
            if "base" in tag or "python" in tag:
                return str(tag)
    pytest.skip("no base image on the daemon: run ./stack up once")


def free_subnet(docker_client: docker.DockerClient) -> ipaddress.IPv4Network:
    """A subnet of 10.213.0.0/16 that no network of the daemon has."""
    taken = [
        ipaddress.ip_network(pool["Subnet"])
        for network in docker_client.networks.list()
        for pool in network.attrs["IPAM"]["Config"] or []
    ]
    subnets = list(ipaddress.IPv4Network("10.213.0.0/16").subnets(new_prefix=24))
    random.shuffle(subnets)
    return next(one for one in subnets if not any(one.overlaps(other) for other in taken))


def test_an_image_and_a_container_come_change_and_go(
    engine: Engine, docker_client: docker.DockerClient, base: str, name: str, tmp_path: Path
) -> None:
    subnet = free_subnet(docker_client)
    places = {"name": name, "subnet": subnet, "gateway": subnet[1], "port": free_ports(1)[0]}
    one = {**places, "greeting": "hello", "restart": "no", "labels": ["a", "b"]}
    stack = engine.stack(tmp_path / "docker", PROGRAM.format(**one))
    (stack.folder / "app").mkdir()
    (stack.folder / "app" / "Dockerfile").write_text(
        f"FROM {base}\nARG GREETING\nENTRYPOINT []\nUSER 0\nENV GREETING=${{GREETING}}\n"
    )
    try:
        first = stack.up()
        assert "warning" not in first.output, first.output
        container = docker_client.containers.get(name)
        status, text = container.exec_run(["cat", "/etc/new/case.conf"])
        assert (status, text) == (0, b"hunter2")
        assert "hunter2" not in str(stack.resources())
        assert list(container.attrs["NetworkSettings"]["Networks"]) == [name], "the default bridge is left"
        stack.refresh()
        assert stack.changed() == {}

        two = {**one, "greeting": "again", "restart": "always", "labels": ["b", "a"]}
        stack.program(PROGRAM.format(**two))
        steps = stack.steps()
        assert steps["server"] == {"ops": ["update"], "diff": {"restart": "update"}}, "labels have no order"
        assert steps["image"]["ops"] == ["update"]
        digest = stack.outputs()["digest"]
        stack.up()
        container.reload()
        assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert stack.outputs()["digest"] != digest
        assert stack.outputs()["digest"] == docker_client.images.get(f"cases/{name}:dev").id

        container.remove(force=True)
        stack.refresh()
        assert stack.changed() == {"server": ["create"]}
    finally:
        stack.destroy()
        with contextlib.suppress(docker.errors.ImageNotFound):
            docker_client.images.remove(f"cases/{name}:dev", force=True)
    with pytest.raises(docker.errors.NotFound):
        docker_client.networks.get(name)


BUILDS = """
    import pulumi_docker as docker

    for name, builder in (("classic", "BUILDER_V1"), ("buildkit", "BUILDER_BUILD_KIT")):
        docker.Image(
            name,
            image_name=f"docker.io/cases/{name}-{tag}:dev",
            build=docker.DockerBuildArgs(
                context=".",
                dockerfile="Dockerfile",
                platform="linux/amd64",
                builder_version=docker.BuilderVersion[builder],
            ),
            skip_push=True,
        )
"""


def test_the_builder_is_the_one_asked_for_and_its_words_are_shown(
    engine: Engine, docker_client: docker.DockerClient, base: str, name: str, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "builder", BUILDS.replace("{tag}", name))
    (stack.folder / "Dockerfile").write_text(
        f"FROM {base}\nENTRYPOINT []\nUSER 0\nRUN --mount=type=cache,target=/kept true\n"
    )
    tools = docker_with_buildkit(tmp_path / "tools")
    path = engine.environment["PATH"]
    done = stack.up("--continue-on-error", check=False, PATH=f"{tools}{os.pathsep}{path}" if tools else path)
    try:
        assert "--mount option requires BuildKit" in done.output, done.output
        assert "Traceback" not in done.output
        if tools is None:
            assert "buildx component is missing" in done.output, done.output
        else:
            built = docker_client.images.get(f"cases/buildkit-{name}:dev")
            assert stack.state("buildkit")["outputs"]["repoDigest"] == built.id
    finally:
        with contextlib.suppress(docker.errors.ImageNotFound):
            docker_client.images.remove(f"cases/buildkit-{name}:dev", force=True)


def docker_with_buildkit(folder: Path) -> Path | None:
    """A folder with a docker CLI that can drive BuildKit, None when PATH holds none."""
    for place in os.environ["PATH"].split(os.pathsep):
        found = Path(place, "docker")
        if not found.exists():
            continue
        version = subprocess.run(
            [str(found), "--version"], capture_output=True, text=True, check=False
        ).stdout
        buildx = subprocess.run([str(found), "buildx", "version"], capture_output=True, check=False)
        if buildx.returncode == 0 or re.search(r"version (18|19|20)\.", version):
            folder.mkdir()
            (folder / "docker").symlink_to(found)
            return folder
    return None
