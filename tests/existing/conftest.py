"""Somebody else's clusters, made once for all tests here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from existing import clusters as theirs
from stacks.config.supply import VERSIONS_FILE


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> theirs.Machine:
    return theirs.Machine(env=os.environ, folder=tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="package")
def kubeconfig(machine: theirs.Machine) -> Iterator[Path]:
    """A kubeconfig with a context for each cluster, as its owner has it."""
    supply = machine.supply or yaml.safe_load(VERSIONS_FILE.read_text())
    node = supply["images"]["node"]
    with theirs.made(machine, node["ref"] if machine.supply else node) as path:
        yield path
