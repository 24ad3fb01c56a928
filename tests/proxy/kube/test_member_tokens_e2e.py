"""The hub's tokens against real API servers: what the program grants is enough, and a stolen token ends."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from proxy.kube.admission import Bound, bind, refuses
from proxy.kube.world import FLOMESH, HOME, MEMBER, Clusters, Process, eventually, made, namespace

from components.mesh import rbac
from components.mesh.hub_bootstrap import bootstrap_secret, token_spec
from gateway.core.member_token import MemberToken, TokenRequest, encode, fingerprint
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.token_keeper import TokenKeeper, TokenStore
from tests.harness.api_server import ApiServer

pytestmark = pytest.mark.e2e

SYSTEM = "multicluster-system"
SECRETS = f"/api/v1/namespaces/{SYSTEM}/secrets"
ACCOUNTS = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts"
CLUSTER = f"{FLOMESH}/clusters/cluster-1"
EXPORTS = f"{FLOMESH}/serviceexports"
BEGIN, KEPT = "cluster-1-hub-bootstrap", "cluster-1-hub-token"
TEN_YEARS = {"spec": {"expirationSeconds": 10 * 365 * 86400}}
HOUR = {"spec": {"expirationSeconds": 3600}}


class Tokens(Clusters):
    """A control plane and one member, with the rules that the program grants there and no others."""

    def __init__(self, home: ApiServer, member: ApiServer, folder: Path) -> None:
        super().__init__([home, member, member], folder)
        for server in (home, member):
            namespace(server, SYSTEM)
            namespace(server, "dapr-test")
        home.account("hub-home", *MEMBER, *HOME)
        self._grant(home, "hub-home", "keeps", rbac.hub_keeps(KEPT))
        member.account(rbac.HUB_ACCOUNT, *MEMBER)
        member.kubectl("create", "serviceaccount", rbac.BOOTSTRAP, "-n", SYSTEM)
        self._grant(member, rbac.HUB_ACCOUNT, "renewal", rbac.HUB_RENEWAL)
        self._grant(member, rbac.BOOTSTRAP, "bootstrap", rbac.HUB_BOOTSTRAP)
        bind(member, "tokens", token_spec(namespace=SYSTEM))
        self.apply(home, SECRETS, _secret(KEPT))

    @staticmethod
    def _grant(server: ApiServer, account: str, name: str, rules: Sequence[rbac.Rule]) -> None:
        kinds = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": name, "namespace": SYSTEM},
        }
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}
        items = [
            {**kinds, "kind": "Role", "rules": list(rules)},
            {**kinds, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
        ]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        server.kubectl("apply", "-f", "-", stdin=text)

    def begin(self) -> str:
        """Make the member's credential to begin with, as the program does, and give it to the hub."""
        body = {"apiVersion": "v1", "kind": "Secret", **bootstrap_secret(SYSTEM, rbac.BOOTSTRAP)}
        self.one.call("POST", SECRETS, body)
        path = f"{SECRETS}/{rbac.BOOTSTRAP}"
        data = eventually(lambda: self.one.call("GET", path).get("data"), "Kubernetes fills in the token")
        token = base64.b64decode(data["token"]).decode()
        self.apply(
            self.home,
            SECRETS,
            {**_secret(BEGIN), "stringData": {"kubeconfig": self.one.kubeconfig_with(token)}},
        )
        return token

    def join_with_tokens(self) -> None:
        wanted = {
            "namespace": SYSTEM,
            "serviceAccount": rbac.HUB_ACCOUNT,
            "secret": KEPT,
            "bootstrapSecret": rbac.BOOTSTRAP,
        }
        spec = {"gatewayHost": "172.28.0.1", "gatewayPort": 81, "kubeconfigSecretRef": {"name": BEGIN}}
        self.apply(
            self.home, f"{FLOMESH}/clusters", made("Cluster", "cluster-1", {**spec, "tokenRequest": wanted})
        )

    def keep(self, token: MemberToken) -> None:
        self.home.call("PATCH", f"{SECRETS}/{KEPT}", {"data": encode(token)}, content="merge")

    def kept(self) -> str:
        data = self.home.call("GET", f"{SECRETS}/{KEPT}").get("data", {})
        return base64.b64decode(data.get("token", "")).decode()

    def is_spent(self) -> bool:
        return f"secrets/{rbac.BOOTSTRAP}" not in self.one.kubectl(
            "get", "secrets", "-n", SYSTEM, "-o", "name"
        )


