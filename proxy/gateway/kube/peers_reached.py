"""Whether gateways of other clusters are reached where they are said to listen with mutual TLS.

A cluster says that its gateways listen; whether a port leads to them from outside only who dials it learns:
of a k3d cluster that is older than the port none does, nor behind a firewall that does not know of it. So
that nobody is sent where nobody answers, the hub dials first, and the others go on over plain HTTP till then.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress

from gateway.core.certificates import CertificateError, claimed_cluster, read_der
from gateway.edge.contexts import peer_context
from gateway.kube.peer_objects import Listener

DIAL_SECONDS = 5.0
AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class UnreachedError(Exception):
    """Who is dialled is not there, or is somebody else. The message says why."""


class Reached:
    """Dials the gateways of other clusters, each until it was reached."""

    def __init__(self, on_change: Callable[[], None], again: float = AGAIN_SECONDS) -> None:
        """`on_change` is called when one was; `again`: seconds between two attempts."""
        self._on_change = on_change
        self._again = again
        self._tasks: dict[str, tuple[tuple[str, int], asyncio.Task[None]]] = {}
        """By cluster key, with where it is dialled; those that are done have reached it."""
        self._listeners: Mapping[str, Listener] = {}

    def __contains__(self, key: str) -> bool:
        found = self._tasks.get(key)
        if found is None or not found[1].done() or found[1].cancelled():
            return False
        return found[1].exception() is None

    def take(self, listeners: Mapping[str, Listener]) -> None:
        """Dial these, and no others any more. By other roots the same address goes on being dialled."""
        self._listeners = listeners
        for key, (where, task) in list(self._tasks.items()):
            wanted = listeners.get(key)
            if wanted is None or (wanted.ip, wanted.port) != where:
                task.cancel()
                del self._tasks[key]
        for key in listeners.keys() - self._tasks.keys():
            task = asyncio.create_task(self._dial(key), name=f"{key}: dial its gateways")
            self._tasks[key] = (listeners[key].ip, listeners[key].port), task

    async def close(self) -> None:
        """Dial nobody any more."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _dial(self, key: str) -> None:
        said = ""
        while True:
            listener = self._listeners[key]
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    await dial(listener, key)
            except (OSError, UnreachedError, CertificateError) as error:  # a timeout is an OSError
                why = str(error) or f"no answer within {DIAL_SECONDS:g} s"
                if why != said:  # once per cause
                    said = why
                    log.warning(
                        "%s is not asked over mutual TLS yet: its gateways are not reached at %s:%d: %s",
                        key, listener.ip, listener.port, why,
                    )  # fmt: skip
            else:
                log.info("%s is reached with mutual TLS at %s:%d", key, listener.ip, listener.port)
                asyncio.get_running_loop().call_soon(self._on_change)
                return
            await asyncio.sleep(self._again)


async def dial(listener: Listener, key: str) -> None:
    """Have the gateway there prove that it is one of this cluster's. OSError or UnreachedError if none does.

    The hub has no certificate, and shows none: it goes when it has seen the other one's, and before it would
    have to. To a gateway it is one of those who try out the port.
    """
    context = peer_context(ssl.PROTOCOL_TLS_CLIENT, "".join(listener.roots))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    reader, writer = await asyncio.open_connection(listener.ip, listener.port)
    try:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                if not (data := await reader.read(16384)):
                    raise UnreachedError("the connection is closed during the TLS handshake") from None
                incoming.write(data)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
    named = claimed_cluster(read_der(tls.getpeercert(binary_form=True) or b""))
    if named != key:
        raise UnreachedError(f"{named or 'nobody that is named'} answers there")
