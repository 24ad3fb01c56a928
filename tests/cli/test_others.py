"""Destroy asks before it deletes namespaces with objects of others in them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from cli import others, take_down
from cli.errors import UserError
from cli.observe.api import ApiError

URN = "urn:pulumi:e::multicluster-dapr"


def provider(name: str, identifier: str) -> dict[str, Any]:
    kind = "pulumi:providers:kubernetes"
    inputs = {"clusterIdentifier": identifier}
    return {"type": kind, "urn": f"{URN}::a:b:C${kind}::{name}-kubernetes", "inputs": inputs}


def resource(kind: str, name: str, *, cluster: str = "east", parent: str = "", **more: Any) -> dict[str, Any]:
    provider = f"{URN}::a:b:C$pulumi:providers:kubernetes::{cluster}-kubernetes::0f"
    return {
        "type": kind, "urn": f"{URN}::{parent}{kind}::one", "id": name, "provider": provider, **more,
    }  # fmt: skip


EAST = provider("east", "https://east.example.org:6443")
STATE = others.recorded(
    [
        provider("east-shop-files", "https://east.example.org:6443"),
        EAST,
        provider("west", "https://west.example.org:6443"),
        {"type": "pulumi:pulumi:Stack", "urn": f"{URN}::pulumi:pulumi:Stack::e"},
        resource("kubernetes:core/v1:Namespace", "shop"),
        resource("kubernetes:core/v1:Namespace", "kept", retainOnDelete=True),
        resource("kubernetes:core/v1:NamespacePatch", "theirs"),
        resource("kubernetes:core/v1:Namespace", "dapr-system", parent="multicluster-dapr:dapr:Dapr$"),
        resource("kubernetes:core/v1:Namespace", "shop", cluster="k3d", deletedWith=f"{URN}::x::y"),
        resource("kubernetes:apps/v1:Deployment", "shop/nodeapp"),
        resource("kubernetes:core/v1:ConfigMap", "shop/from-a-file", cluster="east-shop-files"),
        resource("kubernetes:helm.sh/v3:Release", "shop/greeting"),
        resource("kubernetes:helm.sh/v3:Release", "shop/mail", cluster="west"),
    ]
)


def test_a_component_of_the_provider_is_no_object() -> None:
    kind = "kubernetes:yaml/v2:ConfigFile"
    state = others.recorded([{"type": kind, "urn": f"{URN}::{kind}::shop"}])
    assert not state.namespaces | state.objects


def test_namespaces_that_go_are_those_made_for_apps_and_exports() -> None:
    assert STATE.namespaces == {("east", "shop")}


def found(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", **more}}


def of_release(release: str) -> dict[str, Any]:
    said = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "shop"}
    return found("from-a-chart", annotations=said)


def kept_by_helm(release: str) -> dict[str, Any]:
    return {**found("kept", labels={"owner": "helm", "name": release}), "type": "helm.sh/release.v1"}


@pytest.mark.parametrize(
    ("kind", "one", "theirs"),
    [
        ("Deployment", found("checkout"), True),
        ("Deployment", found("nodeapp"), False),
        ("Secret", found("nodeapp"), True),
        ("Pod", found("nodeapp-5f", ownerReferences=[{"kind": "ReplicaSet"}]), False),
        ("ConfigMap", found("kube-root-ca.crt"), False),
        ("Secret", {**found("token"), "type": "kubernetes.io/service-account-token"}, False),
        ("Service", found("paid", labels={others.MANAGED_BY: "multicluster-gateway"}), False),
        ("Service", found("paid", labels={others.MANAGED_BY: "Helm"}), True),
        ("ConfigMap", found("from-a-file"), False),
        ("ConfigMap", of_release("greeting"), False),
        ("ConfigMap", of_release("mail"), True),
        ("Secret", kept_by_helm("greeting"), False),
        ("Secret", kept_by_helm("mail"), True),
    ],
)
def test_what_others_made_is_what_neither_state_nor_a_controller_knows(
    kind: str, one: dict[str, Any], theirs: bool
) -> None:
    expected = [f"{kind} shop/{one['metadata']['name']} in east"] if theirs else []
    assert list(others.foreign("east", kind, [one], STATE)) == expected


class Api:
    """Has one Deployment, or refuses."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses

    async def json(self, path: str) -> Any:
        if self.refuses in path and self.refuses:
            raise ApiError("forbidden", 403)
        return {"items": [found("checkout")] if path.endswith("deployments") else []}


async def test_every_kind_is_asked_for_and_what_cannot_be_seen_is_said() -> None:
    look = others._of_cluster
    assert await look("east", Api(), STATE) == ["Deployment shop/checkout in east"]  # type: ignore[arg-type]
    assert await look("east", Api("secrets"), STATE) == [  # type: ignore[arg-type]
        "Deployment shop/checkout in east",
        "whatever is in east: forbidden",
    ]
    assert await look("east", None, STATE) == ["whatever is in east: there is no kubeconfig of it"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Somebody who answers."""

    def says(answer: str) -> None:
        stdin = io.StringIO(f"{answer}\n")
        stdin.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", stdin)

    return says


def test_nothing_of_others_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    take_down._ask_for_others([], "existing")


@pytest.mark.parametrize("answer", ["y", "YES"])
def test_a_yes_goes_on(terminal: Callable[[str], None], answer: str) -> None:
    terminal(answer)
    take_down._ask_for_others(["Secret shop/key in east"], "existing")


@pytest.mark.parametrize("answer", ["", "n", "what?"])
def test_anything_else_deletes_nothing(
    terminal: Callable[[str], None], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(answer)
    with pytest.raises(UserError, match=r"nothing was deleted"):
        take_down._ask_for_others([f"Secret shop/{n} in east" for n in range(others.SHOWN + 3)], "existing")
    shown = capsys.readouterr().out
    assert "Secret shop/19 in east" in shown
    assert "and 3 more" in shown


def test_a_script_has_to_say_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UserError, match=r"Secret shop/key in east\n.*destroy existing --yes"):
        take_down._ask_for_others(["Secret shop/key in east"], "existing")
