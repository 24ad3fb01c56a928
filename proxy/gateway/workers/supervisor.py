"""Starts the workers, keeps their number up, and speaks for all of them on the admin port.

Each worker is this program again with the same options, a whole gateway that knows nothing of the others. The
supervisor carries no request and reads no object: what it can break is little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from gateway import process
from gateway.edge.admin import AdminConnection, Page, Pages, json_page, metrics_page, text_page
from gateway.edge.server import parse_address
from gateway.workers.addresses import AddressError, reserve
from gateway.workers.merge import (
    Families,
    counted,
    merge_configs,
    merge_metrics,
    read_metrics,
    write_metrics,
)
from gateway.workers.restarts import HOPELESS_ENDS, STABLE_SECONDS, Restarts
from gateway.workers.slot import Slot, how_it_ended

END_SECONDS = 5.0
"""What a worker may take to end beyond its drain, before it is killed."""

log = logging.getLogger(__name__)


def main(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Serve with `args.workers` processes until SIGTERM or SIGINT. `argv` is what `args` was made of.

    Exit codes: 0 after an orderly end; that of the first worker when it could not start; else 1.
    """
    try:
        return process.run(partial(_supervise, args, argv))
    except (AddressError, ValueError, OSError) as error:
        sys.stderr.write(f"gateway {args.command}: {error}\n")
        return 1


async def _supervise(args: argparse.Namespace, argv: Sequence[str], stop: asyncio.Event) -> int:
    with ExitStack() as held:
        wanted = {"--listen": args.listen, "--east-west": args.east_west}
        addresses = {
            option: reserve(option, text, held) for option, text in wanted.items() if text is not None
        }
        lock = os.memfd_create("access-log")
        held.callback(os.close, lock)
        command = [sys.executable, "-m", "gateway", *argv, f"--log-lock={lock}"]
        command += [f"{option}={address}" for option, address in addresses.items()]
        slots = [Slot(number, [*command, f"--worker={number}"], lock) for number in range(args.workers)]
        supervisor = Supervisor(slots, stop, args.drain_delay + args.drain_seconds + END_SECONDS)
        if args.admin is not None:
            addresses["--admin"] = await _open_admin(args.admin, supervisor.pages, held)
        where = " ".join(f"{option.strip('-')}={address}" for option, address in addresses.items())
        log.info("%d workers for %s", args.workers, where)
        code = await process.work_until(stop, supervisor.run(), supervisor.end)
        return code or supervisor.code


async def _open_admin(text: str, pages: Pages, held: ExitStack) -> str:
    host, port = parse_address(text)
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(lambda: AdminConnection(pages), host or None, port)
    except OSError as error:
        raise AddressError("--admin", text, error) from error
    held.callback(server.close)
    return f"{host}:{server.sockets[0].getsockname()[1]}"


