"""The heap on large pages: which blocks are moved, and what happens where the kernel says no."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import re
from pathlib import Path

import pytest

from gateway.edge import large_pages
from gateway.edge.large_pages import BLOCK, PAGE, Linux, heap_blocks, move, own_blocks, stay_on_large_pages

FULL, HALF, LESS = BLOCK // PAGE, BLOCK // PAGE // 2, BLOCK // PAGE // 2 - 1

MAPS = """\
00400000-00c00000 r-xp 00000000 fe:00 1234 /usr/bin/python3
00e01000-01800000 rw-p 00000000 00:00 0 [heap]
02000000-02200000 rw-p 00000000 00:00 0
03000000-031ff000 rw-p 00000000 00:00 0
04000000-04800000 rw-s 00000000 00:01 77 /dev/zero (deleted)
05000000-05800000 ---p 00000000 00:00 0
06000000-06800000 rw-p 00000000 00:00 0 [stack]
07000000-07800000 rw-p 00000000 fe:00 99 /a file (deleted)
"""


class Told:
    """A kernel that knows how full blocks are, and refuses some."""

    def __init__(self, present: dict[int, int], refused: dict[int, int] | None = None) -> None:
        self.pages, self.refused, self.asked = present, refused or {}, list[int]()

    def present(self, block: int) -> int:
        if block not in self.pages:
            raise OSError(errno.ENOMEM, "not mapped")
        return self.pages[block]

    def collapse(self, block: int) -> None:
        self.asked.append(block)
        if block in self.refused:
            raise OSError(self.refused[block], "refused")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_pages, "PAUSE_SECONDS", 0.0)


def test_whole_blocks_of_private_memory_are_those_of_the_heap() -> None:
    assert list(heap_blocks(MAPS)) == [0x1000000, 0x1200000, 0x1400000, 0x1600000, 0x2000000]


async def test_blocks_that_are_half_filled_or_more_are_moved_once() -> None:
    settled: set[int] = set()
    kernel = Told({1: FULL, 2: HALF, 3: LESS})
    assert await move({1, 2, 3}, settled, kernel)
    assert await move({1, 2, 3}, settled, kernel)
    assert kernel.asked == [1, 2]
    kernel.pages[3] = FULL
    assert await move({1, 3}, settled, kernel)
    assert kernel.asked == [1, 2, 3]
    assert settled == {1, 3}, "what is there no more is forgotten: it may come back"


async def test_a_block_that_can_be_on_no_large_page_is_left_alone() -> None:
    settled: set[int] = set()
    kernel = Told({1: FULL}, {1: errno.EINVAL})
    assert await move({1}, settled, kernel)
    assert await move({1}, settled, kernel)
    assert kernel.asked == [1]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EBUSY])
async def test_a_block_for_which_no_page_was_free_is_tried_again(number: int) -> None:
    settled: set[int] = set()
    kernel = Told({1: FULL, 2: FULL}, {1: number})
    assert not await move({1, 2}, settled, kernel)
    assert not await move({1, 2}, settled, kernel)
    assert kernel.asked == [1, 2, 1], "and does not keep others from being moved"


async def test_a_block_that_went_meanwhile_is_no_error() -> None:
    assert not await move({1}, set(), Told({}))


async def test_a_kernel_without_them_ends_it_with_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(large_pages, "MADV_COLLAPSE", 4711)
    with caplog.at_level("INFO"):
        await stay_on_large_pages()
    assert "the heap stays on small pages: [Errno 22] madvise: Invalid argument" in caplog.text


async def test_where_no_page_is_free_it_is_asked_for_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    answers = iter([True, False, False, False, True, *[False] * 9])

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 14:
            raise asyncio.CancelledError

    async def moved(*_: object) -> bool:
        return next(answers)

    monkeypatch.setattr(large_pages, "Linux", lambda: None)
    monkeypatch.setattr(large_pages, "move", moved)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await stay_on_large_pages()
    assert pauses[:6] == [1, 10, 20, 40, 80, 10]
    assert pauses[-2:] == [600, 600]


async def test_memory_of_this_process_is_moved_by_the_kernel() -> None:
    """Twice as long as a block, so that there is a whole one in it, each page of it in use."""
    try:
        kernel = Linux()
    except OSError as error:
        pytest.skip(f"this kernel moves nothing: {error}")
    with mmap.mmap(-1, 2 * BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        content = os.urandom(2 * BLOCK)
        memory[:] = content
        mine = {block for block in own_blocks() if kernel.present(block) == FULL}
        if not await move(mine, set(), kernel):
            pytest.skip("the kernel has no large page free")
        assert memory[:] == content
        assert on_large_pages() >= BLOCK


def on_large_pages() -> int:
    """Bytes of this process."""
    said = Path("/proc/self/smaps").read_text()
    return sum(int(size) * 1024 for size in re.findall(r"(?m)^AnonHugePages: +([0-9]+)", said))
