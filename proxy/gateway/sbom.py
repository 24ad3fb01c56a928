"""The software bill of materials (SBOM) of this installation, as a CycloneDX document.

It lists what is installed, not what a lock file asks for: it says what runs. It has no time and no serial
number, so that the same image makes the same bytes.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from typing import Any

from gateway import __version__


def bill_of_materials() -> dict[str, Any]:
    """A CycloneDX document of this program, the Python that runs it, and every installed distribution."""
    found = {
        (name.lower().replace("_", "-"), distribution.version): distribution
        for distribution in metadata.distributions()
        if (name := distribution.metadata["Name"])
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "gateway", "version": __version__}},
        "components": [
            {
                "type": "platform",
                "name": platform.python_implementation(),
                "version": platform.python_version(),
            },
            *(_component(name, version, found[name, version]) for name, version in sorted(found)),
        ],
    }


def _component(name: str, version: str, distribution: metadata.Distribution) -> dict[str, Any]:
    said = distribution.metadata.json
    licence = said.get("license_expression") or said.get("license")
    entry = {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
    # Some packages put the whole text there; a name fits in a line.
    if isinstance(licence, str) and "\n" not in licence and len(licence) < 100:
        return {**entry, "licenses": [{"license": {"name": licence}}]}
    return entry


def main() -> int:
    """`gateway sbom`: print the document."""
    sys.stdout.write(json.dumps(bill_of_materials(), indent=1, sort_keys=True) + "\n")
    return 0
