"""How roots come from each cluster to all others, and back that they are known: the plan, and a whole hub."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from proxy.kube.mini_api import MiniApi

from gateway.core.authority import Lifetimes
from gateway.core.certificates import fingerprint, read_roots
from gateway.core.issuing import Issuer, make_root
from gateway.core.objects import CONTROLLER, HUB, MANAGED_BY, Object
from gateway.core.peers import MutualTls
from gateway.kube.acknowledgement import Loaded
from gateway.kube.authority import AuthorityKeeper
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.cluster_view import Address, ClusterView
from gateway.kube.hub import Hub
from gateway.kube.hub_metrics import HubMetrics
from gateway.kube.peer_objects import Listener
from gateway.kube.peers_plan import plan_peers
from gateway.kube.plan import plan
from gateway.kube.timing import Timing

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SYSTEM = "multicluster-system"


def key(name: str) -> str:
    return f"default/default/default/{name}"


ROOTS = {name: make_root(key(name), NOW) for name in ("one", "two", "three", "four")}


def own(name: str, *roots: Issuer, listening: bool = True, said: str = "") -> Object:
    return {
        "metadata": {"name": name, "labels": {MANAGED_BY: CONTROLLER}},
        "spec": {
            "clusterKey": said or key(name), "listening": listening,
            "roots": [root.pem.decode() for root in roots or (ROOTS[name],)],
        },
    }  # fmt: skip


def view(name: str, *peers: Object | None, port: int = 8443) -> ClusterView:
    """With its own Peer, unless others are given; None for a cluster whose Peers were never read."""
    found = {("", str(peer["metadata"]["name"])): peer for peer in peers or (own(name),) if peer is not None}
    address = Address("h", "10.0.0.1", 80)
    return ClusterView(
        key(name), address, {}, {}, {}, (), peers=None if None in peers else found, peers_port=port
    )


def told(name: str, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {MANAGED_BY: HUB}},
        "spec": {"clusterKey": key(name), **spec},
    }


def trusted(name: str, *roots: Issuer, **spec: Any) -> Object:
    """What a cluster has of another one whose roots all its gateways trust."""
    return {**told(name, **spec), "status": {"trusted": prints(*roots or (ROOTS[name],))}}


def prints(*roots: Issuer) -> list[str]:
    return sorted(fingerprint(root.certificate) for root in roots)


def test_each_cluster_is_told_of_the_others_and_where_they_listen() -> None:
    made = plan_peers([
        view("one"),
        view("two", own("two"), trusted("one"), trusted("three")),
        view("three", own("three", listening=False), port=0),
    ])  # fmt: skip
    assert set(made.peers[key("one")]) == {("", "two"), ("", "three")}
    two = made.peers[key("one")]["", "two"]
    assert two["metadata"] == {"name": "two", "labels": {MANAGED_BY: HUB}}
    assert two["spec"] == {
        "clusterKey": key("two"), "roots": [ROOTS["two"].pem.decode()],
        "gateway": {"ip": "10.0.0.1", "port": 8443},
    }  # fmt: skip
    assert "gateway" not in made.peers[key("two")]["", "three"]["spec"]
    without = [
        view("one", own("one", listening=False), trusted("four")),
        view("two", own("two"), trusted("four"), port=0),
        replace(view("three", own("three"), trusted("four")), address=None),
    ]
    bodies = plan_peers([*without, view("four")]).peers[key("four")]
    assert len(bodies) == 3
    assert all("gateway" not in body["spec"] for body in bodies.values())


GATEWAY = {"ip": "10.0.0.1", "port": 8443}
NEW = make_root(key("one"), NOW)


@pytest.mark.parametrize(
    ("one", "of_one", "is_told"),
    [
        (own("one"), trusted("one"), True),
        (own("one"), told("one"), False),
        (own("one"), {**trusted("one"), "metadata": {"name": "one"}}, False),
        (own("one", listening=False), trusted("one"), False),
        (own("one", ROOTS["one"], NEW), trusted("one"), True),
        (own("one", NEW, ROOTS["one"]), trusted("one"), False),
        (own("one", NEW, ROOTS["one"]), trusted("one", ROOTS["one"], NEW), True),
        (told("one"), trusted("one"), False),
    ],
    ids=[
        "it is trusted", "not yet", "by nobody's word", "it has no certificate", "the root that issues is",
        "only one that issues no more", "both are", "it takes no part",
    ],
)  # fmt: skip
def test_who_cannot_prove_itself_yet_is_not_sent_to_others_over_tls(
    one: Object, of_one: Object, *, is_told: bool
) -> None:
    """It would be refused, and a call with it."""
    views = [view("one", one), view("two", own("two"), of_one)]
    spec = plan_peers(views).peers[key("one")]["", "two"]["spec"]
    assert (spec.get("gateway") == GATEWAY) is is_told
    before = view("one", one, told("two", gateway=GATEWAY))
    spec = plan_peers([before, views[1]]).peers[key("one")]["", "two"]["spec"]
    assert spec["gateway"] == GATEWAY, "what it was told once is not taken back"


def test_nobody_is_sent_where_the_hub_has_not_been() -> None:
    home = replace(view("one", own("one"), trusted("two"), port=0), front_door=True)
    two = replace(view("two", own("two"), trusted("one"), trusted("three")), peers_reached=False)
    three = view("three", own("three"), trusted("two"))
    made = plan_peers([home, two, three])
    assert set(made.listeners) == {key("two"), key("three")}
    listener = made.listeners[key("two")]
    assert (listener.ip, listener.port, listener.roots) == ("10.0.0.1", 8443, (ROOTS["two"].pem.decode(),))
    assert not [1 for name in ("one", "three") if "gateway" in made.peers[key(name)]["", "two"]["spec"]]
    assert made.peers[key("two")]["", "three"]["spec"]["gateway"] == GATEWAY
    made = plan_peers([home, replace(two, peers_reached=True), three])
    assert made.peers[key("one")]["", "two"]["spec"]["gateway"] == GATEWAY
    # What the hub's own cluster was told stays true when another hub begins; what a member says counts not.
    of_before = told("two", gateway=GATEWAY)
    member = view("three", own("three"), trusted("two"), of_before)
    assert key("two") in plan_peers([home, two, member]).listeners
    home = replace(view("one", own("one"), of_before, port=0), front_door=True)
    made = plan_peers([home, two, three])
    assert set(made.listeners) == {key("three")}
    assert made.peers[key("three")]["", "two"]["spec"]["gateway"] == GATEWAY
    moved = replace(two, address=Address("h", "10.0.0.2", 80))
    assert key("two") in plan_peers([home, moved, three]).listeners, "another address is another place"


def test_what_is_not_known_stays_and_what_is_gone_goes() -> None:
    before = told("two", roots=["old"], gateway={"ip": "10.0.0.9", "port": 1})
    gone, mine = told("gone", roots=["x"]), {"metadata": {"name": "three"}, "spec": {}}
    made = plan_peers([view("one", own("one"), before, gone, mine), view("two", None), view("three", None)])
    assert made.peers == {
        key("one"): {("", "two"): {**before, "apiVersion": "flomesh.io/v1alpha1", "kind": "Peer"}}
    }
    made = plan_peers([view("one", own("one"), before), view("two", told("one"))])
    assert made.peers[key("one")] == {}, "two has no mutual TLS any more"


def test_nobody_speaks_for_another_cluster() -> None:
    """A member may say anything: its own name counts, by its controller, and roots that are bound to it."""
    hostile = [
        own("one", ROOTS["two"], said=key("two")), own("two", said=key("two")), own("three", said=key("one")),
    ]  # fmt: skip
    for peer in hostile:
        made = plan_peers([view("one", peer), view("two")])
        assert made.peers[key("two")] == {}
        assert key("one") not in made.said
    made = plan_peers([view("one", own("one", ROOTS["two"])), view("two")])
    assert made.peers[key("two")] == {}
    assert "could issue for other clusters" in made.faults[key("one")]
    made = plan_peers([view("one", own("one", ROOTS["two"], ROOTS["one"])), view("two")])
    assert made.peers[key("two")]["", "one"]["spec"]["roots"] == [ROOTS["one"].pem.decode()]
    many = own("one")
    around = f"a secret {ROOTS['one'].pem.decode() * 9}"
    many = {**many, "spec": {**many["spec"], "roots": [around]}}
    made = plan_peers([view("one", many), view("two")])
    assert made.peers[key("two")]["", "one"]["spec"]["roots"] == [ROOTS["one"].pem.decode()] * 4


def test_a_member_that_cannot_be_evaluated_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pem: str, cluster_key: str) -> Any:
        if cluster_key == key("one"):
            raise RuntimeError("a defect")
        return read_roots(pem, cluster_key)

    monkeypatch.setattr("gateway.kube.peers_plan.read_roots", fail)
    before = told("one", roots=["old"])
    made = plan_peers([view("one"), view("two", own("two"), before)])
    assert made.peers[key("two")]["", "one"]["spec"] == before["spec"]
    assert set(made.peers[key("one")]) == {("", "two")}
    assert made.faults == {key("one"): "its roots cannot be evaluated: RuntimeError"}


def test_a_root_is_known_when_all_others_that_take_part_trust_it() -> None:
    new = make_root(key("one"), NOW)
    one = view("one", own("one", ROOTS["one"], new))

    def trusting(name: str, *roots: Issuer, by_hub: bool = True) -> ClusterView:
        peer = {**told("one"), "status": {"trusted": prints(*roots)}}
        return view(name, own(name), peer if by_hub else {**peer, "metadata": {"name": "one"}})

    def known(*others: ClusterView) -> list[str]:
        return plan_peers([one, *others]).said[key("one")]["known"]

    assert known() == prints(ROOTS["one"], new), "nobody else has to"
    both = trusting("two", ROOTS["one"], new)
    assert known(both) == prints(ROOTS["one"], new)
    assert known(both, trusting("three", ROOTS["one"])) == prints(ROOTS["one"])
    assert known(both, trusting("three")) == []
    assert known(both, view("three")) == [], "it has not even been told"
    assert known(both, trusting("three", new, by_hub=False)) == []
    assert known(both, view("three", told("one"))) == prints(ROOTS["one"], new), "it takes no part"
    assert known(both, view("three", None)) == [], "it is down, and comes back with what it knew"
    assert known(trusting("two", ROOTS["two"], new)) == prints(new), "what it says besides is of no use"


def asking(name: str, where: str = "10.0.0.1:8443", *, by_hub: bool = True) -> ClusterView:
    """A cluster all of whose gateways ask `one` there."""
    peer = {**told("one", gateway=GATEWAY), "status": {"asked": where}}
    return view(name, own(name), peer if by_hub else {**peer, "metadata": {"name": "one"}})


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([asking("two"), asking("three")], True),
        ([asking("two"), view("three", own("three"), told("one", gateway=GATEWAY))], False),
        ([asking("two"), asking("three", "10.0.0.9:8443")], False),
        ([asking("two"), asking("three", by_hub=False)], False),
        ([asking("two"), view("three", told("one"))], False),
        ([asking("two"), view("three", None)], None),
        ([view("two"), view("three", None)], False),
        ([], True),
    ],
    ids=[
        "all do", "one is told, its gateways do not yet", "where it was before", "by nobody's word",
        "one takes no part in mutual TLS", "one is down since the hub began", "another one does not for sure",
        "there is nobody else",
    ],
)  # fmt: skip
def test_a_cluster_is_told_when_all_others_ask_it_over_tls(
    others: list[ClusterView], *, said: bool | None
) -> None:
    found = plan_peers([view("one"), *others]).said[key("one")]
    assert found.get("tlsAlone") is said


def test_who_does_not_listen_is_not_asked_over_tls() -> None:
    for one in (view("one", own("one", listening=False)), view("one", port=0)):
        assert plan_peers([one, asking("two")]).said[key("one")]["tlsAlone"] is False


def test_without_mutual_tls_there_is_nothing_to_plan() -> None:
    made = plan([replace(view("one"), peers=None), replace(view("two"), peers=None)])
    assert (made.peers.peers, made.peers.said, made.faults) == ({}, {}, {})


class Member:
    """A cluster with an API, and a controller's authority whose gateways load what they are told at once."""

    def __init__(self, name: str, api: MiniApi, client: KubeClient) -> None:
        self.name, self.api, self.client = name, api, client
        self.now = NOW
        self.loads = True
        times = Lifetimes(root=timedelta(days=10), leaf=timedelta(hours=24))
        self.keeper = AuthorityKeeper(
            client, SYSTEM, key(name), self.loaded, lifetimes=times, clock=lambda: self.now
        )

    def peers(self) -> dict[str, Any]:
        return {path[2]: obj for path, obj in self.api.objects.items() if path[0] == "peers"}

    async def loaded(self) -> Loaded | None:
        if not self.loads:
            return None
        found = {
            peer["spec"]["clusterKey"]: frozenset(fingerprint(root) for root in roots_of(peer))
            for name, peer in self.peers().items() if name != self.name
        }  # fmt: skip
        asked = {
            peer["spec"]["clusterKey"]: "{ip}:{port}".format(**peer["spec"]["gateway"])
            for peer in self.peers().values() if "gateway" in peer["spec"]
        }  # fmt: skip
        return Loaded(certificate=True, roots=found, asked=asked)

    def roots(self) -> list[str]:
        return [fingerprint(root) for root in roots_of(self.peers()[self.name])]


