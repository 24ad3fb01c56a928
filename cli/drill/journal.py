"""What a drill has changed and not put back, in a file of the environment's state folder.

Each change is in the file before it is made: whoever comes after a crash finds it there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.drill import losses
from cli.drill.losses import Client, Loss
from cli.errors import UserError

NAME = "drill.json"


class Journal:
    """The file in `folder`; there is none when nothing is changed."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / NAME

    @property
    def exists(self) -> bool:
        """Whether something is to be put back."""
        return self.file.exists()

    def losses(self) -> list[Loss]:
        """What is to be put back, in the order of the changes. Raises UserError for a broken file."""
        return [losses.read(raw) for raw in self._read()["changed"]] if self.exists else []

    def add(self, what: str, added: Sequence[Loss]) -> None:
        """Note what is about to be changed; `what` says in words what is lost by it."""
        self._write(what, [*self.losses(), *added])

    def remove(self, done: Loss) -> None:
        """Forget one that was put back; without any the file goes."""
        what, left = self._read()["lost"], [loss for loss in self.losses() if loss != done]
        if left:
            self._write(what, left)
        else:
            self.file.unlink(missing_ok=True)

    def said(self) -> str:
        """What is lost, and since when, for people; empty when nothing is."""
        if not self.exists:
            return ""
        found = self._read()
        since = time.strftime("%H:%M:%S", time.localtime(found["since"]))
        if all(isinstance(loss, Client) for loss in self.losses()):
            return f"client pods of a drill are left since {since}"
        return f"taken away by a drill since {since}: {found['lost']}"

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.file.read_text())
            for raw in found["changed"]:
                losses.read(raw)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.file} should say what a drill has taken away, and cannot be read: {error}. Put back "
                "what is missing by hand, then delete the file."
            ) from error
        return found

    def _write(self, what: str, listed: Sequence[Loss]) -> None:
        """Whole or not at all, and on the disk before anything is changed."""
        since = self._read()["since"] if self.exists else time.time()
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.file.with_name(f"{NAME}.new")
        said = {"lost": what, "since": since, "changed": [losses.as_json(loss) for loss in listed]}
        with fresh.open("w") as handle:
            json.dump(said, handle, indent=2)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
