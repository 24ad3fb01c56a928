"""Another parser, h11, to compare with what the gateway passes on: slow, strict, and written by others."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

NOTHING_MORE = (h11.NEED_DATA, h11.PAUSED)


@dataclass
class Message:
    """One message as the other parser read it."""

    status: int = 0
    """Of an answer."""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Of a request."""
    complete: bool = False


def read_requests(data: bytes) -> list[Message] | str:
    """The requests in `data`, or the other parser's objection. After an upgrade nothing is HTTP any more."""
    found: list[Message] = []
    while data:
        server = h11.Connection(h11.SERVER)
        server.receive_data(data)
        try:
            while (event := server.next_event()) not in NOTHING_MORE:
                if isinstance(event, h11.Request):
                    found.append(Message(fields=list(event.headers)))
                elif isinstance(event, h11.EndOfMessage):
                    found[-1].complete = True
        except h11.RemoteProtocolError as error:
            return str(error)
        rest = bytes(server.trailing_data[0])
        if len(rest) == len(data) or not found or not found[-1].complete:
            return found
        data = rest
    return found


def read_answers(data: bytes) -> list[Message] | str:
    """The answers to one GET in `data`, or the other parser's objection.

    What follows the answer counts as another one.
    """
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    found: list[Message] = []
    try:
        while (event := client.next_event()) not in NOTHING_MORE and not isinstance(
            event, h11.ConnectionClosed
        ):
            if isinstance(event, h11.Response | h11.InformationalResponse):
                found.append(Message(status=event.status_code))
            elif isinstance(event, h11.EndOfMessage):
                found[-1].complete = True
    except h11.RemoteProtocolError as error:
        return str(error)
    if found and found[-1].complete and client.trailing_data[0]:
        found.append(Message(status=999))
    return found