def roots_of(peer: Any) -> list[Any]:
    return [root for pem in peer["spec"]["roots"] for root in read_roots(pem, peer["spec"]["clusterKey"])]


@pytest.fixture
async def members() -> AsyncIterator[list[Member]]:
    async with a_hub(MutualTls.STRICT) as found:
        yield found


@asynccontextmanager
async def a_hub(mutual_tls: MutualTls) -> AsyncIterator[list[Member]]:
    """The hub's own cluster and a member, both with mutual TLS."""
    found = []
    for name in ("control-plane", "two"):
        api = MiniApi()
        await api.start()
        client = KubeClient(from_kubeconfig(api.kubeconfig()), field_manager="test")
        await client.open()
        found.append(Member(name, api, client))
    home, member = found
    credential = {"kubeconfig": b64encode(member.api.kubeconfig().encode()).decode()}
    await home.api.put("secrets", SYSTEM, "two-kubeconfig", data=credential)
    await home.api.put("clusters", "", "two", spec={
        "gatewayHost": "10.0.0.2", "gatewayPort": 80, "gatewayPeersPort": 8443,
        "kubeconfigSecretRef": {"name": "two-kubeconfig"},
    })  # fmt: skip
    timing = Timing(check=0.5, first_retry=0.02, last_retry=0.1)
    hub = Hub(home.client, SYSTEM, HubMetrics(), timing=timing, mutual_tls=mutual_tls)
    running = asyncio.create_task(hub.run())
    yield found
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for one in found:
        await one.client.close()
        await one.api.stop()


