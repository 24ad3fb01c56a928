"""docker.Image: build a folder, tag it, push it unless told not to."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker
import docker.errors

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.guard import guarded
from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import Failure, ProviderError, Request, refuse_unknown
from airgap.plugins.base.values import UNKNOWN, Secret, drop_nulls, has_unknown, plain
from airgap.plugins.docker.context import context_archive, context_digest

IMAGE = "docker:index/image:Image"
_ARGUMENTS = ("imageName", "build", "skipPush")
_BUILD_ARGUMENTS = ("context", "dockerfile", "args", "builderVersion", "platform")
_CLASSIC, _BUILDKIT = "BuilderV1", "BuilderBuildKit"
_NEEDS_BUILDX = 23  # the docker CLI's version from which BuildKit is a plugin of its own
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_TAIL_LINES = 20


def host_platform() -> str:
    """The platform images are built for unless said otherwise."""
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def check(request: Request) -> tuple[dict[str, Any], list[Failure]]:
    """Fill in the build's defaults and the digest of its context."""
    inputs = plain(drop_nulls(request.inputs))
    build = inputs.get("build") or {}
    # The SDK says by itself that a preview builds nothing.
    given = [name for name, value in inputs.items() if (name, value) != ("buildOnPreview", False)]
    failures = refuse_unknown("docker", IMAGE, given, _ARGUMENTS)
    if build is UNKNOWN:
        return {**inputs, "buildOnPreview": False}, failures
    members = [f"build.{name}" for name in build]
    failures += refuse_unknown("docker", IMAGE, members, [f"build.{name}" for name in _BUILD_ARGUMENTS])
    if build.get("builderVersion") not in (None, UNKNOWN, _CLASSIC, _BUILDKIT):
        raise ProviderError("invalid Docker Builder version")
    build = {"context": ".", **build}
    if build["context"] is not UNKNOWN:
        build.setdefault("dockerfile", os.path.normpath(os.path.join(build["context"], "Dockerfile")))  # noqa: PTH118
    if not has_unknown([build["context"], build.get("dockerfile", UNKNOWN)]):
        build["contextDigest"] = _digest(build["context"], build["dockerfile"])
    if not build.get("platform"):
        build["platform"] = host_platform()
        request.log.info(
            f"Building your image for {host_platform()} architecture.\n"
            "To ensure you are building for the correct platform, consider explicitly setting the `platform` "
            "field on ImageBuildOptions."
        )
    if not inputs.get("skipPush") and isinstance(inputs.get("imageName"), str):
        _require_registry(inputs["imageName"])
    return {**inputs, "build": build, "buildOnPreview": False}, failures


def _digest(context: str, dockerfile: str) -> str:
    if not Path(dockerfile).exists():
        inside = Path(context) / dockerfile
        hint = (
            f'. Try setting `dockerfile` to "{inside}"' if inside.exists() else ": no such file or directory"
        )
        raise ProviderError(f'could not open dockerfile at relative path "{dockerfile}"{hint}')
    return context_digest(Path(context), Path(dockerfile))


def _require_registry(name: str) -> None:
    host = name.split("/", 1)[0]
    if "/" not in name or not ("." in host or ":" in host or host == "localhost"):
        raise ProviderError(
            f'"{name}": repository name must be canonical.\n'
            "This resource requires all image names to be fully qualified.\n"
            "For example, if you are attempting to push to Dockerhub, prefix your image name with "
            "`docker.io`:\n\n`docker.io/repository/image:tag`"
        )


def diff(request: Request) -> Diff:
    """Changed arguments by their top-level name; nothing ever makes a new resource."""
    old = plain(request.state.get("__inputs")) or plain(request.old_inputs)
    changes = compare(old, plain(request.inputs))
    return Diff({path[:1]: change if len(path) == 1 else "update" for path, change in changes.items()})


