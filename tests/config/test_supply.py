"""Where artifacts come from: public references, a mirror, or the supply map of a closed network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from config.environments import Config, read_environment

from stacks.config import loading, supply
from stacks.config.problem import SettingsError


@pytest.mark.parametrize("mirror", ["", "mirror.example.org/cache", "mirror.example.org/cache/"])
def test_a_mirror_is_put_before_every_public_image(mirror: str, dev: Config) -> None:
    found = supply.resolve(loading.parse({**dev, "mirror": mirror}), {})
    prefix = mirror.rstrip("/") + "/" if mirror else ""
    for image in (found.node, found.redis, found.python, found.compiler, found.curl, found.dapr):
        assert image.ref.startswith(prefix)
        assert image.ref.removeprefix(prefix).split("/")[0] in ("docker.io", "ghcr.io")


MAP: Config = {
    "mode": "airgap",
    "images": {
        **{name: {"ref": f"m/{name}:1"} for name in ("node", "redis", "python", "compiler", "curl")},
        "dapr": {"ref": "ghcr.io/dapr", "tag": "1.16.0", "archive": "/dapr.tar"},
    },
    "charts": {"dapr": {"chart": "/dapr", "version": "1.16.0"}},
}


def test_the_supply_map_is_used_where_there_is_one(dev: Config, tmp_path: Path) -> None:
    (tmp_path / "supply.json").write_text(json.dumps(MAP))
    environ = {supply.ENVIRONMENT_VARIABLE: str(tmp_path / "supply.json")}
    found = supply.resolve(loading.parse(dev), environ)
    assert (found.mode, found.dapr.archive, found.dapr.in_daemon) == ("airgap", "/dapr.tar", True)
    assert found.versions == {"node": "1", "dapr": "1.16.0", "redis": "1"}
    assert found.origins == {
        **{name: f"m/{name}:1" for name in ("node", "redis", "python", "curl")},
        "dapr": "ghcr.io/dapr/*:1.16.0",
        "dapr-chart": "/dapr 1.16.0",
    }
    forced = loading.parse({**dev, "supply": "upstream"})
    assert supply.resolve(forced, environ).mode == "upstream"


def test_what_the_supply_has_not_is_refused(dev: Config) -> None:
    wanted = loading.parse({**dev, "dapr": {"version": "1.9.6"}, "versions": "article", "mesh": "flomesh"})
    with pytest.raises(SettingsError) as caught:
        supply.from_map(wanted, MAP, {"dapr": "1.16.0"})
    hint = "Use an upstream supply for it."
    assert [str(problem) for problem in caught.value.problems] == [
        "dapr.version = '1.9.6': the airgap supply has Dapr 1.16.0 only. " + hint,
        "versions = 'article': the airgap supply has the current versions only. " + hint,
        "mesh = 'flomesh': the airgap supply has no charts of FSM and osm-edge. " + hint,
    ]


def test_the_articles_versions_are_the_articles() -> None:
    found = supply.resolve(loading.parse(read_environment("article")), {})
    assert found.node.ref == "docker.io/rancher/k3s:v1.23.8-k3s2"
    assert (found.dapr_version, found.dapr_chart.version) == ("1.9.6", "1.9.6")
    assert found.mesh_charts["fsm"].version == "0.2.1-alpha.3"
    assert found.mesh_charts["osm-edge"].version == "1.3.1"


def test_air_gap_without_a_supply_map_says_how_to_get_one(dev: Config) -> None:
    with pytest.raises(SettingsError, match=r"names no supply map\. Run `./stack up`"):
        supply.resolve(loading.parse({**dev, "supply": "airgap"}), {})
