"""A recording engine: what the program registers, without a provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

TOKEN = {"ca.crt": "Q0E=", "token": "dG9rZW4="}


@dataclass
class Recorder(mocks.Mocks):
    """Every registered resource, in order, with its inputs."""

    resources: list[mocks.MockResourceArgs] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs)
        if args.typ == "command:local:Command":
            outputs |= {"stdout": f"stdout of {args.name}", "stderr": ""}
        if args.typ == "docker:index/image:Image":
            outputs |= {"repoDigest": f"sha256:{args.name}"}
        if args.inputs.get("type") == "kubernetes.io/service-account-token":
            outputs |= {"data": TOKEN}
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> Mapping[str, Any]:
        raise AssertionError(f"the program invokes {args.token}; it should need no invoke")

    def named(self, typ: str, name: str) -> dict[str, Any]:
        """Inputs of one resource."""
        return next(dict(args.inputs) for args in self.resources if (args.typ, args.name) == (typ, name))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A fresh recording engine as stack `dev`."""
    recording = Recorder()
    pulumi.runtime.set_mocks(recording, project="multicluster-dapr", stack="dev", preview=False)
    yield recording
