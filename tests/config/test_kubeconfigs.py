"""How clusters that exist are reached: one context out of a kubeconfig."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from config.environments import read_environment

from stacks.config import kubeconfigs, loading
from stacks.config.problem import SettingsError

KUBECONFIG = {
    "contexts": [
        {"name": "prod", "context": {"cluster": "here", "user": "me", "namespace": "mine"}},
        {"name": "lost", "context": {"cluster": "gone", "user": "me"}},
        {"name": "east", "context": {"cluster": "there", "user": "you"}},
        {"name": "west", "context": {"cluster": "elsewhere", "user": "me"}},
        {"name": "twice", "context": {"cluster": "there", "user": "me"}},
    ],
    "clusters": [
        {"name": "here", "cluster": {"server": "https://here:6443", "certificate-authority": "ca.crt"}},
        {"name": "there", "cluster": {"server": "https://there:6443"}},
        {"name": "elsewhere", "cluster": {"server": "https://there:6443", "tls-server-name": "elsewhere"}},
    ],
    "users": [{"name": "me", "user": {"token": "mine"}}, {"name": "you", "user": {"token": "a-secret"}}],
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    """Reads the kubeconfigs of the worked example with its first cluster changed."""
    (tmp_path / "config").write_text(yaml.safe_dump(KUBECONFIG))
    (tmp_path / "ca.crt").write_text("the CA")

    def read(**keys: str) -> Any:
        config = read_environment("existing")
        for cluster in config["clusters"]:
            cluster["kubeconfig"] = str(tmp_path / "config")
        config["clusters"][0] |= {"context": "prod", **keys}
        return kubeconfigs.read(loading.parse({**config, "redisPassword": "a-password-of-theirs"}))

    return read


def test_a_cluster_is_reached_by_its_context_alone(read: Callable[..., Any]) -> None:
    kubeconfig = read()["hub"]
    assert kubeconfig.server == "https://here:6443"
    document = yaml.safe_load(kubeconfig.text)
    assert document["current-context"] == "prod"
    assert document["contexts"] == KUBECONFIG["contexts"][:1], "with the namespace the user chose"
    assert "a-secret" not in kubeconfig.text, "a credential that is not needed stays out of the state"
    assert "mine" not in repr(kubeconfig)


def test_only_clusters_that_exist_have_a_kubeconfig(dev: dict[str, Any]) -> None:
    assert kubeconfigs.read(loading.parse(dev)) == {}


def test_what_is_in_files_is_taken_in(read: Callable[..., Any]) -> None:
    cluster = yaml.safe_load(read()["hub"].text)["clusters"][0]["cluster"]
    assert cluster["certificate-authority-data"] == base64.b64encode(b"the CA").decode()
    assert "certificate-authority" not in cluster


def _problem(read: Callable[..., Any], **keys: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**keys)
    (problem,) = caught.value.problems
    return str(problem)


def test_a_file_that_is_not_there_is_named(read: Callable[..., Any], tmp_path: Path) -> None:
    assert _problem(read, kubeconfig=str(tmp_path / "none")) == (
        f"clusters[0].kubeconfig = '{tmp_path}/none': cannot be read: No such file or directory. "
        "Write the path of a kubeconfig file."
    )


def test_a_file_that_is_no_kubeconfig_is_not_quoted(read: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "torn").write_text("token: [a-secret")
    assert _problem(read, kubeconfig=str(tmp_path / "torn")) == (
        f"clusters[0].kubeconfig = '{tmp_path}/torn': is not YAML. Write the path of a kubeconfig file."
    )
    (tmp_path / "text").write_text("just words")
    assert "is not a kubeconfig" in _problem(read, kubeconfig=str(tmp_path / "text"))


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ("dev", "it has no context dev; it has: prod, lost, east, west, twice"),
        ("lost", "it has no cluster gone; it has: here, there, elsewhere"),
    ],
)
def test_a_context_that_leads_nowhere_is_named(
    context: str, reason: str, read: Callable[..., Any], tmp_path: Path
) -> None:
    assert _problem(read, context=context) == (
        f"clusters[0].context = '{context}': cannot be taken from {tmp_path}/config: {reason}. "
        "See `kubectl config view` of that file."
    )


def test_every_cluster_that_cannot_be_reached_is_in_one_message() -> None:
    config = read_environment("existing")
    for cluster in config["clusters"]:
        cluster["kubeconfig"] = "/nowhere"
        cluster["context"] = cluster["name"]
    with pytest.raises(SettingsError, match="3 problems"):
        kubeconfigs.read(loading.parse({**config, "redisPassword": "a-password-of-theirs"}))


RANCHER = "https://rancher.example.org/k8s/clusters/c-7"


def behind_a_proxy(tmp_path: Path, server: str = RANCHER, **keys: str) -> list[str]:
    """What is said when a member's context leads to this server."""
    servers = {"here": "https://here:6443", "there": server}
    clusters = [{"name": name, "cluster": {"server": url}} for name, url in servers.items()]
    document = {**KUBECONFIG, "clusters": clusters}
    (tmp_path / "proxied").write_text(yaml.safe_dump(document))
    config = read_environment("existing")
    config["clusters"] = [{**one, "kubeconfig": str(tmp_path / "proxied")} for one in config["clusters"][:2]]
    config["clusters"][0]["context"] = "prod"
    config["clusters"][1] |= {"context": "east", **keys}
    config |= {"policies": [], "apps": config["apps"][:1], "redisPassword": "a-password-of-theirs"}
    try:
        kubeconfigs.read(loading.parse(config))
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_proxy_before_a_members_api_is_named(tmp_path: Path) -> None:
    (problem,) = behind_a_proxy(tmp_path)
    assert problem.startswith(
        f"clusters[1].apiServer: missing, and the context leads to {RANCHER}: the path "
    )
    assert "authorized cluster endpoint" in problem