class Supervisor:
    """Watches over the processes in `slots`. `end_seconds`: what all of them may take to end."""

    def __init__(self, slots: Sequence[Slot], stop: asyncio.Event, end_seconds: float) -> None:
        self.code = 0
        """Exit code that the workers' ends call for."""
        self._slots = slots
        self._stop = stop
        self._end_seconds = end_seconds
        self._restarts = Restarts(len(slots))
        self._restarted = 0
        self._gone: Families = {}
        """What workers that are gone had counted."""
        self._complete = False
        """All workers have been ready once."""
        self._draining = False

    async def run(self) -> None:
        """Until cancelled. Sets `stop` when there is no use in going on."""
        first = self._slots[0]
        # What keeps one from starting keeps all from it, and need be said only once.
        if not await self._start(first):
            if not self._draining:
                code = await first.ended()
                log.error("the first worker %s", how_it_ended(code))
                self.code = max(code, 1)
                self._stop.set()
            return
        async with asyncio.TaskGroup() as tasks:
            for slot in self._slots:
                tasks.create_task(self._keep(slot), name=f"worker {slot.number}")

    async def end(self) -> None:
        """Let all workers drain and end, together."""
        self._draining = True
        orderly = await asyncio.gather(*(slot.close(self._end_seconds) for slot in self._slots))
        if not all(orderly):
            log.error("not every worker ended in order, so requests may have been lost")
            self.code = self.code or 1

    async def _start(self, slot: Slot) -> bool:
        """Start a worker and wait until it answers; False when it ended instead."""
        await slot.start()
        if slot.process_id is not None:
            log.info("worker %d is process %d", slot.number, slot.process_id)
        if not await slot.proven():
            return False
        self._restarts.started(slot.number, asyncio.get_running_loop().time())
        return True

    async def _keep(self, slot: Slot) -> None:
        while True:
            how = "could not be started"
            try:
                if slot.process_id is None:
                    await self._start(slot)
                how = how_it_ended(await slot.ended())
            except OSError as error:
                how += f": {error}"
            self._gone = merge_metrics([self._gone, counted(slot.seen)])
            slot.seen = {}
            if self._draining:
                return
            now = asyncio.get_running_loop().time()
            pause = self._restarts.ended(slot.number, now)
            log.error("worker %d %s; the next one starts in %g s", slot.number, how, pause)
            if self._restarts.hopeless(now):
                log.error(
                    "each of %d workers ended %d times within %g s of its start: giving up; "
                    "what they logged above says why",
                    len(self._slots), HOPELESS_ENDS, STABLE_SECONDS,
                )  # fmt: skip
                self.code = 1
                self._stop.set()
                return
            self._restarted += 1
            await asyncio.sleep(pause)

    # Admin pages

    @property
    def pages(self) -> Pages:
        """Those of a gateway of one process, for all of them."""
        return {
            b"/livez": self._livez,
            b"/readyz": self._readyz,
            b"/metrics": self._metrics,
            b"/config": self._config,
        }

    async def _ask(self, path: str) -> list[tuple[Slot, Page | None]]:
        """The page of every worker that runs, all asked at once."""
        asked = [slot for slot in self._slots if slot.process_id is not None]
        return list(zip(asked, await asyncio.gather(*(slot.page(path) for slot in asked)), strict=True))

    async def _livez(self) -> Page:
        """No worker hangs. One that is gone is being replaced."""
        for slot, page in await self._ask("/livez"):
            if page is None and slot.answered:
                return text_page(503, f"worker {slot.number} does not answer\n")
        return text_page(200, "ok\n")

    async def _readyz(self) -> Page:
        """First when all workers are ready; from then on while all that are sent connections are.

        A worker that was replaced listens once it is ready, and the others serve meanwhile.
        """
        if self._draining:
            return text_page(503, "draining\n")
        answers = await self._ask("/readyz")
        for slot, page in answers:
            if page is not None and page.status == 200:
                slot.ready = True
            elif slot.ready:
                return page or text_page(503, f"worker {slot.number} does not answer\n")
        ready = sum(slot.ready for slot in self._slots)
        self._complete = self._complete or ready == len(self._slots)
        status = 200 if ready and self._complete else 503
        return text_page(status, f"{ready} of {len(self._slots)} workers are ready\n")

    async def _metrics(self) -> Page:
        await asyncio.gather(*(slot.count() for slot in self._slots))
        running = sum(slot.process_id is not None for slot in self._slots)
        own = read_metrics(
            f"# TYPE gateway_workers gauge\ngateway_workers {running}\n"
            f"# TYPE gateway_worker_restarts_total counter\ngateway_worker_restarts_total {self._restarted}\n"
        )
        told = [self._gone, *(slot.seen for slot in self._slots), own]
        text = await asyncio.to_thread(lambda: write_metrics(merge_metrics(told)))
        return metrics_page([text.encode()])

    async def _config(self) -> Page:
        configs = [json.loads(page.text) for _, page in await self._ask("/config") if page is not None]
        return json_page(merge_configs(configs)) if configs else text_page(503, "no worker answers\n")
