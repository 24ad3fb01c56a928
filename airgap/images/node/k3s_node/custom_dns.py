"""CoreDNS's own additions: the ConfigMap `coredns-custom`, laid into files as k3s mounts it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from .log import log

CONFIG_MAP = "coredns-custom"
LIST = f"/api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3D{CONFIG_MAP}"
# The API server ends each watch after so long; a connection that is silent for longer is dead.
WATCH_SECONDS = 240
SILENT_SECONDS = WATCH_SECONDS + 60.0
RETRY_SECONDS = 1.0
# An import that matches no file is a warning in CoreDNS's log each time it looks, every two seconds.
PLACEHOLDERS = {"none.override": "", "none.server": ""}

Get = Callable[[str], AbstractContextManager[Iterable[bytes]]]
"""Opens a page of the API server, to be read by lines. Raises OSError."""


def write(folder: Path, data: Mapping[str, str]) -> None:
    """Make the folder hold these files and no others; one that stays as it is is not touched."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {**PLACEHOLDERS, **data}
    for name, text in wanted.items():
        path = folder / name
        if path.exists() and path.read_text() == text:
            continue
        fresh = folder / f"{name}.new"
        fresh.write_text(text)
        fresh.replace(path)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def follow(get: Get, folder: Path, stopping: threading.Event) -> None:
    """Run until `stopping`: the folder holds what the ConfigMap holds, nothing while there is none."""
    while not stopping.is_set():
        try:
            for data in _versions(get):
                write(folder, data)
        except (OSError, ValueError, KeyError) as error:
            log("warning", f"The ConfigMap {CONFIG_MAP} cannot be followed, trying again: {error!r}")
            stopping.wait(RETRY_SECONDS)


def _versions(get: Get) -> Iterator[Mapping[str, str]]:
    """The ConfigMap's data now and after each change, until the API server ends the watch; empty for none."""
    with get(LIST) as page:
        listed: dict[str, Any] = json.loads(b"".join(page))
    yield _data(listed["items"][0]) if listed["items"] else {}
    version = listed["metadata"]["resourceVersion"]
    with get(f"{LIST}&watch=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}") as lines:
        for line in lines:
            event: dict[str, Any] = json.loads(line)
            if event["type"] == "ERROR":
                raise ValueError(event["object"].get("message"))
            yield {} if event["type"] == "DELETED" else _data(event["object"])


def _data(config_map: Mapping[str, Any]) -> Mapping[str, str]:
    data: Mapping[str, str] = config_map.get("data") or {}
    return data
