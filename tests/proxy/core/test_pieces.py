"""The twins that join a line's pieces give the same bytes, and nothing a client sends ends a JSON string."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy.native import NoCompilerError, native_join

from gateway.core.pieces import MOST_PIECES, reference

Join = Callable[..., bytes]

EVERY_BYTE = bytes(range(256))

numbers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(max_codepoint=127), max_size=80)


@pytest.fixture(params=["Python", "C"])
def join(request: pytest.FixtureRequest) -> Join:
    if request.param == "Python":
        return reference
    try:
        return native_join()
    except NoCompilerError as error:
        pytest.skip(f"no native twin: {error}")


def test_text_is_taken_as_it_is_and_bytes_as_the_inside_of_a_string(join: Join) -> None:
    assert join('{"a":', 12, ',"b":"', b'say "x"\n', '"}') == b'{"a":12,"b":"say \\"x\\"\\n"}'
    assert join() == b""


def test_every_byte_comes_back_from_a_string_it_stood_in(join: Join) -> None:
    line = join('"', EVERY_BYTE, '"')
    assert line.isascii()
    assert b"\n" not in line, "a line stays one line"
    assert json.loads(line) == EVERY_BYTE.decode("latin-1")


@pytest.mark.parametrize("number", [0, 9, 10, 2**63 - 1, -1, -(2**63)])
def test_numbers_are_written_whole(join: Join, number: int) -> None:
    assert join(number, ",", number) == f"{number},{number}".encode()


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        (["é"], ValueError),
        ([2**63], OverflowError),
        ([-(2**63) - 1], OverflowError),
        (["x"] * (MOST_PIECES + 1), ValueError),
    ],
)
def test_what_is_no_piece_of_a_line_is_refused(
    join: Join, pieces: list[str | int], error: type[Exception]
) -> None:
    with pytest.raises(error):
        join(*pieces)


def test_as_many_pieces_as_a_line_may_have_of_the_longest_numbers(join: Join) -> None:
    assert join(*[-(2**63)] * MOST_PIECES) == str(-(2**63)).encode() * MOST_PIECES


@given(st.lists(st.one_of(st.binary(max_size=80), texts, numbers), max_size=MOST_PIECES))
def test_the_twins_give_the_same(pieces: list[bytes | str | int]) -> None:
    try:
        native = partial(native_join(), *pieces)
    except NoCompilerError as error:
        pytest.skip(f"no native twin: {error}")
    assert native() == reference(*pieces)
