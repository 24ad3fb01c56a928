"""Property values on the wire and in Python.

In Python a value is None, bool, int, float, str, list, dict, `Secret(value)` or `UNKNOWN`. Assets, archives
and references stay dicts that carry the wire's signature key, so that they survive a round trip untouched.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from google.protobuf import struct_pb2

Path = tuple[str | int, ...]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 a type tag of the protocol
ASSET_SIGNATURE = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE = "0def7320c3a5731c473e5ecbe6d01bc7"
OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

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


class Unknown:
    """A value that only a real run will have. There is one instance, UNKNOWN."""

    _only: Self | None = None

    def __new__(cls) -> Self:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Unknown":
        return self


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value the engine encrypts in the state and masks on screen."""

    value: Any

    def __repr__(self) -> str:
        return "Secret([secret])"


def decode(message: struct_pb2.Struct) -> dict[str, Any]:
    """A wire Struct as Python values; integral numbers become int, as Kubernetes' Go types demand."""
    return {key: decode_value(value) for key, value in message.fields.items()}


def decode_value(message: struct_pb2.Value) -> Any:  # noqa: PLR0911 one return per kind
    """One wire value as a Python value."""
    match message.WhichOneof("kind"):
        case "bool_value":
            return message.bool_value
        case "number_value":
            number = message.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if message.string_value in _UNKNOWNS else message.string_value
        case "list_value":
            return [decode_value(item) for item in message.list_value.values]
        case "struct_value":
            members = decode(message.struct_value)
            if members.get(SIGNATURE) == SECRET_SIGNATURE:
                return Secret(members.get("value"))
            if members.get(SIGNATURE) == OUTPUT_SIGNATURE:
                inner = members.get("value", UNKNOWN)
                return Secret(inner) if members.get("secret") else inner
            return members
        case _:
            return None


def encode(values: dict[str, Any]) -> struct_pb2.Struct:
    """Python values as a wire Struct."""
    message = struct_pb2.Struct()
    for key, value in values.items():
        _encode_into(message.fields[key], value)
    return message


def _encode_into(message: struct_pb2.Value, value: Any) -> None:
    match value:
        case None:
            message.null_value = struct_pb2.NULL_VALUE
        case bool():
            message.bool_value = value
        case int() | float():
            message.number_value = value
        case str():
            message.string_value = value
        case Unknown():
            message.string_value = _UNKNOWN_STRING
        case Secret():
            members = message.struct_value.fields
            members[SIGNATURE].string_value = SECRET_SIGNATURE
            _encode_into(members["value"], value.value)
        case list() | tuple():
            message.list_value.SetInParent()
            for item in value:
                _encode_into(message.list_value.values.add(), item)
        case dict():
            message.struct_value.SetInParent()
            for key, item in value.items():
                _encode_into(message.struct_value.fields[key], item)
        case _:
            raise TypeError(f"{type(value).__name__} is not a property value")


def plain(value: Any) -> Any:
    """The value without its secret marks (unknowns stay)."""
    match value:
        case Secret():
            return plain(value.value)
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every node of a value with its path, parents first; does not look inside secrets."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))


def has_unknown(value: Any) -> bool:
    """Whether any part of a value, secret or not, is unknown."""
    return any(node is UNKNOWN for _, node in walk(plain(value)))


def has_secret(value: Any) -> bool:
    """Whether any part of a value is secret."""
    return any(isinstance(node, Secret) for _, node in walk(value))


def copy_secrets(source: Any, target: Any) -> Any:
    """`target` with every part secret that is secret at the same path of `source`.

    A list holding any secret becomes secret as a whole: its items have no identity to follow.
    """
    if isinstance(target, Secret) or target is None:
        return target
    if isinstance(source, Secret):
        return Secret(plain(target))
    if isinstance(source, list) and has_secret(source):
        return Secret(plain(target))
    if isinstance(source, dict) and isinstance(target, dict):
        return {key: copy_secrets(source.get(key), item) for key, item in target.items()}
    return target


def drop_nulls(value: Any) -> Any:
    """The value without null members of objects, at any depth."""
    match value:
        case Secret():
            return Secret(drop_nulls(value.value))
        case dict():
            return {key: drop_nulls(item) for key, item in value.items() if plain(item) is not None}
        case list():
            return [drop_nulls(item) for item in value]
        case _:
            return value


def map_keys(value: Any, rename: Callable[[str], str]) -> Any:
    """The value with every object key renamed."""
    match value:
        case Secret():
            return Secret(map_keys(value.value, rename))
        case dict():
            return {rename(key): map_keys(item, rename) for key, item in value.items()}
        case list():
            return [map_keys(item, rename) for item in value]
        case _:
            return value


def random_suffix(seed: bytes, length: int) -> str:
    """`length` hex digits that depend only on the engine's seed: a preview and its run agree on names."""
    return hashlib.sha256(seed).hexdigest()[:length]
