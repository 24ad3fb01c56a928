"""A state that the engine refuses becomes one that it takes, without losing anything that is there."""

from __future__ import annotations

from typing import Any

from cli.repair import CREATING, DELETED, repaired

URN = "urn:pulumi:dev::multicluster-dapr::"
PROVIDER = {
    "urn": f"{URN}pulumi:providers:kubernetes::cluster-1",
    "id": "1",
    "type": "pulumi:providers:kubernetes",
}
GONE = f"{URN}pulumi:providers:kubernetes::cluster-2::2"


def resource(name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"{URN}kubernetes:core/v1:Namespace::{name}", "id": name, "type": "t", **more}


def test_a_state_that_is_well_stays_as_it_is() -> None:
    well = {"resources": [PROVIDER, resource("a", provider=f"{PROVIDER['urn']}::1")], "manifest": {}}
    assert repaired(well) == (well, [])
    assert repaired({}) == ({}, [])


def test_what_was_being_created_is_no_longer_pending_and_what_was_deleted_stays() -> None:
    operations = [{"type": "creating"}, {"type": "deleting"}]
    found, said = repaired({"pending_operations": operations})
    assert (found["pending_operations"], said) == ([{"type": "deleting"}], [CREATING])


def test_what_was_deleted_with_its_cluster_is_forgotten_and_nothing_depends_on_it() -> None:
    deleted = resource("deleted", provider=GONE, pendingReplacement=True)
    waits = resource("waits", provider=f"{PROVIDER['urn']}::1", pendingReplacement=True)
    urns = [deleted["urn"], waits["urn"]]
    component = {
        "urn": f"{URN}multicluster-dapr:mesh:Gateway::gateway", "type": "multicluster-dapr:mesh:Gateway",
        "dependencies": urns, "propertyDependencies": {"image": urns, "name": None},
        "deletedWith": deleted["urn"],
    }  # fmt: skip
    found, said = repaired({"resources": [PROVIDER, deleted, waits, component]})
    assert said == [DELETED]
    *others, last = found["resources"]
    assert others == [PROVIDER, waits]
    assert last == {
        "urn": component["urn"], "type": component["type"],
        "dependencies": [waits["urn"]], "propertyDependencies": {"image": [waits["urn"]], "name": []},
    }  # fmt: skip
    assert component["dependencies"] == urns, "what came in is left alone"
