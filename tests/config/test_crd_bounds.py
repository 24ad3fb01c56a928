"""What an API server would refuse is refused before anything is made: the bounds are those of the CRDs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.config.model import Settings

CRDS = Path(__file__).resolve().parents[2] / "proxy" / "crds"
DEFS = Settings.model_json_schema(by_alias=True)["$defs"]
UPPER, LOWER = ("maximum", "maxLength", "maxItems"), ("minimum", "minLength", "minItems")
MEANT = {
    "ExportSettings.rules": "serviceexports:rules",
    "ExportSettings.targetClusters": "serviceexports:targetClusters",
    "ExportSettings.loadBalancer": "serviceexports:loadBalancer",
    "ExportSettings.serviceAccountName": "serviceexports:serviceAccountName",
    "ExportRule.portNumber": "serviceexports:rules.portNumber",
    "ExportRule.path": "serviceexports:rules.path",
    "ExportRule.pathType": "serviceexports:rules.pathType",
    "PathRewrite.from": "serviceexports:pathRewrite.from",
    "PathRewrite.to": "serviceexports:pathRewrite.to",
    "PolicySettings.lbType": "globaltrafficpolicies:lbType",
    "PolicySettings.targets": "globaltrafficpolicies:targets",
    "PolicyTarget.weight": "globaltrafficpolicies:targets.weight",
    "ClusterSettings.region": "clusters:region",
    "ClusterSettings.zone": "clusters:zone",
    "ClusterSettings.group": "clusters:group",
    "ClusterSettings.gatewayHost": "clusters:gatewayHost",
    "ClusterSettings.gatewayPort": "clusters:gatewayPort",
    "ClusterSettings.mayExport": "clusters:mayExport",
}


def of_crd(path: str) -> Any:
    """The schema of a field of a CRD's spec."""
    name, _, fields = path.partition(":")
    (version,) = yaml.safe_load((CRDS / f"{name}.yaml").read_text())["spec"]["versions"]
    found = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for field in fields.split("."):
        found = found.get("items", found)["properties"][field]
    return found


def of_settings(path: str) -> Any:
    """The schema of a key of the settings."""
    section, _, key = path.partition(".")
    about = DEFS[section]["properties"][key]
    return next((one for one in about.get("anyOf", ()) if one.get("type") != "null"), about)


@pytest.mark.parametrize(("key", "field"), MEANT.items(), ids=MEANT)
def test_a_key_has_the_bounds_of_its_field(key: str, field: str) -> None:
    ours, theirs = of_settings(key), of_crd(field)
    for bound in UPPER:
        assert ours.get(bound, 1 << 40) <= theirs.get(bound, 1 << 40), bound
    for bound in LOWER:
        assert ours.get(bound, theirs.get("minLength", 0)) >= theirs.get(bound, 0), bound
    assert set(ours.get("enum", ())) == set(theirs.get("enum", ()))
