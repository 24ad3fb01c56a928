"""Changes of JSON text that keep it JSON: bytes changed at random hardly ever become an object.

A value somewhere in it is dropped, doubled, put elsewhere, or becomes one of those that have hurt parsers;
so it is in text that is JSON itself, as some annotations are.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 80, 3000, 65535, 65536, 2**31, 2**63, 10**400, 1.5,
    float("inf"), float("nan"),
    "", " ", "*", ".", "..", "(", "9999", "1970-01-01T00:00:00Z", "\r\nX: y", "\x00", "\ud800", "/\ud800",
    "/", "//", "/shop", "/shop/", "/shop/*", "/shop/login", "/shop/../corp", "/%2e%2e", "/%", "/a?b", "/a#b",
    "$&$&$&$&", "$99", "(?:a{0,1000}){0,1000}", "(a?){500}b|a", "\N{FULLWIDTH SOLIDUS}",
    "a" * 64, "a" * 254, "/" + "a" * 1024, "/" + "a/" * 600,
    "shop", "app", "corp", "demo", "kube-system", "org", "svc", "app.shop", "shop/app",
    "Prefix", "Exact", "TCP", "UDP", "grpc", "http", "ExternalName", "FailOver", "ActiveActive", "Locality",
    "RegularExpression", "0s", "99999h", "500ms",
    "r/z/g/honest", "r/z/g/away", "r/z/g/c", "10.0.0.1", "127.0.0.1", "169.254.1.1", "0x7f.1",
    "::1", "::ffff:127.0.0.1", "fe80::1%eth0", [], {}, [[]], [None], {"": ""},
)  # fmt: skip
TEXTS = [one for one in NASTY if isinstance(one, str)]
LONGEST = 32 * 1024
"""Characters of what is added at once."""
MANY = 300
"""More than any list is bounded to."""

Parent = dict[str, Any] | list[Any]
Entry = tuple[Parent, Any]


def mutated(data: bytes, longest: int, seed: int) -> bytes:
    """JSON text like `data`, no longer than `longest` unless that was. Any other bytes as they are."""
    try:
        root = [json.loads(data)]
    except (ValueError, RecursionError):
        return data
    chance = random.Random(seed)  # noqa: S311  no secret: the same seed must give the same
    for _ in range(chance.randint(1, 3)):
        places = list(_places(root))
        if not places:
            break
        parent, key = chance.choice(places)
        chance.choice(CHANGES)(chance, parent, key, places)
    made = json.dumps(root[0]).encode() if root else b"[]"
    return made if len(made) <= longest else data


def _places(parent: Parent) -> Iterator[Entry]:
    for key in list(parent) if isinstance(parent, dict) else range(len(parent)):
        yield parent, key
        inner = parent[key]
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _replace(chance: random.Random, parent: Parent, key: Any, _places: list[Entry]) -> None:
    parent[key] = deepcopy(chance.choice(NASTY))


def _nudge(chance: random.Random, parent: Parent, key: Any, _places: list[Entry]) -> None:
    value = parent[key]
    if isinstance(value, str) and value[:1] in ("{", "[") and chance.random() < 0.8:
        text = value.encode(errors="surrogatepass")
        parent[key] = mutated(text, LONGEST, chance.getrandbits(32)).decode(errors="surrogatepass")
    elif isinstance(value, str):
        at, piece = chance.randint(0, len(value)), chance.choice(TEXTS)
        parent[key] = value[:at] + piece + value[at + chance.randint(0, 2) :]
    elif isinstance(value, int | float):
        parent[key] = value + chance.choice((-1, 1, 256))


def _drop(_chance: random.Random, parent: Parent, key: Any, _places: list[Entry]) -> None:
    del parent[key]


def _rename(chance: random.Random, parent: Parent, key: Any, places: list[Entry]) -> None:
    names = [name for _, name in places if isinstance(name, str)]
    if isinstance(parent, dict) and names:
        parent[chance.choice(names)] = parent.pop(key)


def _graft(chance: random.Random, parent: Parent, key: Any, places: list[Entry]) -> None:
    other, name = chance.choice(places)
    parent[key] = deepcopy(other[name])  # nothing may contain itself


def _repeat(chance: random.Random, parent: Parent, key: Any, _places: list[Entry]) -> None:
    if isinstance(parent, list):
        value = parent[key]
        room = max(1, LONGEST // len(json.dumps(value)))
        parent.extend(deepcopy(value) for _ in range(min(room, chance.choice((1, 1, 1, 65, MANY)))))


CHANGES: tuple[Callable[[random.Random, Parent, Any, list[Entry]], None], ...] = (
    _replace, _replace, _nudge, _nudge, _drop, _rename, _graft, _repeat,
)  # fmt: skip
