"""Whether an API server would store an object: the schema of a CRD of proxy/crds, evaluated.

Of OpenAPI that part which the CRDs use, and the two rules on import ports, which are written in CEL there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parents[2] / "proxy" / "crds"
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
}  # fmt: skip
FORMATS = {
    "int32": lambda value: -(2**31) <= value < 2**31,
    "int64": lambda value: -(2**63) <= value < 2**63,
    "ipv4": lambda value: bool(IPv4Address(value)) or True,
    "date-time": lambda value: bool(datetime.fromisoformat(value)),
}


@cache
def schema_of(plural: str) -> Mapping[str, Any]:
    """The schema of objects of one CRD, by its plural name."""
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    found: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def faults(value: object, schema: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """What an API server would say of `value`; unknown fields, which it drops, count as faults."""
    wanted = TYPES[schema["type"]]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"{where} is {value!r}, not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}, none of {schema['enum']}"
    if isinstance(value, dict):
        yield from _object(value, schema, where)
    elif isinstance(value, list):
        yield from _list(value, schema, where)
    elif isinstance(value, str):
        yield from _text(value, schema, where)
    elif isinstance(value, int):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{where} is {value}, out of bounds"
        yield from _format(value, schema, where)


def _object(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    properties = schema.get("properties")
    yield from (f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, item in value.items() if properties is not None else ():
        if name in properties:
            yield from faults(item, properties[name], f"{where}.{name}")
        else:
            yield f"{where}.{name} is no field"


def _list(value: list[Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{where} has {len(value)} items"
    for index, item in enumerate(value):
        yield from faults(item, schema["items"], f"{where}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    if keys and len({tuple(item.get(key) for key in keys) for item in value}) < len(value):
        yield f"{where} has two items of one {keys}"


def _text(value: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{where} has {len(value)} characters"
    # RE2's `$` is the very end, as `\Z` is here.
    if "pattern" in schema and re.search(schema["pattern"].removesuffix("$") + r"\Z", value) is None:
        yield f"{where} is {value!r}, not {schema['pattern']}"
    try:
        value.encode()
    except UnicodeEncodeError:
        yield f"{where} is {value!r}, no UTF-8"
    yield from _format(value, schema, where)


def _format(value: object, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    try:
        good = FORMATS[schema["format"]](value) if "format" in schema else True
    except ValueError:
        good = False
    if not good:
        yield f"{where} is {value!r}, no {schema['format']}"


def import_faults(body: Mapping[str, Any]) -> list[str]:
    """What an API server would say of a ServiceImport."""
    found = list(faults(body, schema_of("serviceimports")))
    ports = body["spec"]["ports"]
    if len({(port["port"], port["protocol"]) for port in ports}) < len(ports):
        found.append("a port and protocol is listed twice")
    names = [port["name"] for port in ports if port.get("name")]
    if len(set(names)) < len(names):
        found.append("two ports have the same name")
    return found


def condition_faults(plural: str, patch: Mapping[str, Any]) -> list[str]:
    """What an API server would say of the conditions in a patch of the status."""
    schema = schema_of(plural)["properties"]["status"]["properties"]["conditions"]
    return list(faults(patch["status"]["conditions"], schema, "status.conditions"))
