"""docker.Image: build a folder with the docker CLI, tag it, push it unless told not to."""

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airgap.plugins.base.diff import Diff, compare, top_level
from airgap.plugins.base.process import run
from airgap.plugins.base.provider import Failure, ProviderError, Request, ResourceType, Values, refuse_unknown
from airgap.plugins.base.values import UNKNOWN, Secret, drop_nulls, has_unknown, plain
from airgap.plugins.docker.context import context_digest

IMAGE = "docker:index/image:Image"
ARGUMENTS = ("imageName", "build", "skipPush")
BUILD_ARGUMENTS = ("context", "dockerfile", "args", "builderVersion", "platform")
# What DOCKER_BUILDKIT says to the docker CLI; unset, it takes BuildKit where it has it.
_BUILDERS = {"BuilderV1": "0", "BuilderBuildKit": "1"}
_REQUIRED = ("context", "dockerfile", "platform")
_PUSHED = "{{range .RepoDigests}}{{println .}}{{end}}"
_TAIL_LINES = 20


@dataclass(frozen=True)
class Images(ResourceType):
    """Images; `host` says what the docker CLI talks to. What was built stays when the resource goes."""

    host: Callable[[], str]
    cancelled: asyncio.Event

    async def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Refuse what is not covered; add the digest of the build's context."""
        inputs = plain(drop_nulls(request.inputs))
        # The SDK says by itself that a preview builds nothing.
        given = [name for name, value in inputs.items() if (name, value) != ("buildOnPreview", False)]
        failures = refuse_unknown("docker", IMAGE, given, ARGUMENTS)
        inputs["buildOnPreview"] = False
        build = inputs.get("build") or {}
        if build is UNKNOWN:
            return inputs, failures
        members = [f"build.{name}" for name in build]
        failures += refuse_unknown("docker", IMAGE, members, [f"build.{name}" for name in BUILD_ARGUMENTS])
        reason = "the closed network's docker plugin does not guess it; give it"
        failures += [Failure(f"build.{name}", reason) for name in _REQUIRED if name not in build]
        if build.get("builderVersion") not in (None, UNKNOWN, *_BUILDERS):
            raise ProviderError("invalid Docker Builder version")
        if not failures and not has_unknown([build["context"], build["dockerfile"]]):
            digest = await asyncio.to_thread(_digest, build["context"], build["dockerfile"])
            inputs["build"] = {**build, "contextDigest": digest}
        if not inputs.get("skipPush") and isinstance(inputs.get("imageName"), str):
            _require_registry(inputs["imageName"])
        return inputs, failures

    async def diff(self, request: Request) -> Diff:
        """Changed arguments by their top-level name; nothing ever makes a new resource."""
        return Diff(top_level(compare(plain(request.state["__inputs"]), plain(request.inputs))))

    async def create(self, request: Request) -> tuple[str, Values]:
        """Build and, unless skipPush, push."""
        return ("" if request.preview else request.inputs["imageName"]), await self.update(request)

    async def update(self, request: Request) -> Values:
        """Build and, unless skipPush, push with the login of docker's own configuration."""
        if request.preview:
            return request.inputs
        inputs = plain(request.inputs)
        name, options = inputs["imageName"], inputs["build"]
        environment = dict(options.get("args") or {})
        if builder := options.get("builderVersion"):
            environment["DOCKER_BUILDKIT"] = _BUILDERS[builder]
        await self._docker(request, build_arguments(name, options), environment)
        digest = await self._docker(request, ["image", "inspect", "--format", "{{.Id}}", name])
        if not inputs.get("skipPush"):
            await self._docker(request, ["push", name])
            pushed = await self._docker(request, ["image", "inspect", "--format", _PUSHED, name])
            repository = re.sub(r":[^/]*$", "", name.removeprefix("docker.io/")) + "@"
            digest = next((one for one in pushed.split() if one.startswith(repository)), digest)
        return {
            "baseImageName": name,
            "context": options["context"],
            "dockerfile": os.path.relpath(options["dockerfile"], options["context"]),  # noqa: ASYNC240 no I/O
            "imageName": name,
            "platform": options["platform"],
            "registryServer": "",
            "repoDigest": digest,
            "__inputs": Secret(inputs),
        }

    async def _docker(self, request: Request, arguments: list[str], environment: Values | None = None) -> str:
        """Run the docker CLI, its lines as status; answers stdout. Raises ProviderError."""
        show, environment = request.log.status, {**(environment or {}), "DOCKER_HOST": self.host()}
        try:
            done = await run(
                ["docker", *arguments], environment=environment, out=show, err=show, stop=self.cancelled
            )
        except FileNotFoundError as error:
            raise ProviderError("docker is not on PATH; run ./stack, which puts it there") from error
        if done.status != 0:
            lines = done.both.decode(errors="replace").rstrip().splitlines()
            raise ProviderError("\n".join(lines[-_TAIL_LINES:]) or f"docker ended with {done.status}")
        return done.stdout.decode().strip()


def build_arguments(name: str, options: Values) -> list[str]:
    """A build. An argument without a value is read from the environment, not the process list."""
    arguments = ["build", "--tag", name, "--file", options["dockerfile"], "--platform", options["platform"]]
    arguments += [part for key in options.get("args") or {} for part in ("--build-arg", key)]
    return [*arguments, options["context"]]


def _digest(context: str, dockerfile: str) -> str:
    if not Path(dockerfile).exists():
        reason = f'could not open dockerfile at relative path "{dockerfile}": no such file or directory'
        raise ProviderError(reason)
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
