"""docker.Image: build a folder, tag it, push it unless told not to."""

import io
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker
import docker.errors

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import Failure, ProviderError, Request
from airgap.plugins.base.values import UNKNOWN, Secret, drop_nulls, has_unknown, plain
from airgap.plugins.docker.context import context_archive, context_digest

IMAGE = "docker:index/image:Image"
_FIELDS = frozenset({"imageName", "build", "skipPush", "buildOnPreview", "registry"})
_BUILD_FIELDS = frozenset(
    {"context", "dockerfile", "args", "builderVersion", "target", "platform", "network", "addHosts"}
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def host_platform() -> str:
    """The platform images are built for unless said otherwise."""
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def check(request: Request) -> tuple[dict[str, Any], list[Failure]]:
    """Fill in the build's defaults and the digest of its context."""
    inputs = plain(drop_nulls(request.inputs))
    build = inputs.get("build") or {}
    refuse = "the closed network's docker plugin has no Image argument"
    failures = [Failure(name, f"{refuse} {name!r}; leave it out") for name in inputs if name not in _FIELDS]
    if build is UNKNOWN:
        return {**inputs, "buildOnPreview": bool(inputs.get("buildOnPreview"))}, failures
    failures += [
        Failure(f"build.{name}", f"{refuse} build.{name}; leave it out")
        for name in build
        if name not in _BUILD_FIELDS
    ]
    if build.get("builderVersion") not in (None, UNKNOWN, "BuilderV1", "BuilderBuildKit"):
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
    return {**inputs, "build": build, "buildOnPreview": bool(inputs.get("buildOnPreview"))}, failures


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
    logins = {("registry", "username"), ("registry", "password")}
    tops = {
        path[:1]: change if len(path) == 1 else "update"
        for path, change in changes.items()
        if path not in logins
    }
    return Diff(tops)


def preview(request: Request) -> dict[str, Any]:
    """Outputs before a build: what the inputs tell."""
    return {**request.inputs}


def build(client: docker.APIClient, request: Request) -> tuple[str, dict[str, Any]]:
    """Build and, unless skipPush, push; blocking."""
    inputs = plain(request.inputs)
    name, options = inputs["imageName"], inputs["build"]
    if options.get("builderVersion") != "BuilderV1" and _has_buildx():
        _build_with_buildx(client, name, options, request.log)
    else:
        _build_classic(client, name, options, request.log)
    digest = _local_id(client, name)
    server = (inputs.get("registry") or {}).get("server") or ""
    if not inputs.get("skipPush") and not request.preview:
        digest = _push(client, name, inputs.get("registry") or {}, request.log)
    outputs = {
        "baseImageName": name,
        "context": options["context"],
        "dockerfile": os.path.relpath(options["dockerfile"], options["context"]),
        "imageName": name,
        "platform": options["platform"],
        "registryServer": server,
        "repoDigest": digest,
        "__inputs": Secret(inputs),
    }
    return name, outputs


def _build_classic(client: docker.APIClient, name: str, options: dict[str, Any], log: Log) -> None:
    archive, dockerfile = context_archive(Path(options["context"]), Path(options["dockerfile"]))
    foreign = options["platform"] if options["platform"] != host_platform() else None
    stream = client.build(
        fileobj=io.BytesIO(archive),
        custom_context=True,
        dockerfile=dockerfile,
        tag=name,
        buildargs=options.get("args"),
        target=options.get("target"),
        platform=foreign,
        network_mode=options.get("network"),
        extra_hosts=dict(one.split(":", 1) for one in options.get("addHosts") or []) or None,
        rm=True,
        forcerm=True,
        decode=True,
    )
    _follow(stream, log)


def _has_buildx() -> bool:
    """BuildKit comes with the docker CLI's buildx; without it the Engine's classic builder does the work."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0


def _build_with_buildx(client: docker.APIClient, name: str, options: dict[str, Any], log: Log) -> None:
    arguments = options.get("args") or {}
    argv = ["docker", "buildx", "build", "--progress", "plain", "--load", "--tag", name]
    argv += ["--file", options["dockerfile"], "--platform", options["platform"]]
    # A build argument without a value is read from the environment: it stays out of the process list.
    argv += [part for key in arguments for part in ("--build-arg", key)]
    for option, flag in (("target", "--target"), ("network", "--network")):
        if options.get(option):
            argv += [flag, options[option]]
    argv += [part for host in options.get("addHosts") or [] for part in ("--add-host", host)]
    environment = {
        **os.environ,
        **arguments,
        "DOCKER_HOST": client.base_url.replace("http+docker://", "unix://"),
    }
    if environment["DOCKER_HOST"].startswith("unix://localhost"):
        environment["DOCKER_HOST"] = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    process = subprocess.Popen(
        [*argv, options["context"]],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    lines = []
    for line in process.stdout or []:
        lines.append(line.rstrip())
        log.status(line.rstrip())
    if process.wait() != 0:
        raise ProviderError("\n".join(lines[-20:]))


def _push(client: docker.APIClient, name: str, registry: dict[str, Any], log: Log) -> str:
    log.status("Pushing Image to the registry")
    login = None
    if registry.get("username"):
        login = {"username": registry["username"], "password": registry.get("password", "")}
    auxiliary = _follow(client.push(name, stream=True, decode=True, auth_config=login), log)
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    return f"{repository}@{auxiliary['Digest']}" if "Digest" in auxiliary else _local_id(client, name)


def _local_id(client: docker.APIClient, name: str) -> str:
    return str(client.inspect_image(name)["Id"])  # type: ignore[no-untyped-call]


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


def describe(error: docker.errors.APIError) -> str:
    """The daemon's own message."""
    return f"Error response from daemon: {error.explanation or error}"
