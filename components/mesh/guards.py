"""The admission policies by which a cluster's API server takes objects of the mesh from the mesh alone.

They bind everybody, where those of `admission` bind the mesh's own accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..documents import documents
from .admission import Spec, binding_spec

FOLDER = Path(__file__).parents[1] / "admission"
"""The gateway's own files: by a link to proxy/admission here, a copy of it where the package is installed."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A policy in a file of the gateway. `what` is what it guards, as resources are named after it."""

    name: str
    spec: Spec

    @property
    def what(self) -> str:
        return self.name.removeprefix("multicluster-").removesuffix("s")


@cache
def load_guards(folder: Path) -> tuple[Guard, ...]:
    """The policies of a folder, each with its binding. ValueError when a file holds anything else."""
    return tuple(_load(file) for file in sorted(folder.glob("*.yaml")))


def _load(file: Path) -> Guard:
    found = list(documents(file))
    kinds = [document["kind"] for document in found]
    if kinds != ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]:
        raise ValueError(f"{file} holds {', '.join(kinds)}; give a policy, then its binding")
    policy, binding = found
    name = policy["metadata"]["name"]
    if binding["spec"] != binding_spec(name) or binding["metadata"] != policy["metadata"]:
        raise ValueError(f"{file}: the binding is not that of {name}, as components/mesh/admission.py has it")
    return Guard(name=name, spec=policy["spec"])
