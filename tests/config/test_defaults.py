"""What an environment gets that does not say: only the mesh where nothing else is asked for."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from config.environments import Config, changed, problems

from stacks.config import loading
from stacks.config.model import Settings

ONLY_THE_MESH = """\
config:
  multicluster-dapr:clusters:
    - {name: hub, role: control-plane, source: existing, kubeconfig: ~/.kube/config, context: hub, gatewayHost: 192.0.2.1, gatewayPort: 30080}
    - {name: east, source: existing, kubeconfig: ~/.kube/config, context: east, gatewayHost: 192.0.2.2, gatewayPort: 30080}
  multicluster-dapr:images: {registry: registry.example.org/mesh}
"""  # noqa: E501 - five lines


def chosen(settings: Settings) -> tuple[Any, ...]:
    return (settings.redis.mode, *(cluster.dapr for cluster in settings.clusters))


def mesh(**more: Any) -> Settings:
    document = yaml.safe_load(ONLY_THE_MESH)
    document["config"] |= {f"multicluster-dapr:{key}": value for key, value in more.items()}
    return loading.parse_stack_file(document)


def test_only_the_mesh_on_two_clusters_that_exist_is_a_file_of_five_lines() -> None:
    assert len(ONLY_THE_MESH.splitlines()) == 5
    assert chosen(mesh()) == ("none", None, "none")


def test_apps_want_dapr_and_redis() -> None:
    apps = [{"app": "nodeapp", "clusters": ["east"], "namespace": "shop"}]
    assert chosen(mesh(apps=apps)) == ("container", None, "install")
    assert chosen(mesh(apps=apps, redis={"mode": "none"}, dapr={"mode": "existing"})) == (
        "none", None, "existing",
    )  # fmt: skip


def test_clusters_that_are_made_here_get_both(dev: Config) -> None:
    bare = {"apps": [], "exports": [], "policies": []}
    assert chosen(loading.parse(changed(dev, bare))) == ("container", None, "install", "install", "install")


def test_a_cluster_may_differ_from_the_others(dev: Config) -> None:
    settings = loading.parse(changed(dev, {"dapr": {"mode": "none"}, "clusters[2].dapr": "install"}))
    assert chosen(settings) == ("container", None, "none", "install", "none")


@pytest.mark.parametrize("redis", [{}, {"mode": "none"}])
def test_no_password_is_asked_for_where_there_is_no_redis(redis: Config) -> None:
    assert mesh(redis=redis).redis_password is None


def test_all_of_it_can_be_wanted_explicitly(dev: Config) -> None:
    dapr = {"highAvailability": True, "values": {"global": {"logAsJson": True}}, "namespace": "dapr"}
    assert problems({**dev, "dapr": dapr}) == []
