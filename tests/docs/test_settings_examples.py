"""Examples of settings in the documents are settings that the program takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from config.environments import problems, read_environment
from docs.documents import Block, blocks, documents

PREFIX = "multicluster-dapr:"
A_VALUE = "a-value-of-a-secret"


def settings_of(block: Block) -> dict[str, Any]:
    """The keys of the program in a block, without their prefix; empty for YAML of something else."""
    document = yaml.safe_load(block.text)
    found = document.get("config", document) if isinstance(document, dict) else {}
    return {
        key.removeprefix(PREFIX): decrypted(value) for key, value in found.items() if key.startswith(PREFIX)
    }


def decrypted(value: Any) -> Any:
    """What the engine hands to the program: an encrypted value is a text by then."""
    if isinstance(value, dict):
        if value.keys() == {"secure"}:
            return A_VALUE
        return {key: decrypted(inner) for key, inner in value.items()}
    return [decrypted(inner) for inner in value] if isinstance(value, list) else value


def examples() -> list[Block]:
    found = (block for path in documents() for block in blocks(path) if block.language == "yaml")
    return [block for block in found if PREFIX in block.text and settings_of(block)]


def test_there_are_examples() -> None:
    assert len(examples()) >= 6


@pytest.mark.parametrize("block", examples(), ids=str)
def test_an_example_is_accepted(block: Block) -> None:
    """One that says which clusters there are is a whole file; any other adds to the demo's.

    A password is set by a command and stands in no file.
    """
    shown = settings_of(block)
    base = {} if "clusters" in shown else read_environment("dev")
    if shown.get("redis", {}).get("mode") == "external":
        base["redisPassword"] = A_VALUE
    assert problems({**base, **shown}) == []
