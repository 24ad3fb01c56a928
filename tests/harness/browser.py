"""Debian's Chromium, driven over its DevTools protocol: one page, its keys, its colours, its errors.

A driver would bring a browser of its own, or want one of a certain version: the protocol is all it takes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from airgap import debian
from airgap.report import Report

START_SECONDS = 60.0
ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.05
MOST_BYTES = 64 * 2**20
"""Of one message: a picture."""
GROUND = "getComputedStyle(document.body).backgroundColor"
"""Of the page, to be asked."""
UNTIL = """new Promise((resolve) => {
  const look = () => { const found = (%s); if (found) resolve(found); else setTimeout(look, 20); };
  look();
})"""
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Tab": ("Tab", 9, ""),
}
FLAGS = (
    "--headless", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-sandbox",  # tests run as root
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--mute-audio",
    "--no-proxy-server", "--window-size=1440,1000",
)  # fmt: skip


class Page:
    """One page. `errors`: what its console, its scripts and its security policy complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._next = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.errors: list[str] = []
        self.requested: list[str] = []
        """Addresses that it asked for."""

    async def read(self) -> None:
        """Take in what the browser says, until it ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            else:
                self._note(said["method"], said["params"])

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append((details.get("exception") or {}).get("description") or details["text"])
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.errors.append(
                " ".join(str(one.get("value", one.get("description"))) for one in about["args"])
            )
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent":
            self.requested.append(about["request"]["url"])

    async def send(self, method: str, *, seconds: float = ANSWER_SECONDS, **arguments: Any) -> dict[str, Any]:
        """One command of the protocol. TimeoutError without an answer."""
        self._next += 1
        answer = self._answers[self._next] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": self._next, "method": method, "params": arguments}))
        async with asyncio.timeout(seconds):
            said = await answer
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str) -> None:
        for part in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{part}.enable")
        await self.send("Page.bringToFront")  # a page in the background draws nothing
        await self.send("Page.navigate", url=url)

    async def ask(self, script: str, seconds: float = ANSWER_SECONDS) -> Any:
        """The value of an expression in the page."""
        found = await self.send(
            "Runtime.evaluate", seconds=seconds, expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, f"{script}: {found['exceptionDetails']}"
        return found["result"].get("value")

    async def until(self, script: str, seconds: float = 10.0) -> Any:
        """Wait until an expression is true; its value."""
        try:
            return await self.ask(UNTIL % script, seconds)
        except TimeoutError:
            shown = await self.ask("document.body.innerText")
            raise AssertionError(
                f"not within {seconds:g} s: {script}; {self.errors}; {shown[:2000]}"
            ) from None

    async def press(self, key: str) -> None:
        """A key, as somebody presses it."""
        name, code, text = KEYS.get(key, (key, ord(key.upper()[0]), key))
        about = {"key": name, "windowsVirtualKeyCode": code}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    async def write(self, text: str) -> None:
        for letter in text:
            await self.press(letter)

    async def prefer(self, scheme: str) -> None:
        """What the system says that its user likes, `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def picture(self) -> bytes:
        """What is shown, as PNG."""
        return base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])


def kept_picture(name: str, picture: bytes) -> None:
    """In CI, keep what was shown."""
    if kept := os.environ.get("CI_KEEP"):
        file = Path(kept) / "dashboard" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)


@contextmanager
def chromium(folder: Path) -> Iterator[str]:
    """A browser; the address of its protocol. `folder` is for its profile and log."""
    program = debian.require("chromium", ["chromium"], folder / "install.log", Report())
    profile = folder / "profile"
    # It ends when we do, however that is, and goes before nobody: as root it would give itself nice -8, and
    # the clusters that it shows would get what it leaves them.
    setpriv = ["setpriv", "--pdeathsig", "KILL", "--inh-caps=-sys_nice", "--bounding-set=-sys_nice"]
    argv = [*setpriv, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{_port(profile / 'DevToolsActivePort', process)}"
    finally:
        process.terminate()  # so that it ends its own children; they end with it in any case
        process.wait()


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_SECONDS
    while not (file.exists() and "\n" in file.read_text()):
        assert process.poll() is None, f"chromium ended; its log is in {file.parents[1]}"
        assert time.monotonic() < deadline, "chromium does not say where it listens"
        time.sleep(POLL_SECONDS)
    return int(file.read_text().splitlines()[0])


async def look_chosen_by_the_system(shown: Page) -> str:
    """Light and dark follow the system until somebody chooses by a key. Leaves the light ground chosen, and
    returns it."""
    await shown.prefer("light")
    light = str(await shown.ask(GROUND))
    await shown.prefer("dark")
    await shown.until(f"{GROUND} !== '{light}'")
    await shown.press("t")
    await shown.until(f"{GROUND} === '{light}'")
    return light


@asynccontextmanager
async def page(browser: str) -> AsyncIterator[Page]:
    """A page of its own in a browser, closed at the end."""
    patience = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(browser, timeout=patience) as session:
        async with session.put("/json/new?about:blank") as answer:
            made = await answer.json()
        async with session.ws_connect(made["webSocketDebuggerUrl"], max_msg_size=MOST_BYTES) as socket:
            found = Page(socket)
            reading = asyncio.create_task(found.read())
            try:
                yield found
            finally:
                reading.cancel()
                async with session.get(f"/json/close/{made['id']}"):
                    pass
