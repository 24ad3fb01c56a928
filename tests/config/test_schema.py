"""The JSON schema for editors: it takes the files of this repository, and no shape that is refused later."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from config.environments import GONE, Config, changed, problems

from stacks.config import schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "schema.json").read_text())
FILES = sorted(ROOT.glob("Pulumi.*.yaml"))
REFERENCE = "# yaml-language-server: $schema=docs/schema.json\n"
SAYS_NOTHING = {"$schema", "$defs", "title", "description", "default", "format", "writeOnly"}
TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "null": type(None)}


def faults(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """Where a value is not as the schema wants it. AssertionError for a keyword nobody looks at."""
    for keyword, wanted in schema.items():
        if keyword in SAYS_NOTHING:
            continue
        look = globals().get(f"_{keyword.lower().lstrip('$')}")
        assert look, f"nobody looks at {keyword}"
        yield from look(value, wanted, path, schema)


def _ref(value: Any, wanted: str, path: str, _: Any) -> Iterator[str]:
    yield from faults(value, SCHEMA["$defs"][wanted.removeprefix("#/$defs/")], path)


def _type(value: Any, wanted: str, path: str, _: Any) -> Iterator[str]:
    integer = isinstance(value, int) and not isinstance(value, bool)
    right = {"integer": integer, "boolean": isinstance(value, bool)}
    if not (right[wanted] if wanted in right else isinstance(value, TYPES[wanted])):
        yield f"{path} is no {wanted}"


def _anyof(value: Any, wanted: list[Any], path: str, _: Any) -> Iterator[str]:
    if all(list(faults(value, one, path)) for one in wanted):
        yield f"{path} is none of {len(wanted)}"


def _enum(value: Any, wanted: list[Any], path: str, _: Any) -> Iterator[str]:
    if value not in wanted:
        yield f"{path} is none of {wanted}"


def _const(value: Any, wanted: Any, path: str, _: Any) -> Iterator[str]:
    yield from _enum(value, [wanted], path, _)


def _pattern(value: Any, wanted: str, path: str, _: Any) -> Iterator[str]:
    if isinstance(value, str) and re.search(wanted, value) is None:
        yield f"{path} does not match {wanted}"


def _within(value: Any, path: str, *, least: int | None = None, most: int | None = None) -> Iterator[str]:
    if (least is not None and value < least) or (most is not None and value > most):
        yield f"{path} is {value}"


def _minimum(value: Any, wanted: int, path: str, _: Any) -> Iterator[str]:
    yield from _within(value, path, least=wanted) if isinstance(value, int) else ()


def _maximum(value: Any, wanted: int, path: str, _: Any) -> Iterator[str]:
    yield from _within(value, path, most=wanted) if isinstance(value, int) else ()


def _minlength(value: Any, wanted: int, path: str, _: Any) -> Iterator[str]:
    yield from _within(len(value), path, least=wanted) if isinstance(value, str) else ()


def _maxlength(value: Any, wanted: int, path: str, _: Any) -> Iterator[str]:
    yield from _within(len(value), path, most=wanted) if isinstance(value, str) else ()


def _minitems(value: Any, wanted: int, path: str, _: Any) -> Iterator[str]:
    yield from _within(len(value), path, least=wanted) if isinstance(value, list) else ()


def _maxitems(value: Any, wanted: int, path: str, _: Any) -> Iterator[str]:
    yield from _within(len(value), path, most=wanted) if isinstance(value, list) else ()


def _minproperties(value: Any, wanted: int, path: str, _: Any) -> Iterator[str]:
    yield from _within(len(value), path, least=wanted) if isinstance(value, dict) else ()


def _items(value: Any, wanted: Any, path: str, _: Any) -> Iterator[str]:
    for n, item in enumerate(value if isinstance(value, list) else ()):
        yield from faults(item, wanted, f"{path}[{n}]")


def _required(value: Any, wanted: list[str], path: str, _: Any) -> Iterator[str]:
    for key in wanted if isinstance(value, dict) else ():
        if key not in value:
            yield f"{path}.{key} is missing"


def _properties(value: Any, wanted: Any, path: str, _: Any) -> Iterator[str]:
    for key in wanted.keys() & (value.keys() if isinstance(value, dict) else ()):
        yield from faults(value[key], wanted[key], f"{path}.{key}")


def _patternproperties(value: Any, wanted: Any, path: str, _: Any) -> Iterator[str]:
    for pattern, inner in wanted.items():
        for key in value if isinstance(value, dict) else ():
            if re.search(pattern, key):
                yield from faults(value[key], inner, f"{path}.{key}")


def _propertynames(value: Any, wanted: Any, path: str, _: Any) -> Iterator[str]:
    for key in value if isinstance(value, dict) else ():
        yield from faults(key, wanted, f"{path}.{key}")


def _additionalproperties(value: Any, wanted: Any, path: str, schema: Any) -> Iterator[str]:
    others = schema.get("patternProperties", {})
    for key in value if isinstance(value, dict) else ():
        if key in schema.get("properties", {}) or any(re.search(pattern, key) for pattern in others):
            continue
        if wanted is False:
            yield f"{path}.{key} is unknown"
        elif wanted is not True:
            yield from faults(value[key], wanted, f"{path}.{key}")


def in_a_file(config: Config) -> Config:
    return {"config": {f"multicluster-dapr:{key}": value for key, value in config.items()}}


def test_the_file_is_what_the_model_says() -> None:
    assert schema.stack_file() == SCHEMA, "run scripts/docs"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_this_repository_is_one_and_says_so(path: Path) -> None:
    assert path.read_text().startswith(REFERENCE), f"begin it with {REFERENCE}"
    assert list(faults(yaml.safe_load(path.read_text()), SCHEMA)) == []


def test_yaml_in_the_document_is_such_too(dev: Config) -> None:
    for block in re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL
    ):
        document = copy.deepcopy(in_a_file(dev))
        document["config"] |= yaml.safe_load(block)["config"]
        assert list(faults(document, SCHEMA)) == []


def test_a_secret_is_one_that_pulumi_has_encrypted(dev: Config) -> None:
    key = "multicluster-dapr:redisPassword"
    document = in_a_file(dev)
    document["config"][key] = {"secure": "v1:abc"}
    assert list(faults(document, SCHEMA)) == []
    document["config"][key] = "in clear text"
    assert list(faults(document, SCHEMA)) == [f".config.{key} is none of 2"]


def test_keys_of_others_and_keys_without_the_projects_name_are_taken(dev: Config) -> None:
    assert list(faults({"config": {**dev, "kubernetes:context": "none"}}, SCHEMA)) == []
    assert list(faults({"config": {"multicluster-dapr:meshes": 1, **dev}}, SCHEMA)) != []


SHAPES: Config = {
    "clusters[1].apiport": 1,
    "clusters[1].apiPort": "http",
    "clusters[1].httpPort": 70000,
    "clusters[1].name": GONE,
    "clusters[2].name": "Cluster_2",
    "clusters[2].role": "hub",
    "clusters[0]": "control-plane",
    "mesh": "istio",
    "polcies": [],
    "dapr": {"mtls": "yes"},
    "gateway": {"replicas": 0},
    "bindAddresses": "127.0.0.1",
    "apps[0].clusters": [],
    "exports[0].rules": [],
    "exports[0].rules[0].portNumber": GONE,
    "exports[0].rules[0].path": "/a?x",
    "exports[0].service": "3scale",
    "exports[0].appId": "a" * 59,
    "exports[0].targetClusters": ["a/b"],
    "exports[0].pathRewrite": {"from": "", "to": "/"},
    "apps[0].replicas": "two",
    "apps[0].env": {"A": {"secret": "in clear text", "secure": 1}},
    "apps[0].overrides": {"Cluster": {}},
    "apps[1].app": "shell",
    "apps[1].selector": {},
    "policies": [{"cluster": "cluster-2", "namespace": "a", "name": "b", "targets": [{"weight": -1}]}],
    "namespaces": [{}],
    "k3d": {"serversMemory": "much"},
}  # fmt: skip


@pytest.mark.parametrize("path", SHAPES)
def test_a_shape_that_the_program_refuses_is_refused(dev: Config, path: str) -> None:
    config = changed(dev, {path: SHAPES[path]})
    assert problems(config)
    assert list(faults(in_a_file(config), SCHEMA))


def test_no_clusters_are_refused_as_well(dev: Config) -> None:
    assert list(faults(in_a_file(changed(dev, {"clusters": GONE})), SCHEMA))
