"""Whose the paths of the front door are, and what both sides are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from proxy.kube.test_plan import HOME, condition, member, rule, service

from gateway.core.claims import Grant
from gateway.core.export_hosts import HOST
from gateway.core.host_grants import HostGrant
from gateway.core.objects import Key
from gateway.kube.cluster_view import ClusterView
from gateway.kube.door import read_grants
from gateway.kube.plan import Plan, plan

SHOP, EVIL = ("shop", "web"), ("demo", "evil")
DOOR = replace(HOME, front_door=True)
OLD, NEW = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"


def claiming(number: int, key: Key, path: str, since: str | None = OLD) -> ClusterView:
    """cluster-<number> exports a service under a path that the hub has seen since then."""
    names = {"namespace": key[0], "name": key[1], "creationTimestamp": "1970-01-01T00:00:00Z"}
    exports = {key: {"metadata": names, "spec": {"rules": [rule(3000, path)]}}}
    name = "/".join(key)
    seen = None if since is None else {name: since, f"{name} {path}": since}
    services = {key: {**service(), "metadata": names}}
    return replace(member(number), exports=exports, services=services, first_seen=seen)


def served(made: Plan, key: Key) -> bool | None:
    """Whether the front door serves the path of a service; None when it is not imported there."""
    body = made.imports[DOOR.key].get(key)
    if body is None:
        return None
    return bool(body["spec"]["ports"][0]["endpoints"][0].get("frontDoor", True))


@pytest.mark.parametrize(
    ("older", "younger"), [("/shop", "/shop"), ("/shop", "/shop/login"), ("/shop/login", "/shop")]
)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_older_claim_has_the_path_and_both_are_told(older: str, younger: str, swapped: bool) -> None:
    one, two = claiming(1, SHOP, older), claiming(2, EVIL, younger, NEW)
    made = plan([DOOR, two, one] if swapped else [DOOR, one, two])
    assert (served(made, SHOP), served(made, EVIL)) == (True, False)
    status, message = condition(made, two, "Conflict", EVIL)
    assert status is True
    assert message == (
        f"the front door does not serve {younger}: shop/web has it, or one around or inside it, since before"
    )
    told = f"the front door does not serve {younger} of demo/evil of {two.key}, which is younger"
    assert told in condition(made, one, "Valid", SHOP)[1]
    assert condition(made, one, "Conflict", SHOP)[0] is False
    assert condition(made, two, "Valid", EVIL)[0] is True, "it is imported by name"
    left = plan([DOOR, replace(one, exports={}, first_seen={}), two])
    assert served(left, EVIL) is True
    assert condition(left, two, "Conflict", EVIL)[0] is False


def test_what_has_a_host_is_not_at_the_front_door_and_in_nobodys_way() -> None:
    one, two = claiming(1, SHOP, "/shop"), claiming(2, EVIL, "/shop", NEW)
    export = one.exports[SHOP] if one.exports else {}
    annotations = {"annotations": {HOST: "shop.example.com"}}
    hosted = {SHOP: {**export, "metadata": {**export["metadata"], **annotations}}}
    hosts = [HostGrant("shop.example.com", frozenset({"shop"}), frozenset({one.key}))]
    made = plan([DOOR, replace(one, exports=hosted), two], hosts=hosts)
    assert (served(made, SHOP), served(made, EVIL)) == (False, True)
    assert condition(made, one, "Conflict", SHOP)[0] is False, "that is what its export asks for"
    assert condition(made, one, "Valid", SHOP)[0] is True
    made = plan([DOOR, replace(one, exports=hosted), two])
    assert SHOP not in made.imports[DOOR.key], "it is not served there"
    status, message = condition(made, one, "Valid", SHOP)
    assert status is False
    assert "'shop.example.com' is not granted to namespace shop here: have the settings grant it" in message


def test_what_is_between_clusters_alone_is_not_at_the_front_door_and_in_nobodys_way() -> None:
    inside, other = claiming(1, SHOP, "/shop"), claiming(2, EVIL, "/shop", NEW)
    raw = (inside.exports or {})[SHOP]
    metadata = {**raw["metadata"], "annotations": {"multicluster.flomesh.io/published": "false"}}
    inside = replace(inside, exports={SHOP: {**raw, "metadata": metadata}})
    made = plan([DOOR, inside, other])
    assert served(made, SHOP) is False
    assert served(made, EVIL) is not False
    status, message = condition(made, inside, "Valid", SHOP)
    assert status is True
    assert "published between clusters alone" in message
    assert condition(made, other, "Conflict", EVIL)[0] is False


def test_one_service_of_several_clusters_shares_its_path() -> None:
    one, two = claiming(1, SHOP, "/shop"), claiming(2, SHOP, "/shop", NEW)
    made = plan([DOOR, one, two])
    assert condition(made, two, "Conflict", SHOP)[0] is False
    assert served(made, SHOP) is True


def test_an_export_of_the_control_plane_is_a_claim_like_others() -> None:
    home = claiming(0, EVIL, "/shop", None)
    home = replace(DOOR, exports=home.exports, services=home.services)
    late = {
        EVIL: {
            "metadata": {"creationTimestamp": "2026-01-05T00:00:00Z"},
            "spec": home.exports[EVIL]["spec"],
        }
    }
    made = plan([replace(home, exports=late), claiming(1, SHOP, "/shop")])
    assert served(made, SHOP) is True
    assert condition(made, home, "Conflict", EVIL)[0] is True
    made = plan([home, claiming(1, SHOP, "/shop")])
    assert served(made, SHOP) is False
    assert condition(made, home, "Conflict", EVIL)[0] is False


def test_the_root_is_only_whose_it_was_delegated_to() -> None:
    one = claiming(1, EVIL, "/")
    made = plan([DOOR, one])
    assert served(made, EVIL) is False
    assert condition(made, one, "Conflict", EVIL)[1] == (
        "the front door does not serve /: / is only whose the settings delegate it to (paths)"
    )
    assert served(plan([DOOR, one], [Grant(b"", {"demo"})]), EVIL) is True
    two = claiming(2, SHOP, "/shop", NEW)
    made = plan([DOOR, one, two], [Grant(b"", {"demo"})])
    assert served(made, SHOP) is True


def test_a_delegated_path_is_nobody_elses_however_old_its_claim() -> None:
    one, two = claiming(1, EVIL, "/shop"), claiming(2, SHOP, "/shop", NEW)
    made = plan([DOOR, one, two], [Grant(b"/shop", {"shop"}, {two.key})])
    assert (served(made, EVIL), served(made, SHOP)) == (False, True)
    assert "/shop is delegated to shop in " in condition(made, one, "Conflict", EVIL)[1]


@pytest.mark.parametrize("changes", [{"namespaces": ("demo",)}, {}])
def test_who_is_not_imported_at_the_front_door_claims_nothing(changes: dict[str, Any]) -> None:
    one, two = claiming(1, SHOP, "/shop"), claiming(2, EVIL, "/shop", NEW)
    if not changes:
        raw = dict(one.exports or {})
        raw[SHOP] = {**raw[SHOP], "spec": {**raw[SHOP]["spec"], "targetClusters": [two.key]}}
        one = replace(one, exports=raw)
    made = plan([replace(DOOR, **changes), one, two])
    assert (served(made, SHOP), served(made, EVIL)) == (None, True)


def test_nobody_takes_a_path_while_its_owner_cannot_be_read() -> None:
    one, two = claiming(1, SHOP, "/shop"), claiming(2, EVIL, "/shop/login", NEW)
    away = replace(one, exports=None, services={})
    made = plan([DOOR, away, two])
    assert served(made, EVIL) is False
    assert served(plan([DOOR, replace(away, may_export=("demo",)), two]), EVIL) is True
    assert served(plan([DOOR, replace(away, first_seen={"shop/web /..": OLD}), two]), EVIL) is True
    assert served(plan([DOOR, replace(away, first_seen=None), two]), EVIL) is True


def test_conditions_stay_short_however_many_claim_a_path() -> None:
    views = [claiming(number, ("demo", f"e{number}"), "/shop", NEW) for number in range(2, 40)]
    one = claiming(1, SHOP, "/shop")
    made = plan([DOOR, one, *views])
    assert condition(made, one, "Valid", SHOP)[1].count("which is younger") == 8


def test_delegated_paths_are_read_from_the_command_line() -> None:
    said = '[{"prefix": "/shop/*", "namespaces": ["shop"], "clusters": ["a/b/c/d"]}, {"prefix": "/"}]'
    one, two = read_grants(said)
    assert one == Grant(b"/shop", frozenset({"shop"}), frozenset({"a/b/c/d"}))
    assert (two.prefix, two.namespaces) == (b"", frozenset())
    for wrong in ("{}", "[5]", '[{"prefix": "shop"}]', "nothing"):
        with pytest.raises(ValueError, match=r"."):
            read_grants(wrong)
