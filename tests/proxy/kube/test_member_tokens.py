"""The hub's tokens in its members, against APIs of a few lines: the first, the next, the end of one."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from proxy.kube.mini_api import MiniApi, serving
from proxy.kube.test_hub import CLUSTER_1, World, until

from gateway.core.member_token import MemberToken, TokenRequest, fingerprint
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.errors import CredentialError, KubeError
from gateway.kube.token_keeper import TokenKeeper, TokenStore

SYSTEM = "multicluster-system"
KEPT = ("secrets", SYSTEM, "cluster-1-token")
BOOTSTRAP = ("secrets", SYSTEM, "multicluster-hub-bootstrap")
WANTED = {
    "namespace": SYSTEM,
    "serviceAccount": "multicluster-hub",
    "secret": KEPT[2],
    "bootstrapSecret": BOOTSTRAP[2],
}


class Tokens(World):
    """Members that the hub has no lasting credential of."""

    async def begin(self, credential: str = "begin-1") -> None:
        """What the program makes: a credential to begin with, and where to keep what comes of it."""
        self.one.token = "nobody's"
        self.one.bootstrap = {credential}
        await self.one.put(*BOOTSTRAP, data={})
        await self.secret("cluster-1", credential)

    async def join_with_tokens(self) -> None:
        await self.home.put(*KEPT, data={})
        await self.begin()
        body = {"gatewayHost": "172.28.0.1", "kubeconfigSecretRef": {"name": "cluster-1"}}
        await self.home.put("clusters", "", "cluster-1", spec={**body, "tokenRequest": WANTED})

    def kept(self) -> str:
        return base64.b64decode(self.home.objects[KEPT].get("data", {}).get("token", "")).decode()

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = self.home.objects[CLUSTER_1].get("status", {}).get("token", {})
        return found


@pytest.fixture
async def world() -> AsyncIterator[Tokens]:
    made = Tokens()
    async with serving(made.home, made.one, made.two):
        yield made


async def test_the_credential_to_begin_with_buys_one_token_and_is_gone(
    world: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await world.join_with_tokens()
    await world.start_hub()
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    await until(lambda: BOOTSTRAP not in world.one.objects, "the credential is deleted in the member")
    assert world.kept() == "granted-1"
    await until(lambda: set(world.told()) == {"issued", "expires"}, "its age is told")
    (sample,) = world.metrics.token_expires.collect()[0].samples
    assert sample.value == pytest.approx(world.one.granted["granted-1"], abs=5)
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")
    await world.stop_hub()
    cluster = json.dumps(world.home.objects[CLUSTER_1])
    for secret in ("granted-1", "begin-1"):
        assert secret not in caplog.text
        assert secret not in cluster


async def test_a_restarted_hub_goes_on_with_the_token_that_is_kept(world: Tokens) -> None:
    await world.join_with_tokens()
    await world.start_hub()
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    await until(lambda: BOOTSTRAP not in world.one.objects, "the credential is deleted in the member")
    await world.stop_hub()
    world.one.bootstrap.clear()
    await world.export(world.one)
    await world.start_hub()
    await world.expect(world.home, "cluster-1")
    assert list(world.one.granted) == ["granted-1"], "no other was asked for"
    await world.stop_hub()


async def test_tokens_are_renewed_without_the_credential_to_begin_with_and_without_a_break(
    world: Tokens,
) -> None:
    world.timing = replace(world.timing, check=0.1, token_seconds=6)
    await world.join_with_tokens()
    await world.start_hub()
    await until(lambda: world.kept() == "granted-1", "the first token")
    world.one.bootstrap.clear()
    await until(lambda: world.kept() == "granted-3", "the third token")
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")
    conditions = world.home.objects[CLUSTER_1]["status"]["conditions"]
    assert [one["status"] for one in conditions if one["type"] == "Managed"] == ["True"]
    changes = [obj for _, plural, _, obj in world.home.history if plural == "clusters"]
    said = {c["status"] for obj in changes for c in obj.get("status", {}).get("conditions", [])}
    assert said == {"True"}, "it was managed all the time"
    await world.stop_hub()


async def test_a_member_away_for_longer_than_a_token_needs_a_new_credential_and_gets_one(
    world: Tokens,
) -> None:
    world.timing = replace(world.timing, check=0.1, token_seconds=1)
    await world.join_with_tokens()
    await world.export(world.one)
    await world.start_hub()
    await world.expect(world.home, "cluster-1")
    await until(lambda: BOOTSTRAP not in world.one.objects, "the credential is deleted in the member")
    world.one.bootstrap.clear()
    await world.one.stop()
    await asyncio.sleep(1.1)
    await world.one.start()
    await world.condition(world.home, CLUSTER_1, "Managed", "False", "give the cluster a new credential")
    assert world.exporters(world.home) == {"cluster-1"}, "what was imported stays"
    await until(lambda: world.told()["message"] == "who are you", "why is told")
    await world.begin("begin-2")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    await until(lambda: BOOTSTRAP not in world.one.objects, "the second credential is deleted as well")
    await until(lambda: "message" not in world.told(), "all is well")
    await world.stop_hub()


async def test_a_token_that_cannot_be_kept_does_not_use_up_the_credential(world: Tokens) -> None:
    """A hub that ended now would have nothing."""
    await world.join_with_tokens()
    await world.home.remove(*KEPT)
    await world.start_hub()
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    await until(lambda: "cluster-1-token not found" in world.told().get("message", ""), "it is told")
    assert BOOTSTRAP in world.one.objects
    await world.home.put(*KEPT, data={})
    await until(lambda: BOOTSTRAP not in world.one.objects, "once it is kept the credential goes")
    await world.stop_hub()


async def test_a_cluster_that_leaves_is_cleared_by_a_token(world: Tokens) -> None:
    await world.join_with_tokens()
    await world.join("cluster-2")
    await world.export(world.two)
    await world.start_hub()
    await world.expect(world.one, "cluster-2")
    await world.finalized("cluster-1")
    await world.home.remove(*CLUSTER_1)
    await world.gone("cluster-1")
    assert world.exporters(world.one) == set()
    assert world.metrics.token_expires.collect()[0].samples == []
    await world.stop_hub()


async def test_an_environment_with_a_lasting_token_goes_over_to_tokens_that_end(world: Tokens) -> None:
    await world.join("cluster-1")
    await world.export(world.one)
    await world.start_hub()
    await world.expect(world.home, "cluster-1")
    await world.join_with_tokens()
    await until(lambda: world.kept() == "granted-1", "a token is asked for and kept")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    await world.export(world.one, "other")
    await world.expect(world.home, "cluster-1", name="other")
    assert world.exporters(world.home) == {"cluster-1"}
    await world.stop_hub()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": {"token": "two\r\nlines"}, "spec": {"expirationSeconds": 600}},
        {"status": {"token": 1}, "spec": {"expirationSeconds": 600}},
        {"status": {"token": "a.b.c"}},
        {"status": {"token": "a.b.c"}, "spec": {"expirationSeconds": "long"}},
        {"status": {"token": "a" * 20000}, "spec": {"expirationSeconds": 600}},
    ],
)
async def test_what_a_member_gives_in_place_of_a_token_is_not_taken(
    world: Tokens, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    async def call(*_: Any, **__: Any) -> dict[str, Any]:
        return answer

    async with KubeClient(from_kubeconfig(world.one.kubeconfig()), field_manager="test") as client:
        monkeypatch.setattr(client, "_call", call)
        with pytest.raises(KubeError, match="without a token"):
            await client.request_token(SYSTEM, "multicluster-hub", 3600)


async def test_no_member_gives_more_time_than_was_asked_for(
    world: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call(*_: Any, **__: Any) -> dict[str, Any]:
        return {"status": {"token": "a.b.c"}, "spec": {"expirationSeconds": 10**12}}

    async with KubeClient(from_kubeconfig(world.one.kubeconfig()), field_manager="test") as client:
        monkeypatch.setattr(client, "_call", call)
        assert await client.request_token(SYSTEM, "multicluster-hub", 3600) == ("a.b.c", 3600)


async def test_attempts_that_fail_become_rare(world: Tokens) -> None:
    """A member that refuses everything is not asked every few seconds for good."""
    await world.begin()
    world.one.bootstrap.clear()
    keeper = _keeper(world, world.one)
    for _ in range(12):
        await keeper.step()
    assert keeper._pause == 60.0
    assert keeper.missing.startswith("the hub has no token yet: who are you")


async def test_a_kubeconfig_without_a_token_is_no_credential_to_begin_with(world: Tokens) -> None:
    with pytest.raises(CredentialError, match="cluster-1 needs a kubeconfig with a token"):
        _keeper(world, world.one, credential="")


def _keeper(world: Tokens, api: MiniApi, credential: str = "begin-1") -> TokenKeeper:
    home = KubeClient(from_kubeconfig(world.home.kubeconfig()), field_manager="test")
    return TokenKeeper(
        "cluster-1",
        from_kubeconfig(api.kubeconfig(credential)),
        request=TokenRequest(SYSTEM, "multicluster-hub", KEPT[2]),
        store=TokenStore(home, SYSTEM),
        kept=MemberToken(source=fingerprint("none")),
        on_change=lambda: None,
    )