@pytest.mark.parametrize("api_server", ["https://api.example.org:6443", RANCHER, f"{RANCHER}/"])
def test_the_hub_may_have_a_url_of_its_own_also_one_with_a_path(tmp_path: Path, api_server: str) -> None:
    assert behind_a_proxy(tmp_path, apiServer=api_server) == []


def test_a_url_without_a_path_is_the_apis_own(tmp_path: Path) -> None:
    assert behind_a_proxy(tmp_path, "https://there:6443/") == []


@pytest.mark.parametrize("same", ["https://HERE:443", "https://here/", "https://here:443/"])
def test_one_cluster_by_two_ways_of_writing_its_url_is_named(tmp_path: Path, same: str) -> None:
    document = {
        **KUBECONFIG,
        "clusters": [
            {"name": name, "cluster": {"server": server}}
            for name, server in (("here", "https://here"), ("there", same))
        ],
    }
    (tmp_path / "twice").write_text(yaml.safe_dump(document))
    config = read_environment("existing")
    config["clusters"] = [{**one, "kubeconfig": str(tmp_path / "twice")} for one in config["clusters"][:2]]
    config["clusters"][0]["context"], config["clusters"][1]["context"] = "prod", "east"
    config |= {"policies": [], "apps": config["apps"][:1], "redisPassword": "a-password-of-theirs"}
    with pytest.raises(SettingsError, match="hub is the same cluster"):
        kubeconfigs.read(loading.parse(config))


def chosen(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """The one context of a file, with keys of its cluster and user changed, as it goes on."""
    cluster, user = changes.pop("cluster", {}), changes.pop("user", {})
    document = {
        "contexts": [{"name": "prod", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": "https://here:6443", **cluster}}],
        "users": [{"name": "me", "user": user}],
        **changes,
    }
    (tmp_path / "one").write_text(yaml.safe_dump(document))
    settings = loading.parse({**read_environment("existing"), "redisPassword": "a-password-of-theirs"})
    first = settings.clusters[0].model_copy(update={"kubeconfig": str(tmp_path / "one"), "context": "prod"})
    read = kubeconfigs.read(settings.model_copy(update={"clusters": (first,)}))
    found: dict[str, Any] = yaml.safe_load(read[first.name].text)
    return found


def test_two_contexts_of_one_cluster_are_named(read: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        read(context="twice")
    (problem,) = caught.value.problems
    assert (problem.path, problem.value) == ("clusters[1].context", "east")
    assert "hub is the same cluster: both lead to https://there:6443" in str(problem)


def test_the_content_counts_where_a_file_is_named_too(tmp_path: Path) -> None:
    both = {"certificate-authority": "none.crt", "certificate-authority-data": "Q0E="}
    cluster = chosen(tmp_path, cluster=both)["clusters"][0]["cluster"]
    assert cluster == {"server": "https://here:6443", "certificate-authority-data": "Q0E="}


def test_empty_keys_count_as_absent(tmp_path: Path) -> None:
    cluster = {"certificate-authority": None, "certificate-authority-data": None}
    found = chosen(tmp_path, cluster=cluster, users=[{"name": "me", "user": None}])
    assert found["clusters"][0]["cluster"] == {"server": "https://here:6443"}
    assert found["users"][0]["user"] == {}


def test_relative_paths_of_a_user_are_meant_from_the_files_folder(tmp_path: Path) -> None:
    user = chosen(tmp_path, user={"tokenFile": "token", "exec": {"command": "./bin/login", "args": ["x"]}})
    assert user["users"][0]["user"] == {
        "tokenFile": f"{tmp_path}/token",
        "exec": {"command": f"{tmp_path}/bin/login", "args": ["x"]},
    }
    looked_up = chosen(tmp_path, user={"exec": {"command": "login"}})
    assert looked_up["users"][0]["user"]["exec"] == {"command": "login"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"contexts": [{"name": 5, "context": {}}]}, "contexts[0] has 5 as name, which is not text"),
        ({"contexts": ["prod"]}, "contexts[0] is not a mapping with a name"),
        ({"contexts": {"name": "other"}}, "it has no context prod; it has: other"),
        ({"contexts": [{"name": "prod", "context": ["here"]}]}, "contexts[0].context is not a mapping"),
        ({"contexts": [{"name": "prod", "context": None}]}, "context prod has no cluster"),
        ({"contexts": [{"name": "prod", "context": {"cluster": 1}}]}, "context prod has 1 as cluster"),
        ({"clusters": [{"name": "here"}]}, "cluster here has no server"),
        ({"cluster": {"certificate-authority": 5}}, "it has 5 as certificate-authority"),
    ],
)
def test_what_cannot_be_read_of_a_kubeconfig_is_named(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        chosen(tmp_path, **changes)
    assert reason in str(caught.value)
