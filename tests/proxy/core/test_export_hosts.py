"""Hosts of exports: what may be one, whose it is, and what it leads to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.describe import describe
from gateway.core.export_hosts import HOST
from gateway.core.host_grants import NO_HOSTS, HostGrant, HostGrants, granted_in, read_host_grants
from gateway.core.identity import BY_NAME, NO_KEYS, PeersKeys
from gateway.core.snapshot import Compiled, Snapshot, compile_snapshot

HERE = "default/default/default/here"


class Hosts:
    def __init__(self, make: Any) -> None:
        self.make = make

    def export(self, name: str, host: object, path: str = "/", created: int = 1, **spec: Any) -> list[Any]:
        """An export in a namespace of its own name, with its Service and a pod."""
        found = [self.make.service(name), self.make.slice("10.0.0.1", name=name)]
        found.append(self.make.export(name, path, **spec))
        for raw in found:
            raw["metadata"]["namespace"] = name
        metadata = found[-1]["metadata"]
        metadata["creationTimestamp"] = f"2026-01-0{created}T00:00:00Z"
        if host is not None:
            metadata["annotations"] = {HOST: host}
        return found


@pytest.fixture
def hosts(make: Any) -> Hosts:
    return Hosts(make)


def compiled(
    *objects: list[Any],
    peers: PeersKeys = NO_KEYS,
    front_door: bool = False,
    grants: HostGrants | None = None,
) -> Compiled:
    found = [raw for each in objects for raw in each]
    return compile_snapshot(found, HERE, front_door, peers=peers, hosts=grants)


def service(snapshot: Snapshot, host: bytes, path: bytes = b"/") -> str:
    route = snapshot.paths_of(host).find(path)
    return "" if route is None else route.service


def said(found: Compiled) -> list[tuple[str, str, str]]:
    return [(problem.namespace, problem.reason, problem.message) for problem in found.problems]


def test_a_host_has_paths_of_its_own(hosts: Hosts) -> None:
    found = compiled(
        hosts.export("shop", "shop.example.com, www.shop.example.com"),
        hosts.export("blog", "blog.example.com", "/posts"),
        hosts.export("old", None, "/old"),
    )
    assert said(found) == []
    snapshot = found.snapshot
    for host in (
        b"shop.example.com",
        b"SHOP.example.com:8080",
        b"www.shop.example.com",
        b"shop.example.com.",
    ):
        assert service(snapshot, host, b"/posts") == "shop/shop"
    assert service(snapshot, b"blog.example.com", b"/posts/1") == "blog/blog"
    assert service(snapshot, b"blog.example.com", b"/old") == "", "nothing else is at a host that is taken"
    for host in (b"example.com", b"x.shop.example.com", b"127.0.0.1:80", b"[::1]:80", b"", b"a"):
        assert service(snapshot, host, b"/old") == "old/old"
        assert service(snapshot, host, b"/posts") == "", "and nothing of it anywhere else"


def test_a_host_belongs_to_one_namespace_the_oldest(hosts: Hosts) -> None:
    found = compiled(
        hosts.export("evil", "other.example.com,shop.example.com", "/login", created=2),
        hosts.export("shop", "shop.example.com", created=1),
        hosts.export("late", "other.example.com", created=3),
    )
    assert [(namespace, reason) for namespace, reason, _ in said(found)] == [
        ("evil", "HostConflict"), ("late", "HostConflict"),
    ]  # fmt: skip
    evil, late = (message for _, _, message in said(found))
    assert "'shop.example.com' is that of shop/shop: give another" in evil
    assert "'other.example.com' is that of evil/evil" in late, "served or not"
    assert service(found.snapshot, b"shop.example.com", b"/login") == "shop/shop"
    assert service(found.snapshot, b"other.example.com", b"/login") == "", "who gets not all has none"
    assert service(found.snapshot, b"x.example.com", b"/login") == "", "nor the paths of other hosts"


def test_a_host_that_is_written_into_an_old_export_is_young(hosts: Hosts) -> None:
    evil = hosts.export("evil", "other.example.com,shop.example.com", created=1)
    evil[-1]["status"] = {"firstSeen": [{"since": "2026-01-01T00:00:00Z", "claims": ["other.example.com"]}]}
    found = compiled(evil, hosts.export("shop", "shop.example.com", created=9))
    assert [(namespace, reason) for namespace, reason, _ in said(found)] == [("evil", "HostConflict")]
    assert service(found.snapshot, b"shop.example.com") == "shop/shop"


GRANTS = granted_in(HERE, read_host_grants(json.dumps([
    {"host": "shop.example.com", "namespaces": ["shop"]},
    {"host": "*.apps.example.com", "namespaces": ["shop", "blog"]},
    {"host": "*.blog.apps.example.com", "namespaces": ["blog"], "clusters": [HERE]},
    {"host": "elsewhere.example.com", "namespaces": ["shop"], "clusters": ["a/b/c/d"]},
])))  # fmt: skip


@pytest.mark.parametrize(
    ("namespace", "host"),
    [
        ("evil", "shop.example.com"), ("shop", "example.com"), ("shop", "www.shop.example.com"),
        ("shop", "apps.example.com"), ("shop", "x.blog.apps.example.com"), ("shop", "elsewhere.example.com"),
        ("shop", "shop.example.com,gateway.example.com"), ("evil", "x.apps.example.com"),
    ],
)  # fmt: skip
def test_a_host_that_is_not_granted_is_nobodys_and_hurts_no_other(
    hosts: Hosts, namespace: str, host: str
) -> None:
    found = compiled(hosts.export(namespace, host), hosts.export("old", None, "/old"), grants=GRANTS)
    ((where, reason, message),) = said(found)
    assert (where, reason) == (namespace, "HostNotGranted")
    assert f"{host.rsplit(',', maxsplit=1)[-1]!r} is not granted to namespace {namespace} here" in message
    assert "have the settings grant it (exports[].host or hosts" in message
    name = host.rsplit(",", maxsplit=1)[-1].encode()
    assert service(found.snapshot, name) == ""
    assert service(found.snapshot, name, b"/old") == "old/old", "requests for it go where they went"


@pytest.mark.parametrize(
    ("namespace", "host"),
    [
        ("shop", "shop.example.com"), ("shop", "x.apps.example.com"), ("blog", "a.b.apps.example.com"),
        ("blog", "x.blog.apps.example.com"), ("shop", "shop.example.com,x.apps.example.com"),
        ("shop", "blog.apps.example.com"),
    ],
)  # fmt: skip
def test_a_host_that_is_granted_is_served(hosts: Hosts, namespace: str, host: str) -> None:
    found = compiled(hosts.export(namespace, host), grants=GRANTS)
    assert said(found) == []
    assert service(found.snapshot, host.rsplit(",", maxsplit=1)[-1].encode()) == f"{namespace}/{namespace}"


def test_grants_of_one_host_add_up_and_none_are_none() -> None:
    grants = [HostGrant("a.example.com", frozenset({name})) for name in ("shop", "blog")]
    found = granted_in(HERE, grants)
    assert found.covers("a.example.com", "shop")
    assert found.covers("a.example.com", "blog")
    assert not NO_HOSTS.covers("a.example.com", "shop")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "not a list"), ("[5]", "not a list"), ("nonsense", "Expecting value"),
        ('[{"namespaces": ["a"]}]', "host is None"), ('[{"host": "a.example.com"}]', "has no namespaces"),
        ('[{"host": "*.svc", "namespaces": ["a"]}]', "inside clusters"),
        ('[{"host": "*", "namespaces": ["a"]}]', "no such name"),
        ('[{"host": "x.*.example.com", "namespaces": ["a"]}]', "no such name"),
    ],
)  # fmt: skip
def test_grants_that_cannot_be_meant_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_host_grants(text)


def test_paths_of_one_host_have_one_owner(hosts: Hosts) -> None:
    first, second = (
        hosts.export("a", "a.example.com", created=1),
        hosts.export("b", "a.example.com", created=2),
    )
    third = hosts.export("c", "c.example.com,a.example.com", created=3)
    for raw in [*second, *third]:
        raw["metadata"]["namespace"] = "a"
    found = compiled(first, second, third)
    path = "spec.rules[0].path '/' of a.example.com is already exported by a/a: change one of them"
    assert [(problem.name, problem.reason, problem.message) for problem in found.problems] == [
        ("b", "PathConflict", path), ("c", "PathConflict", path),
    ]  # fmt: skip
    assert service(found.snapshot, b"a.example.com") == "a/a"
    assert service(found.snapshot, b"c.example.com") == "a/c", "where it has its path it is served"
    notes = {export.key[1]: export.notes for export in found.exports}
    assert notes["a"] == ("paths of it, or around or inside them, are claimed in vain by a/b, a/c",)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        *((host, "no such name") for host in (
            "", "[::1]", "Shop.example.com", "shop.example.com:80", "*.example.com", "shop..com",
            "shop.example.com.", "a_b.example.com", "-a.example.com", "\u00e4.example.com", "x" * 64 + ".com",
            ".".join(["x" * 60] * 5), "shop.example.com, ",
        )),
        *((host, "inside clusters") for host in (
            "app.demo.svc", "app.demo.svc.example", "x.cluster.local", "app.demo.svc.clusterset.local",
            "metadata.google.internal",
        )),
        ("localhost", "no dot"), ("10.0.0.1", "an address"), ("shop.0x7f", "an address"),
        ("other.demo", "name a Service"), ("other-clusterset.demo", "name a Service"),
        (",".join(f"h{n}.example.com" for n in range(17)), "1 to 16 hosts"), (5, "1 to 16 hosts"),
        ([], "1 to 16 hosts"),
    ],
)  # fmt: skip
def test_what_is_no_host_to_publish_is_refused_and_the_export_with_it(
    make: Any, hosts: Hosts, host: object, reason: str
) -> None:
    found = compiled(hosts.export("shop", host), [make.service("other"), make.export("other", "/other")])
    ((namespace, kind, message),) = said(found)
    assert (namespace, kind) == ("shop", "InvalidHost")
    assert reason in message
    assert HOST in message
    assert service(found.snapshot, b"x.example.com") == "", "it is not published under all hosts instead"
    assert found.exports[0].key == ("shop", "shop")
    assert not found.exports[0].ports


def test_a_service_with_a_host_is_called_by_name_as_others_are(hosts: Hosts) -> None:
    keys = PeersKeys((b"1" * 32,))
    rewrite = {"from": "^/shop/?", "to": "/"}
    objects = hosts.export("shop", "shop.example.com", "/shop", pathRewrite=rewrite)
    snapshot = compiled(objects, peers=keys).snapshot
    route = snapshot.identified(keys.sign(HERE, "shop/shop", 3000, BY_NAME))
    assert route is not None
    assert route.clusters[0].target(b"/x") == b"/x"
    outside = snapshot.paths_of(b"shop.example.com").find(b"/shop/x")
    assert outside is not None
    assert snapshot.holds(outside)
    assert not compiled(hosts.export("shop", None, "/shop", pathRewrite=rewrite)).snapshot.holds(outside)
    page = describe(snapshot, 1, lambda *_: None, 0.0)
    assert [each["where"] for each in page["northSouth"]] == ["Prefix shop.example.com/shop"]


def test_the_front_door_of_its_own_cluster_keeps_the_two_apart(make: Any, hosts: Hosts) -> None:
    imported = make.imported(path="/shop", c1=81)
    found = compiled([imported], hosts.export("shop", "shop.example.com", "/shop"), front_door=True)
    assert said(found) == []
    assert service(found.snapshot, b"any", b"/shop") == "demo/app"
    assert service(found.snapshot, b"shop.example.com", b"/shop") == "shop/shop"
