"""A recording engine: what the program registers, without a provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from config.environments import read_environment
from pulumi.runtime import mocks, rpc

from stacks.config import kubeconfigs, loading, supply
from stacks.config.present import Answers
from stacks.program import foretold, outputs, topology

CLUSTER_IPS = {"kube-system/kube-dns": "10.43.0.10", "default/kubernetes": "10.43.0.1"}
TOKEN = {"ca.crt": "Q0E=", "token": "dG9rZW4="}
SEED = f"1764190000\n{'5eed' * 16}"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One registration, references shortened to logical names."""

    type: str
    name: str
    parent: str
    provider: str
    deleted_with: str
    after: tuple[str, ...]
    retained: bool
    inputs: Mapping[str, Any]
    in_clear: Mapping[str, Any]


@dataclass
class Recorder(mocks.MockMonitor):
    """Every registration, in order. `unknown` leaves out what a preview cannot know."""

    unknown: bool = False
    registered: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(_Outputs(self))

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            kept = rpc.deserialize_properties(request.object, keep_unknowns=True)
            self.registered.append(
                Resource(
                    type=request.type,
                    name=request.name,
                    parent=_name(request.parent),
                    provider=_name(request.provider),
                    deleted_with=_name(request.deletedWith),
                    after=tuple(sorted({_name(urn) for urn in request.dependencies})),
                    retained=request.retainOnDelete,
                    inputs=_plain(kept, show=True),
                    in_clear=_plain(kept, show=False),
                )
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def ReadResource(self, request: Any) -> Any:
        self.registered.append(
            Resource(
                type=request.type,
                name=request.name,
                parent=_name(request.parent),
                provider=_name(request.provider),
                deleted_with="",
                after=("read, not made",),
                retained=False,
                inputs={"id": request.id},
                in_clear={"id": request.id},
            )
        )
        return super().ReadResource(request)  # type: ignore[no-untyped-call]

    def find(self, name: str) -> Resource:
        """The resource with this logical name, not a component."""
        found = [resource for resource in self.registered if resource.name == name]
        assert found, f"nothing is named {name}; there is {sorted(r.name for r in self.registered)}"
        return found[-1]


class _Outputs(mocks.Mocks):
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.resource_id:
            outputs |= {"spec": {"clusterIP": CLUSTER_IPS[args.resource_id]}}
        if not self.recorder.unknown:
            if args.typ == "command:local:Command":
                text = SEED if args.name == "dapr-trust-root-seed" else f"stdout of {args.name}"
                outputs |= {"stdout": text, "stderr": ""}
            if args.typ == "docker:index/image:Image":
                outputs |= {"repoDigest": f"sha256:{args.name}"}
            if args.inputs.get("type") == "kubernetes.io/service-account-token":
                outputs |= {"data": TOKEN}
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"the program invokes {args.token}; it should need no invoke")


def _name(urn: str) -> str:
    """The logical name in a URN; empty for the stack itself, which is everything's last parent."""
    parts = urn.split("::")
    return "" if len(parts) < 4 or parts[2] == "pulumi:pulumi:Stack" else parts[3]


def _plain(value: Any, *, show: bool) -> Any:
    """Values without Pulumi's marks; without `show`, `(secret)` stands for a marked one."""
    if rpc.is_rpc_secret(value):
        return _plain(rpc.unwrap_rpc_secret(value), show=True) if show else "(secret)"
    if isinstance(value, dict):
        return {key: _plain(item, show=show) for key, item in value.items()}
    return [_plain(item, show=show) for item in value] if isinstance(value, list) else value


Change = Callable[[dict[str, Any]], None]
_CACHE: dict[tuple[str, bool], Recorder] = {}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recorder]:
    """Runs the program for an environment; `change` edits its configuration first, `traffic` has the output.

    What is not changed is run once: registering hundreds of resources takes a second.
    """

    _write_kubeconfig(tmp_path / ".kube" / "config")
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(
        environment: str = "dev",
        change: Change | None = None,
        *,
        preview: bool = False,
        present: Answers | None = None,
        traffic: bool = False,
    ) -> Recorder:
        if not traffic:  # it starts a process: a second that hundreds of tests do without
            monkeypatch.setattr(foretold, "traffic", _untold)
        plain = change is None and present is None and not traffic
        if plain and (environment, preview) in _CACHE:
            return _CACHE[environment, preview]
        recorder = _record(environment, change, preview=preview, present=present or Answers())
        if plain:
            _CACHE[environment, preview] = recorder
        return recorder

    return run


async def _untold(*_: Any) -> dict[str, Any]:
    return {}


def _write_kubeconfig(path: Path) -> None:
    """What Pulumi.existing.yaml points at."""
    names = ("hub", "east", "west")
    path.parent.mkdir()
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [
                    {"name": n, "cluster": {"server": f"https://{n}.example.org:6443"}} for n in names
                ],
                "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in names],
                "users": [{"name": n, "user": {"token": f"token-of-{n}"}} for n in names],
            }
        )
    )


def _record(environment: str, change: Change | None, *, preview: bool, present: Answers) -> Recorder:
    config = read_environment(environment)
    if environment == "existing":
        # What a user does once, by `pulumi config set --secret`.
        config["redisPassword"] = "a-password-of-theirs"
    if change:
        change(config)
    parsed = loading.parse(config)
    artifacts = supply.resolve(parsed, {})
    existing = kubeconfigs.read(parsed)
    recorder = Recorder(unknown=preview)
    pulumi.runtime.set_mocks(
        recorder.mocks, project="multicluster-dapr", stack=environment, preview=preview, monitor=recorder
    )

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        built = topology.build(parsed, artifacts, existing, environment, present)
        exported = outputs.outputs(built, environment)
        for name, value in exported.items():  # each alone: in a preview some are not known
            pulumi.Output.from_input({name: value}).apply(recorder.outputs.update)

    program()
    return recorder
