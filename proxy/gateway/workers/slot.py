"""The place of one worker: processes come and go in it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence

from gateway.edge.admin import Page
from gateway.workers.line import Line
from gateway.workers.merge import Families, read_metrics

ANSWER_SECONDS = 0.8
"""What a worker may take to say how it is; Kubernetes' own probes wait for a second."""

LONG_SECONDS = 8.0
"""What it may take for a page that tells of every route; who collects metrics usually waits for ten."""

LONG = {"/metrics", "/config"}

ORDERLY = {0, -signal.SIGTERM, -signal.SIGINT}
"""Exit codes of a worker that was told to end, be it while it was starting."""


class Slot:
    """One worker over all its lives. A process is started by exec, not forked: see decision 15."""

    def __init__(self, number: int, argv: Sequence[str], lock: int) -> None:
        self.number = number
        self.ready = False
        """The process that runs has been ready, and so is sent connections."""
        self.answered = False
        """The process that runs has answered before, and so is not merely starting."""
        self._making = 0
        """Long pages that the process was asked for; what it is asked behind them waits."""
        self._said: dict[str, Page] = {}
        """How the process that runs was when it was asked last, by path."""
        self.seen: Families = {}
        """What the process that runs has counted, as it told last."""
        self._argv = argv
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None
        self._line: Line | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def start(self) -> None:
        """Start a process, unless this place is closed. OSError when the system has none to give."""
        async with self._starting:
            if self._closed:
                return
            mine, theirs = socket.socketpair()
            try:
                with theirs:
                    self._process = await asyncio.create_subprocess_exec(
                        *self._argv, stdin=theirs.fileno(), pass_fds=(self._lock,)
                    )
            except OSError:
                mine.close()
                raise
            mine.setblocking(False)
            _, self._line = await asyncio.get_running_loop().create_unix_connection(Line, sock=mine)

    @property
    def process_id(self) -> int | None:
        """None while nothing runs here."""
        return None if self._process is None else self._process.pid

    async def ended(self) -> int:
        """Wait for the end of the process: its exit code, or minus the signal that ended it."""
        if self._process is None:
            return 0
        code = await self._process.wait()
        if self._line is not None:
            self._line.close()
        self._process, self._line = None, None
        self.ready = self.answered = False
        self._said.clear()
        return code

    async def proven(self) -> bool:
        """Wait until the process has started; False when it ended instead."""
        try:
            return self._line is not None and (await self._line.ask("/livez"))[0] == 200
        except ConnectionError:
            return False

    async def page(self, path: str) -> Page | None:
        """A page of the process; None when it does not answer in time.

        How it is, is what it said last while it makes a long page: that takes a while, but not forever.
        """
        if self._line is None:
            return None
        long = path in LONG
        if self._making and path in self._said:
            return self._said[path]
        self._making += long
        try:
            async with asyncio.timeout(LONG_SECONDS if long else ANSWER_SECONDS):
                page = await self._line.ask(path)
        except (ConnectionError, TimeoutError):
            return None
        finally:
            self._making -= long
        self.answered = True
        if not long:
            self._said[path] = page
        return page

    async def count(self) -> None:
        """Ask the process what it has counted; while it does not answer, what it told last stays."""
        line = self._line
        page = await self.page("/metrics")
        if page is not None:
            seen = await asyncio.to_thread(read_metrics, page.text)
            if line is self._line:
                self.seen = seen

    async def close(self, seconds: float) -> bool:
        """Let the process drain and end; kill it when it takes longer. Whether it ended in order."""
        self._closed = True
        async with self._starting:
            process = self._process
        if process is None:
            return True
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(seconds):
                return await process.wait() in ORDERLY
        except TimeoutError:
            process.kill()
            await process.wait()
            return False


def how_it_ended(code: int) -> str:
    """For people: what an exit code says."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    cause = ", by hand or for want of memory" if code == -signal.SIGKILL else ""
    return f"was ended by {name}{cause}"
