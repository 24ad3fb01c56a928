"""The docker stand-in under the real engine and on a real Docker daemon."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

import docker
import docker.errors
import pytest
from plugins.engine import Engine

pytestmark = pytest.mark.e2e

PROGRAM = """
    import pulumi
    import pulumi_docker as docker

    network = docker.Network(
        "cases-net",
        driver="bridge",
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet="10.213.240.0/24", gateway="10.213.240.1")],
        labels=[docker.NetworkLabelArgs(label="cases", value="yes")],
    )
    volume = docker.Volume("cases-data")
    image = docker.Image(
        "app",
        image_name="docker.io/cases/app:dev",
        build=docker.DockerBuildArgs(
            context="app",
            dockerfile="app/Dockerfile",
            platform="linux/amd64",
            args={{"GREETING": "{greeting}"}},
        ),
        skip_push=True,
    )
    server = docker.Container(
        "cases-server",
        image=image.image_name,
        command=["sleep", "3600"],
        restart="{restart}",
        labels=[docker.ContainerLabelArgs(label=label, value="1") for label in {labels}],
        networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name)],
        ports=[docker.ContainerPortArgs(internal=80, external=18099, ip="127.0.0.1")],
        uploads=[
            docker.ContainerUploadArgs(file="/etc/new/case.conf", content=pulumi.Output.secret("hunter2"))
        ],
        volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")],
        opts=pulumi.ResourceOptions(additional_secret_outputs=["uploads"]),
    )
    pulumi.export("container", server.name)
    pulumi.export("digest", image.repo_digest)
"""


@pytest.fixture
def base(docker_client: docker.DockerClient) -> str:
    """An image with a shell that is on the daemon already; the closed network's base, as a rule."""
    for image in docker_client.images.list():
        for tag in image.tags:
            if "base" in tag or "python" in tag:
                return str(tag)
    pytest.skip("no base image on the daemon: run ./stack up once")


def test_an_image_and_a_container_come_change_and_go(
    engine: Engine, docker_client: docker.DockerClient, base: str, tmp_path: Path
) -> None:
    values = {"greeting": "hello", "restart": "no", "labels": ["a", "b"]}
    stack = engine.stack(tmp_path / "docker", PROGRAM.format(**values))
    (stack.folder / "app").mkdir()
    (stack.folder / "app" / "Dockerfile").write_text(
        f"FROM {base}\nARG GREETING\nENTRYPOINT []\nUSER 0\nENV GREETING=${{GREETING}}\n"
    )
    try:
        first = stack.up()
        assert "warning" not in first.output, first.output
        container = docker_client.containers.get(stack.outputs()["container"])
        status, text = container.exec_run(["cat", "/etc/new/case.conf"])
        assert (status, text) == (0, b"hunter2")
        assert "hunter2" not in str(stack.resources(clear=False))
        networks = container.attrs["NetworkSettings"]["Networks"]
        assert len(networks) == 1, "the default bridge is left"
        assert next(iter(networks)).startswith("cases-net-")
        assert stack.changed() == {}
        stack.refresh()
        assert stack.changed() == {}

        stack.program(PROGRAM.format(**{**values, "labels": ["b", "a"], "restart": "always"}))
        step = stack.steps()["cases-server"]
        assert step["ops"] == ["update"], "the order of labels means nothing"
        assert step["diff"] == {"restart": "update"}
        stack.up()
        container.reload()
        assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "always"

        stack.program(PROGRAM.format(**{**values, "greeting": "again", "restart": "always"}))
        assert stack.steps()["app"]["ops"] == ["update"]
        digest = stack.outputs()["digest"]
        stack.up()
        assert stack.outputs()["digest"] != digest

        container.remove(force=True)
        stack.refresh()
        assert stack.changed()["cases-server"] == ["create"]
    finally:
        stack.destroy()
        with contextlib.suppress(docker.errors.ImageNotFound):
            docker_client.images.remove("cases/app:dev", force=True)
    with pytest.raises(docker.errors.NotFound):
        docker_client.networks.get(next(iter(networks)))


def test_a_failed_build_shows_the_builders_words(engine: Engine, base: str, tmp_path: Path) -> None:
    stack = engine.stack(
        tmp_path / "bad-build",
        """
        import pulumi_docker as docker

        docker.Image(
            "app",
            image_name="docker.io/cases/bad:dev",
            build=docker.DockerBuildArgs(context=".", platform="linux/amd64"),
            skip_push=True,
        )
        """,
    )
    (stack.folder / "Dockerfile").write_text(f"FROM {base}\nCOPY nowhere /\n")
    failed = stack.up(check=False)
    assert failed.status != 0
    assert "nowhere" in failed.output
    assert "Traceback" not in failed.output


BUILDER = """
    import pulumi_docker as docker

    docker.Image(
        "app",
        image_name="docker.io/cases/builder:dev",
        build=docker.DockerBuildArgs(
            context=".", platform="linux/amd64", builder_version=docker.BuilderVersion.{builder}
        ),
        skip_push=True,
    )
"""


def test_the_builder_is_the_one_asked_for(
    engine: Engine, docker_client: docker.DockerClient, base: str, tmp_path: Path
) -> None:
    stack = engine.stack(tmp_path / "builder", BUILDER.format(builder="BUILDER_V1"))
    (stack.folder / "Dockerfile").write_text(
        f"FROM {base}\nENTRYPOINT []\nUSER 0\nRUN --mount=type=cache,target=/kept true\n"
    )
    classic = stack.up(check=False)
    assert "--mount option requires BuildKit" in classic.output, classic.output
    stack.program(BUILDER.format(builder="BUILDER_BUILD_KIT"))
    tools = docker_with_buildkit(tmp_path / "tools")
    if tools is None:
        refused = stack.up(check=False)
        assert "needs a docker CLI with buildx" in refused.output, refused.output
        return
    stack.up(PATH=f"{tools}{os.pathsep}{engine.environment['PATH']}")
    try:
        assert stack.state("app")["outputs"]["repoDigest"] == docker_client.images.get("cases/builder:dev").id
    finally:
        docker_client.images.remove("cases/builder:dev", force=True)


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
