"""The environments in this repository use the keys that Pulumi.yaml declares, spelled the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from config.environments import Config

from stacks.config import loading

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_an_environment_sets_declared_keys_only(path: Path) -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    used = {
        key.partition(":")[2] for key in yaml.safe_load(path.read_text())["config"] if "multicluster" in key
    }
    assert used <= set(declared)


@pytest.mark.parametrize("path", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_no_environment_is_published_with_the_salt_of_somebodys_passphrase(path: Path) -> None:
    assert "encryptionsalt" not in yaml.safe_load(path.read_text()), (
        "plain pulumi wrote it: take the line out before you commit"
    )


def test_the_settings_in_the_document_are_taken(dev: Config) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        written = yaml.safe_load(block)["config"]
        keys = {key.removeprefix("multicluster-dapr:"): value for key, value in written.items()}
        assert loading.parse_stack_file({"config": {**dev, **keys}})
