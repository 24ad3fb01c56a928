"""What programs in other languages call things by: names stay, and every argument says what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.provider.experimental.component import ComponentProvider

import components

# The SDK reads which version of a package the schema names, and leaves that file to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*pulumi-plugin.json:ResourceWarning")

NAMES = Path(__file__).parent / "golden" / "names.txt"
PACKAGE = "multicluster-dapr"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The package's schema, as the SDK makes it."""
    served = [components.GlobalTrafficPolicy, components.Mesh, components.ServiceExport]
    made: dict[str, Any] = json.loads(ComponentProvider(served, PACKAGE).schema)
    return made


def shape(found: dict[str, Any]) -> str:
    """The type of a property in few signs; * is one that may be an output."""
    if found.get("type") == "array":
        text = f"[{shape(found['items'])}]"
    elif "additionalProperties" in found:
        text = f"{{{shape(found['additionalProperties'])}}}"
    else:
        text = found.get("type") or found["$ref"].split(":")[-1].split("#/")[-1]
    return text if found.get("plain") else f"{text}*"


def arguments(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each argument, and each field of one, by its full name, and whether it is required."""
    for token, one in schema["resources"].items():
        for name, found in one["inputProperties"].items():
            yield f"{token}.{name}", found, name in one["requiredInputs"]
    for token, one in schema["types"].items():
        for name, found in one["properties"].items():
            yield f"{token}.{name}", found, name in one.get("required", ())


def outputs(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for token, one in schema["resources"].items():
        for name, found in one["properties"].items():
            yield f"{token} -> {name}", found


def lines(schema: dict[str, Any]) -> set[str]:
    taken = {
        f"{name}: {shape(found)}{' required' if required else ''}"
        for name, found, required in arguments(schema)
    }
    return taken | {f"{name}: {shape(found)}" for name, found in outputs(schema)}


def test_names_that_programs_use_stay(schema: dict[str, Any], request: pytest.FixtureRequest) -> None:
    kept, now = set(NAMES.read_text().splitlines()), lines(schema)
    gone = sorted(kept - now)
    assert gone == [], "programs use these: keep each, its type, and that it may be left out"
    owners = {line.split(".")[0] for line in kept}
    wanted = sorted(
        line for line in now - kept if line.endswith(" required") and line.split(".")[0] in owners
    )
    assert wanted == [], "programs that are there do not give these: let them have a default"
    if request.config.getoption("--update-golden"):
        NAMES.write_text("".join(f"{line}\n" for line in sorted(now)))
    new = sorted(now - set(NAMES.read_text().splitlines()))
    assert new == [], "keep these names from now on, by pytest --update-golden"


def test_every_argument_says_what_it_means_and_its_default(schema: dict[str, Any]) -> None:
    for name, found, required in arguments(schema):
        text = found.get("description", "")
        assert text.endswith("."), f"{name} says nothing"
        assert ("Default:" in text) is not required, f"{name}: a default belongs to what may be left out"
