"""What some options may say: apart from what acts on it, so that the command line is read at once."""

from __future__ import annotations

MODES = ("auto", "upstream", "airgap")
"""`--supply`."""
CLUSTERS, TRAFFIC, BETWEEN = "clusters", "traffic", "between"
KINDS = {
    CLUSTERS: "", "exports": "ServiceExport", "imports": "ServiceImport", "policies": "GlobalTrafficPolicy",
    TRAFFIC: "", BETWEEN: "",
}  # fmt: skip
"""`--kind` of a status, and the objects that it means."""