def build(client: docker.APIClient, host: str, request: Request) -> tuple[str, dict[str, Any]]:
    """Build and, unless skipPush, push; blocking. `host` is what `client` talks to."""
    inputs = plain(request.inputs)
    name, options = inputs["imageName"], inputs["build"]
    builder = options.get("builderVersion")
    if builder != _CLASSIC and _has_buildkit():
        _build_with_buildkit(host, name, options, request.log)
    elif builder == _BUILDKIT:
        raise ProviderError(
            "builderVersion BuilderBuildKit needs a docker CLI with buildx: install docker's buildx plugin, "
            "or leave builderVersion out to build with the Engine's classic builder"
        )
    else:
        _build_classic(client, name, options, request.log)
    digest = str(client.inspect_image(name)["Id"])  # type: ignore[no-untyped-call]
    if not inputs.get("skipPush"):
        digest = _push(client, name, request.log) or digest
    outputs = {
        "baseImageName": name,
        "context": options["context"],
        "dockerfile": os.path.relpath(options["dockerfile"], options["context"]),
        "imageName": name,
        "platform": options["platform"],
        "registryServer": "",
        "repoDigest": digest,
        "__inputs": Secret(inputs),
    }
    return name, outputs


def _build_classic(client: docker.APIClient, name: str, options: dict[str, Any], log: Log) -> None:
    archive, dockerfile = context_archive(Path(options["context"]), Path(options["dockerfile"]))
    stream = client.build(
        fileobj=archive,
        custom_context=True,
        dockerfile=dockerfile,
        tag=name,
        buildargs=options.get("args"),
        platform=options["platform"] if options["platform"] != host_platform() else None,
        rm=True,
        forcerm=True,
        decode=True,
    )
    _follow(stream, log)


def _has_buildkit() -> bool:
    """Whether the docker CLI can drive BuildKit: with buildx, or without in its versions before 23."""
    if shutil.which("docker") is None:
        return False
    if subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0:
        return True
    shown = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+)\.", shown)
    return version is not None and int(version[1]) < _NEEDS_BUILDX


def buildkit_command(name: str, options: dict[str, Any]) -> list[str]:
    """A BuildKit build. An argument without a value is read from the environment, not the process list."""
    command = ["docker", "build", "--progress", "plain", "--tag", name]
    command += ["--file", options["dockerfile"], "--platform", options["platform"]]
    command += [part for key in options.get("args") or {} for part in ("--build-arg", key)]
    return [*command, options["context"]]


def _build_with_buildkit(host: str, name: str, options: dict[str, Any], log: Log) -> None:
    arguments = options.get("args") or {}
    lines = []
    with (
        subprocess.Popen(
            buildkit_command(name, options),
            env={**os.environ, **arguments, "DOCKER_HOST": host, "DOCKER_BUILDKIT": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            process_group=0,
        ) as process,
        guarded(process.pid),
    ):
        for line in process.stdout or []:
            lines.append(line.rstrip())
            log.status(lines[-1])
    if process.returncode != 0:
        raise ProviderError("\n".join(lines[-_TAIL_LINES:]))


def _push(client: docker.APIClient, name: str, log: Log) -> str:
    """Push with the login of docker's own configuration; answers the registry's digest, "" without one."""
    log.status("Pushing Image to the registry")
    digest = _follow(client.push(name, stream=True, decode=True), log).get("Digest")
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    return f"{repository}@{digest}" if digest else ""


def _follow(stream: Iterable[dict[str, Any]], log: Log) -> dict[str, Any]:
    """Show the daemon's lines as status; its auxiliary messages. Raises ProviderError with its own error."""
    auxiliary: dict[str, Any] = {}
    for message in stream:
        if "error" in message:
            raise ProviderError(str(message["error"]))
        if isinstance(message.get("aux"), dict):
            auxiliary |= message["aux"]
        line = str(message.get("stream") or message.get("status") or "").rstrip()
        if line:
            log.status(line)
    return auxiliary