async def test_a_root_goes_round_and_comes_back_as_known(members: list[Member], net: Any) -> None:
    """Both controllers and a whole hub: the roots, another one of the member, then the end of the first."""
    home, member = members

    async def rounds(condition: Any) -> None:
        for _ in range(200):
            for one in members:
                await one.keeper.keep()
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError({one.name: one.peers() for one in members})

    await rounds(lambda: "two" in home.peers() and "control-plane" in member.peers())
    await rounds(lambda: "gateway" in home.peers()["two"]["spec"])
    assert home.peers()["two"]["spec"]["gateway"] == {"ip": "10.0.0.2", "port": 8443}
    assert "PRIVATE" not in str(home.peers()) + str(member.peers())
    (old,) = member.roots()
    await rounds(lambda: member.peers()["two"].get("status") == {"known": [old], "tlsAlone": True})
    home.loads = False
    member.now += timedelta(days=6)
    await rounds(lambda: len(home.peers()["two"]["spec"]["roots"]) == 2)
    for _ in range(5):
        await member.keeper.keep()
        await asyncio.sleep(0.02)
    assert member.roots()[0] == old, "the gateways of the control plane have not said that they know it"
    home.loads = True
    await rounds(lambda: member.roots()[0] != old)
    new = member.roots()[0]
    member.now += timedelta(hours=24)
    await rounds(lambda: member.roots() == [new])
    await rounds(lambda: [fingerprint(root) for root in roots_of(home.peers()["two"])] == [new])


