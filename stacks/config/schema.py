"""JSON schema of Pulumi.<env>.yaml, by which editors complete and check it; scripts/docs writes it."""

from __future__ import annotations

from typing import Any

from stacks.config.loading import PROJECT
from stacks.config.model import Settings
from stacks.config.secrets import SECRET_KEY

SECRET = {"type": "object", "required": ["secure"], "properties": {"secure": {"type": "string"}},
          "additionalProperties": False}  # fmt: skip
"""A value that Pulumi has encrypted."""


def stack_file() -> dict[str, Any]:
    """Schema of a whole file. Keys may go without the project's name before them, as Pulumi has it."""
    model = Settings.model_json_schema(by_alias=True)
    keys: dict[str, Any] = model["properties"]
    about = keys[SECRET_KEY]
    keys[SECRET_KEY] = {"description": about["description"], "anyOf": [SECRET, {"const": ""}]}
    for section in model["$defs"].values():
        for inner in section["properties"].values():
            if "anyOf" in inner:
                inner["anyOf"] = [_encrypted(one) for one in inner["anyOf"]]
            if "patternProperties" in inner:
                held = inner["patternProperties"].items()
                inner["patternProperties"] = {name: _encrypted(one) for name, one in held}
                inner["additionalProperties"] = False
    named = {f"{PROJECT}:{key}": value for key, value in keys.items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "An environment of multicluster-dapr",
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "description": model["description"],
                "anyOf": [{"required": [f"{PROJECT}:{key}"]} for key in model["required"]]
                + [{"required": model["required"]}],
                "properties": named | keys,
                "patternProperties": {f"^(?!{PROJECT}:)[^:]+:": {}},
                "additionalProperties": False,
            }
        },
        "$defs": model["$defs"],
    }


def _encrypted(about: dict[str, Any]) -> dict[str, Any]:
    """What stands in the file for a text that is a secret; of others themselves."""
    return SECRET if about.get("format") == "password" else about
