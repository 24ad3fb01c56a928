"""Fields of Kubernetes objects that a user may get wrong: checked, and the error says where and what."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from gateway.core.objects import SHAPES, Object
from gateway.core.paths import is_reachable

SERVICE_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""A label of DNS (RFC 1123), as names of Services and namespaces are."""


class FieldError(ValueError):
    """A field that cannot be used. `reason` is a CamelCase word for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def mapping(raw: Any, where: str) -> Object:
    """`raw` as a mapping; empty when absent."""
    if raw is None:
        return {}
    if not isinstance(raw, SHAPES):
        raise FieldError("Invalid", f"{where} is not a mapping")
    return raw


def mappings(raw: Any, where: str) -> list[Object]:
    """`raw` as a list of mappings; empty when absent."""
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(item, SHAPES) for item in raw):
        raise FieldError("Invalid", f"{where} is not a list of mappings")
    return raw


def parsed_mappings(text: str) -> list[Object]:
    """JSON text, a list of mappings, as an option has it. ValueError when it is something else."""
    parsed = json.loads(text)
    if not isinstance(parsed, list) or not all(isinstance(item, dict) for item in parsed):
        raise ValueError("not a list of mappings")
    return parsed


def port_number(raw: Any, where: str) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not 1 <= raw <= 65535:
        raise FieldError("InvalidPort", f"{where} is {raw!r}: give a port from 1 to 65535")
    return raw


def text(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not raw:
        raise FieldError("Invalid", f"{where} is {raw!r}: give a string")
    return raw


def service_name(raw: Any, where: str) -> str:
    """A name that a Service or a namespace can have: with a dot in it, one would pass for another."""
    if not isinstance(raw, str) or SERVICE_NAME.fullmatch(raw) is None:
        message = f"{where} is {raw!r}: give lower-case letters, digits and hyphens, at most 63"
        raise FieldError("InvalidName", message)
    return raw


def path_text(raw: Any, where: str) -> str:
    """A path that can stand in a request target (RFC 9112 section 3.2.1), without a query."""
    if not isinstance(raw, str) or not raw.startswith("/") or not raw.isascii() or not raw.isprintable():
        raise FieldError(
            "InvalidPath", f"{where} is {raw!r}: give a path that begins with / in printable ASCII"
        )
    if "?" in raw or "#" in raw or " " in raw:
        raise FieldError("InvalidPath", f"{where} is {raw!r}: a path has no query, fragment or space")
    if not is_reachable(raw.removesuffix("*").encode()):  # as a Prefix drops it
        message = f"{where} is {raw!r}: no request has dot segments or a % that begins no escape"
        raise FieldError("InvalidPath", message)
    return raw


@lru_cache(maxsize=65536)
def _canonical(text: str) -> str:
    return str(ip_address(text))


def address(raw: Any, where: str) -> str:
    """An IP address in its shortest form."""
    try:
        return _canonical(text(raw, where))
    except FieldError:
        raise
    except ValueError as error:
        raise FieldError("InvalidAddress", f"{where} is {raw!r}: give an IP address") from error


def addresses(raw: Any, where: str) -> list[str]:
    """`raw` as a list of IP addresses; empty when absent."""
    if raw is not None and not isinstance(raw, list):
        raise FieldError("Invalid", f"{where} is not a list")
    return [address(one, where) for one in raw or ()]