async def test_a_running_hub_sends_nobody_where_it_has_not_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """As to a k3d cluster that was made without the port: till then it is asked over plain HTTP."""
    open_at, dialled = False, []

    async def dial(listener: Listener, cluster: str) -> None:
        dialled.append((listener.ip, listener.port, cluster))
        if not open_at:
            raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr("gateway.kube.peers_reached.dial", dial)
    monkeypatch.setattr("gateway.kube.peers_reached.Reached.__init__.__defaults__", (0.05,))
    async with a_hub(MutualTls.PERMISSIVE) as (home, member):

        async def settle(condition: Any) -> None:
            for _ in range(200):
                for one in (home, member):
                    await one.keeper.keep()
                if condition():
                    return
                await asyncio.sleep(0.02)
            raise AssertionError({one.name: one.peers() for one in (home, member)})

        await settle(lambda: len(dialled) > 2)
        assert set(dialled) == {("10.0.0.2", 8443, key("two"))}
        assert member.peers()["control-plane"]["status"], "all else is there"
        assert home.peers()["two"]["status"]["trusted"]
        assert "gateway" not in home.peers()["two"]["spec"]
        open_at = True
        await settle(lambda: "gateway" in home.peers()["two"]["spec"])
        count = len(dialled)
        await settle(lambda: True)
        assert len(dialled) == count, "once is enough"


async def test_a_cluster_that_leaves_is_nobodys_peer(members: list[Member], net: Any) -> None:
    home, member = members
    for one in (*members, *members):
        await one.keeper.keep()
        await asyncio.sleep(0.1)
    await net.until(lambda: "two" in home.peers() and "control-plane" in member.peers())
    await home.api.remove("clusters", "", "two")
    await net.until(lambda: set(home.peers()) == {"control-plane"})
    await net.until(lambda: set(member.peers()) == {"two"})
