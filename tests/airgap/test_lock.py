"""Two ./stack at once: the second waits and says for whom."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from airgap.lock import HeldError, exclusive, holder
from airgap.report import Report


def quiet() -> tuple[Report, io.StringIO]:
    text = io.StringIO()
    return Report(Console(file=text, width=200)), text


def test_the_second_run_waits_and_names_the_first(tmp_path: Path) -> None:
    progress, text = quiet()
    order: list[str] = []
    held, release = threading.Event(), threading.Event()

    def first() -> None:
        with exclusive(tmp_path, "./stack up dev", quiet()[0]):
            held.set()
            release.wait(5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(5)
    threading.Timer(0.2, release.set).start()
    with exclusive(tmp_path, "./stack destroy dev", progress):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "Waiting for another ./stack (./stack up dev, process" in text.getvalue()


def test_a_lock_left_by_a_dead_run_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "stack.lock").write_text("./stack up dev, process 999999")
    progress, text = quiet()
    with exclusive(tmp_path, "./stack up dev", progress):
        assert "Waiting" not in text.getvalue()


def test_who_does_not_wait_is_told_for_whom_it_would(tmp_path: Path) -> None:
    assert not holder(tmp_path), "nobody ever was here"
    with exclusive(tmp_path, "./stack up dev", quiet()[0]):
        assert holder(tmp_path).startswith("./stack up dev, process ")
        refused = pytest.raises(HeldError, match=r"\./stack up dev, process")
        with (
            refused,
            exclusive(tmp_path, "./stack drill dev", quiet()[0], refused=lambda held: "up dev" in held),
        ):
            pass
    assert not holder(tmp_path), "what is written there is of one that has ended"


def test_environments_do_not_wait_for_each_other(tmp_path: Path) -> None:
    progress, text = quiet()
    with (
        exclusive(tmp_path, "./stack up dev", quiet()[0]),
        exclusive(tmp_path, "./stack drill dev", progress, environment="dev"),
        exclusive(tmp_path, "./stack drill mine", progress, environment="mine"),
    ):
        assert holder(tmp_path, "dev").startswith("./stack drill dev, process ")
        assert holder(tmp_path, "mine").startswith("./stack drill mine, process ")
        assert not holder(tmp_path, "theirs")
    assert "Waiting" not in text.getvalue()
