"""What the gateways of a cluster have loaded, which the controller asks them: only what all have counts.

So a root that is new is used when every gateway knows it, and other clusters are sent where every gateway
listens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from gateway.core.objects import Object, section, texts

ADMIN_PORT = 9090
ASK_SECONDS = 3.0
MOST_BYTES = 1 << 20
"""Of one answer: some thousand clusters."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What all gateways of a cluster have."""

    certificate: bool
    """A certificate that is still good."""
    roots: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Fingerprints by cluster key."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """Where they ask other clusters over TLS, by cluster key."""
    closed: bool = False
    """Some of them serve other clusters' gateways over TLS alone."""


def agreed(pages: Sequence[Object]) -> Loaded:
    """What every page of those says; at least one."""
    known = [section(page, "peers") for page in pages]
    roots = {key: frozenset.intersection(*(frozenset(texts(one, key)) for one in known)) for key in known[0]}
    asked = [section(page, "gateways") for page in pages]
    return Loaded(
        all(page.get("certificate") is True for page in pages),
        roots,
        {key: str(where) for key, where in asked[0].items() if all(one.get(key) == where for one in asked)},
        any(page.get("plain") is False for page in pages),
    )


async def ask_all(addresses: Sequence[str], port: int = ADMIN_PORT) -> Loaded | None:
    """Ask the gateways at these addresses. None while there is none, or one does not answer."""
    if not addresses:
        return None
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        pages = await asyncio.gather(*(_ask(session, address, port) for address in addresses))
    found = [page for page in pages if page is not None]
    return agreed(found) if len(found) == len(pages) else None


async def _ask(session: aiohttp.ClientSession, address: str, port: int) -> Object | None:
    host = f"[{address}]" if ":" in address else address
    try:
        async with session.get(f"http://{host}:{port}/peers", allow_redirects=False) as response:
            if response.status != 200:
                return None
            page: Any = json.loads(await _whole(response.content))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError):
        return None
    return page if isinstance(page, dict) else None


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """All of an answer. ValueError when that is too much: one read gives what has come by then."""
    found = bytearray()
    async for part in content.iter_any():
        found += part
        if len(found) > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES} bytes")
    return bytes(found)
