"""Hosts of exports in the settings."""

from __future__ import annotations

import pytest
from config.conftest import Config
from config.test_mistakes import APP, INSIDE, changed, problems

BESIDE = {**INSIDE, "rules": [{"portNumber": 80, "path": "/nodeapp/x"}]}
OTHER = {"apps[2]": {**APP, "app": "curl", "namespace": "evil"}}


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"exports[0].host": "shop"}, "exports[0].host"),
        ({"exports[0].host": "Shop.example.com"}, "exports[0].host"),
        ({"exports[0].host": "10.0.0.1"}, "exports[0].host = '10.0.0.1': is an address. Write a name."),
        (
            {"exports[0].host": "nodeapp.dapr-test"},
            "exports[0].host = 'nodeapp.dapr-test': is a name inside clusters. Write one of the outside.",
        ),
        (
            {"exports[0].host": "a.b.svc.corp"},
            "exports[0].host = 'a.b.svc.corp': is a name inside clusters. Write one of the outside.",
        ),
        (
            {"exports[0].host": "a.local"},
            "exports[0].host = 'a.local': is a name inside clusters. Write one of the outside.",
        ),
        (
            {"exports[0].host": "a.example.com", "mesh": "flomesh", "versions": "article"},
            "exports[0].host = 'a.example.com': FSM publishes under every host. Remove it.",
        ),
    ],
)
def test_a_host_that_is_none_is_named(dev: Config, changes: Config, mistake: str) -> None:
    assert any(problem.startswith(mistake) for problem in problems(changed(dev, changes)))


def test_a_host_is_that_of_one_namespace_on_a_cluster(dev: Config) -> None:
    both = {**OTHER, "exports[0].host": "a.example.com", "exports[1]": {**INSIDE, "host": "a.example.com"}}
    reason = "exports[0].host, of another namespace, has it on cluster-3"
    found = problems(changed(dev, both))
    assert f"exports[1].host = 'a.example.com': {reason}. Change one of them." in found


def test_hosts_have_paths_of_their_own(dev: Config) -> None:
    inside = problems(changed(dev, {**OTHER, "exports[1]": INSIDE}))
    assert any("is around or inside it" in problem for problem in inside)
    apart = {**OTHER, "exports[0].host": "a.example.com", "exports[1]": {**BESIDE, "host": "b.example.com"}}
    assert problems(changed(dev, apart)) == []


def granted(**entry: object) -> Config:
    return {"hosts": [{"host": "shop.example.com", "namespaces": ["shop"], **entry}]}


@pytest.mark.parametrize("host", ["shop.example.com", "*.apps.example.com"])
def test_hosts_are_granted_to_namespaces_and_clusters(dev: Config, host: str) -> None:
    assert problems(changed(dev, granted(host=host))) == []
    assert problems(changed(dev, granted(host=host, clusters=["cluster-1"]))) == []


@pytest.mark.parametrize(
    ("entry", "mistake"),
    [
        ({"host": "*"}, "hosts[0].host"),
        ({"host": "x.*.example.com"}, "hosts[0].host"),
        ({"namespaces": []}, "hosts[0].namespaces"),
        (
            {"host": "*.svc.local"},
            "hosts[0].host = '*.svc.local': is a name inside clusters. Write one of the outside.",
        ),
        ({"host": "10.0.0.1"}, "hosts[0].host = '10.0.0.1': is an address. Write a name."),
        ({"clusters": ["nowhere"]}, "hosts[0].clusters = 'nowhere': no cluster has this name. Choose from:"),
    ],
)
def test_a_grant_that_cannot_be_meant_is_named(dev: Config, entry: Config, mistake: str) -> None:
    assert any(problem.startswith(mistake) for problem in problems(changed(dev, granted(**entry))))


def test_fsm_grants_no_hosts(dev: Config) -> None:
    found = problems(changed(dev, {**granted(), "mesh": "flomesh", "versions": "article"}))
    assert any(problem.startswith("hosts[0]: FSM publishes under every host") for problem in found)


INSIDE_ALONE = {"exports[0].published": False}


def test_what_is_between_clusters_alone_has_no_host(dev: Config) -> None:
    found = problems(changed(dev, {**INSIDE_ALONE, "exports[0].host": "a.example.com"}))
    reason = "is published nowhere: `published` is false. Remove one of them."
    assert found == [f"exports[0].host = 'a.example.com': {reason}"]


def test_fsm_knows_exports_by_their_paths_alone(dev: Config) -> None:
    found = problems(changed(dev, {**INSIDE_ALONE, "mesh": "flomesh", "versions": "article"}))
    assert any(problem.startswith("exports[0].published = False: FSM's gateways know") for problem in found)


def test_what_is_between_clusters_alone_is_in_nobodys_way(dev: Config) -> None:
    assert problems(changed(dev, {**OTHER, **INSIDE_ALONE, "exports[1]": BESIDE})) == []