def _secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _aged(token: str, server: ApiServer, seconds: int) -> str:
    """The same token as if it had been issued earlier, signed with the API server's own key."""
    claims = _claims(token)
    claims |= {name: claims[name] - seconds for name in ("iat", "nbf", "exp")}
    head = token.split(".", maxsplit=1)[0]
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    key = serialization.load_pem_private_key((server.folder / "sa.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    signature = key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.fixture(scope="module")
def servers(
    api_servers: Callable[[int], list[ApiServer]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tokens]:
    (home,) = api_servers(1)
    with ApiServer(tmp_path_factory.mktemp("member"), controllers=True) as member:
        member.install_crds()
        yield Tokens(home, member, tmp_path_factory.mktemp("clusters"))


@pytest.fixture
def tokens(servers: Tokens) -> Iterator[Tokens]:
    """Nothing joined yet."""
    yield servers
    servers.one.kubectl("delete", "secret", rbac.BOOTSTRAP, "-n", SYSTEM, "--ignore-not-found")
    servers.home.call("PATCH", f"{SECRETS}/{KEPT}", {"data": None}, content="merge")


@pytest.fixture
def hub(tokens: Tokens, tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, tokens.home, "hub")
    yield process
    tokens.home.kubectl("delete", "cluster.flomesh.io/cluster-1", "--ignore-not-found", "--timeout=60s")
    code, said = process.stop(), process.log.read_text()
    assert code == 0, said
    assert "Traceback" not in said, said


def test_the_credential_to_begin_with_asks_for_the_hubs_tokens_and_nothing_else(tokens: Tokens) -> None:
    member = tokens.one
    thief = Bound(member, tokens.begin())
    hubs = f"{ACCOUNTS}/{rbac.HUB_ACCOUNT}/token"
    refuses(thief, "POST", hubs, TEN_YEARS, "it asks for tokens of 3600 seconds at most")
    assert thief.call("POST", hubs, HOUR)[0] == 201
    for method, path, body in (
        ("POST", f"{ACCOUNTS}/{rbac.BOOTSTRAP}/token", HOUR),
        ("POST", f"{ACCOUNTS}/default/token", HOUR),
        ("GET", EXPORTS, None),
        ("GET", SECRETS, None),
        ("DELETE", f"{SECRETS}/{rbac.BOOTSTRAP}", None),
        ("GET", "/api/v1/namespaces", None),
    ):
        assert thief.call(method, path, body)[0] == 403, f"{method} {path}"


def test_a_token_of_the_hubs_asks_for_the_next_one_and_for_no_longer(tokens: Tokens) -> None:
    member = tokens.one
    hubs = f"{ACCOUNTS}/{rbac.HUB_ACCOUNT}/token"
    thief = Bound(member, str(member.call("POST", hubs, HOUR)["status"]["token"]))
    refuses(thief, "POST", hubs, TEN_YEARS, "it asks for tokens of 3600 seconds at most")
    assert thief.call("POST", hubs, HOUR)[0] == 201
    assert thief.call("GET", EXPORTS)[0] == 200
    for method, path, body in (
        ("POST", f"{ACCOUNTS}/{rbac.BOOTSTRAP}/token", HOUR),
        ("GET", SECRETS, None),
        ("GET", f"{SECRETS}/{rbac.BOOTSTRAP}", None),
        ("DELETE", f"{SECRETS}/another", None),
        ("POST", SECRETS, _secret("another")),
    ):
        assert thief.call(method, path, body)[0] == 403, f"{method} {path}"


def test_the_hub_begins_ends_what_it_began_with_and_goes_on_after_a_restart(
    tokens: Tokens, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    begun = tokens.begin()
    tokens.join_with_tokens()
    first = Process(tmp_path, tokens.home, "hub", "--log-level", "debug")
    try:
        tokens.expect(tokens.home, CLUSTER, "Managed", "True")
        eventually(tokens.is_spent, "the credential to begin with is deleted")
        eventually(lambda: Bound(tokens.one, begun).call("GET", "/version")[0] == 401, "and its token ends")
        token = tokens.kept()
        claims = _claims(token)
        assert claims["sub"] == f"system:serviceaccount:{SYSTEM}:{rbac.HUB_ACCOUNT}"
        assert claims["exp"] - claims["iat"] == 3600
        status = eventually(
            lambda: tokens.home.call("GET", CLUSTER)["status"].get("token"), "its age is told"
        )
        assert set(status) == {"issued", "expires"}
        tokens.service(tokens.one)
        tokens.export(tokens.one)
        tokens.expect_import(tokens.home, {3000: {"cluster-1"}})
    finally:
        first.kill()
    assert token not in first.log.read_text()
    assert begun not in first.log.read_text()
    aged = _aged(token, tokens.one, 3700)
    assert Bound(tokens.one, token).call("GET", EXPORTS)[0] == 200
    assert Bound(tokens.one, aged).call("GET", EXPORTS)[0] == 401, "stolen an hour ago it is of no use"
    second = Process(tmp_path_factory.mktemp("second"), tokens.home, "hub")
    try:
        tokens.remove(tokens.one, f"{FLOMESH}/namespaces/dapr-test/serviceexports/nodeapp")
        tokens.expect_import(tokens.home, {})
        assert tokens.kept() == token, "the one that is kept does"
        tokens.home.kubectl("delete", "cluster.flomesh.io/cluster-1", "--timeout=60s")
    finally:
        assert second.stop() == 0


async def test_at_half_of_its_life_a_token_buys_the_next_one(tokens: Tokens) -> None:
    home = from_kubeconfig(tokens.home.kubeconfig_with(tokens.home.account("hub-home")))
    bootstrap = from_kubeconfig(tokens.one.kubeconfig_with(tokens.begin()))
    clock = time.time()
    async with KubeClient(home, field_manager="test") as client:
        keeper = TokenKeeper(
            "cluster-1",
            bootstrap,
            request=TokenRequest(SYSTEM, rbac.HUB_ACCOUNT, KEPT, rbac.BOOTSTRAP),
            store=TokenStore(client, SYSTEM),
            kept=MemberToken(),
            on_change=lambda: None,
            now=lambda: clock,
        )
        await keeper.step()
        first = keeper.token
        assert (keeper.problem, tokens.kept(), tokens.is_spent()) == ("", first.text, True)
        clock += 1790
        await keeper.step()
        assert keeper.token == first
        clock += 20
        await keeper.step()
        assert keeper.problem == ""
        assert tokens.kept() == keeper.token.text != first.text
        assert keeper.token.expires == clock + 3600


def test_a_member_away_for_too_long_comes_back_by_a_new_credential(tokens: Tokens, hub: Process) -> None:
    """A token as it is after an hour in which nobody renewed it."""
    begun = tokens.begin()
    token = str(tokens.one.call("POST", f"{ACCOUNTS}/{rbac.HUB_ACCOUNT}/token", HOUR)["status"]["token"])
    now = time.time()
    tokens.keep(MemberToken(_aged(token, tokens.one, 3700), now - 3700, now - 100, fingerprint(begun)))
    tokens.remove(tokens.one, f"{SECRETS}/{rbac.BOOTSTRAP}")
    eventually(lambda: Bound(tokens.one, begun).call("GET", "/version")[0] == 401, "it is spent")
    tokens.join_with_tokens()
    tokens.expect(tokens.home, CLUSTER, "Managed", "False", "give the cluster a new credential to begin with")
    tokens.begin()
    tokens.expect(tokens.home, CLUSTER, "Managed", "True")
    eventually(tokens.is_spent, "the new credential is deleted as well")


def test_an_environment_with_a_lasting_token_goes_over_without_a_break(tokens: Tokens, hub: Process) -> None:
    tokens.service(tokens.one)
    tokens.export(tokens.one)
    tokens.join("cluster-1", tokens.one, 81)
    tokens.expect_import(tokens.home, {3000: {"cluster-1"}})
    tokens.begin()
    tokens.join_with_tokens()
    eventually(tokens.is_spent, "the hub has begun")
    tokens.remove(tokens.home, f"{SECRETS}/cluster-1")
    tokens.expect(tokens.home, CLUSTER, "Managed", "True")
    assert tokens.imported(tokens.home) == {3000: {"cluster-1"}}
    tokens.remove(tokens.one, f"{FLOMESH}/namespaces/dapr-test/serviceexports/nodeapp")
    tokens.expect_import(tokens.home, {})
