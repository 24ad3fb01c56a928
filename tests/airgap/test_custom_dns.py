"""The node lays the ConfigMap `coredns-custom` into files, whatever happens to it or to the API server."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from airgap.images.node.k3s_node import custom_dns

OURS = {"ours.override": "rewrite name a b\n"}
USERS = {"users.server": "example.org:53 {\n}\n"}


def held(folder: Path) -> dict[str, str]:
    """The files but for those that are there so that each import matches something."""
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert custom_dns.PLACEHOLDERS.items() <= found.items()
    return {name: text for name, text in found.items() if name not in custom_dns.PLACEHOLDERS}


class Api:
    """Answers each look with a list and then a watch; ends the following after the last one."""

    def __init__(self, folder: Path, *looks: tuple[list[Any], list[Any]] | OSError) -> None:
        self.folder = folder
        self.looks = list(looks)
        self.stopping = threading.Event()
        self.asked: list[str] = []
        self.seen: list[dict[str, str]] = []
        self._watch: list[Any] = []

    def get(self, path: str) -> AbstractContextManager[Iterable[bytes]]:
        self.asked.append(path)
        if "watch=true" in path:
            return nullcontext(self._events(self._watch))
        look = self.looks.pop(0)
        if not self.looks:
            self.stopping.set()
        if isinstance(look, OSError):
            raise look
        items, self._watch = look
        return io.BytesIO(json.dumps({"metadata": {"resourceVersion": "7"}, "items": items}).encode())

    def _events(self, events: list[Any]) -> Iterable[bytes]:
        self.seen.append(held(self.folder))
        for event in events:
            yield json.dumps(event).encode() + b"\n"
            self.seen.append(held(self.folder))

    def follow(self) -> list[dict[str, str]]:
        """What was in the folder after each version."""
        custom_dns.follow(self.get, self.folder, self.stopping)
        return self.seen


def changed(kind: str, data: dict[str, str] | None = None) -> dict[str, Any]:
    return {"type": kind, "object": {"data": data}}


def test_every_version_is_in_the_folder_and_what_it_lacks_is_not(tmp_path: Path) -> None:
    events = [changed("ADDED", OURS), changed("MODIFIED", OURS | USERS), changed("MODIFIED", USERS)]
    api = Api(tmp_path, ([], [*events, changed("DELETED", USERS)]))
    assert api.follow() == [{}, OURS, OURS | USERS, USERS, {}]


def test_what_was_there_before_and_what_goes_while_nobody_looks(tmp_path: Path) -> None:
    api = Api(tmp_path, ([{"data": OURS}], []), ([], []))
    assert api.follow() == [OURS, {}]
    assert "resourceVersion=7" in api.asked[1], "nothing between the list and the watch is missed"


def test_a_config_map_without_data_is_one_without_files(tmp_path: Path) -> None:
    assert Api(tmp_path, ([{"data": OURS}], [changed("MODIFIED")])).follow() == [OURS, {}]


def test_an_api_server_that_is_away_or_forgot_the_version_is_asked_again(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(custom_dns, "RETRY_SECONDS", 0.0)
    expired = {"type": "ERROR", "object": {"message": "too old resource version"}}
    api = Api(tmp_path, ([{"data": OURS}], [expired]), OSError("refused"), ([{"data": USERS}], []))
    assert api.follow()[-1] == USERS


def test_a_file_that_stays_as_it_is_is_not_written_again(tmp_path: Path) -> None:
    custom_dns.write(tmp_path, OURS)
    before = (tmp_path / "ours.override").stat().st_ino
    custom_dns.write(tmp_path, OURS | USERS)
    assert (tmp_path / "ours.override").stat().st_ino == before
