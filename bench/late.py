"""An application that answers after as many seconds as a target says (`/0.5`): it keeps connections in use.

python -m bench.late PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD_ENDS = b"\r\n\r\n"


class Late(asyncio.Protocol):
    """GET alone: a request ends with its head."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *whole, self._held = (self._held + data).split(HEAD_ENDS)
        for head in whole:
            seconds = float(head.split(b" ", 2)[1][1:])
            asyncio.get_running_loop().call_later(seconds, self.transport.write, ANSWER)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Late, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
