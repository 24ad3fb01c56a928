"""The environments in this repository use the keys that Pulumi.yaml declares, spelled the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from config.environments import Config

from stacks.config import loading
from stacks.config.problem import SettingsError

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


def _settings(document: str) -> list[Any]:
    """The blocks of settings in a document."""
    text = (ROOT / "docs" / document).read_text()
    found = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    return [block.get("config", block) for block in found if "multicluster-dapr:" in str(block)]


@pytest.mark.parametrize(("document", "count"), [("configuration.md", 4), ("security.md", 1)])
def test_settings_in_a_document_are_taken_beside_those_of_dev(dev: Config, document: str, count: int) -> None:
    blocks = _settings(document)
    assert len(blocks) == count
    for block in blocks:
        keys = {key.removeprefix("multicluster-dapr:"): value for key, value in block.items()}
        assert loading.parse_stack_file({"config": {**dev, **keys}})


def test_files_of_clusters_that_exist_are_whole() -> None:
    with_redis, mesh_alone = _settings("existing-clusters.md")
    assert loading.parse_stack_file({"config": mesh_alone})
    with pytest.raises(SettingsError) as refused:
        loading.parse_stack_file({"config": with_redis})
    assert "pulumi config set --secret redisPassword" in str(refused.value), "which the document says to do"
    assert len(refused.value.problems) == 1
