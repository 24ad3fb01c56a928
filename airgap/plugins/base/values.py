"""Property values on the wire and in Python.

In Python a value is None, bool, int, float, str, list, dict, `Secret(value)` or `UNKNOWN`. Assets, archives
and references stay dicts that carry the wire's signature key, so that they survive a round trip untouched.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2

Path = tuple[str | int, ...]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 a type tag of the protocol
ASSET_SIGNATURE = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE = "0def7320c3a5731c473e5ecbe6d01bc7"

# The engine tells the type of an unknown by its text; a provider may answer with any of them.
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        _UNKNOWN_STRING,
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class Unknown(enum.Enum):
    """A value that only a real run will have."""

    UNKNOWN = enum.auto()


UNKNOWN = Unknown.UNKNOWN


@dataclass(frozen=True)
class Secret:
    """A value the engine encrypts in the state and masks on screen."""

    value: Any

    def __repr__(self) -> str:
        return "Secret([secret])"


def decode(message: struct_pb2.Struct) -> dict[str, Any]:
    """A wire Struct as Python values; integral numbers become int."""
    return {key: _decoded(value) for key, value in message.fields.items()}


def _decoded(message: struct_pb2.Value) -> Any:
    match message.WhichOneof("kind"):
        case "bool_value":
            return message.bool_value
        case "number_value":
            number = message.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if message.string_value in _UNKNOWNS else message.string_value
        case "list_value":
            return [_decoded(item) for item in message.list_value.values]
        case "struct_value":
            members = decode(message.struct_value)
            return Secret(members.get("value")) if members.get(SIGNATURE) == SECRET_SIGNATURE else members
        case _:
            return None


def encode(values: dict[str, Any]) -> struct_pb2.Struct:
    """Python values as a wire Struct."""
    message = struct_pb2.Struct()
    message.update(rebuilt(values, _wired))
    return message


def _wired(node: Any) -> Any:
    if isinstance(node, Secret):
        return {SIGNATURE: SECRET_SIGNATURE, "value": node.value}
    return _UNKNOWN_STRING if node is UNKNOWN else node


def rebuilt(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with every node put through `change`, what is inside a node before the node itself."""
    if isinstance(value, dict):
        value = {key: rebuilt(item, change) for key, item in value.items()}
    elif isinstance(value, list):
        value = [rebuilt(item, change) for item in value]
    elif isinstance(value, Secret):
        value = Secret(rebuilt(value.value, change))
    return change(value)


def plain(value: Any) -> Any:
    """The value without its secret marks (unknowns stay)."""
    return rebuilt(value, lambda node: node.value if isinstance(node, Secret) else node)


def drop_nulls(value: Any) -> Any:
    """The value without null members of objects, at any depth."""

    def drop(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        return {key: item for key, item in node.items() if item is not None and item != Secret(None)}

    return rebuilt(value, drop)


def nodes(value: Any) -> Iterator[Any]:
    """The value and everything in it, also inside secrets."""
    yield value
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, list):
        inside = value
    elif isinstance(value, Secret):
        inside = (value.value,)
    for item in inside:
        yield from nodes(item)


def has_unknown(value: Any) -> bool:
    """Whether any part of a value, secret or not, is unknown."""
    return any(node is UNKNOWN for node in nodes(value))


def has_secret(value: Any) -> bool:
    """Whether any part of a value is secret."""
    return any(isinstance(node, Secret) for node in nodes(value))


def copy_secrets(source: Any, target: Any) -> Any:
    """`target` with every part secret that is secret at the same path of `source`.

    A list holding any secret becomes secret as a whole: its items have no identity to follow.
    """
    if isinstance(target, Secret) or target is None:
        return target
    if isinstance(source, Secret) or (isinstance(source, list) and has_secret(source)):
        return Secret(plain(target))
    if isinstance(source, dict) and isinstance(target, dict):
        return {key: copy_secrets(source.get(key), item) for key, item in target.items()}
    return target
