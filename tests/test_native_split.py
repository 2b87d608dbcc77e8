"""The native split against its specification, `SplitTable.spans`, on every instruction set."""

import random
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_patterns import EVERY_PATTERN, table_of

from tokenizer import _native
from tokenizer.split_table import SplitTable, compile_split_pattern

BYTES = bytes(range(256))
OFFSETS = np.arange(257, dtype=np.uint64)

# Each leaves out text in a way of its own: nothing but runs; a match that begins in the middle of
# what another could not finish; a long match that fails; only at the end; characters of any width.
GAPPY = ["b+", "ab+c|b", "a(?:b{5}c)?", "a+$", "[é中😀]b?", r"\p{Lu}+(?!a)", "aa", r"\s+(?!\S)"]


@cache
def table(pattern: str) -> SplitTable:
    return compile_split_pattern(pattern)


@cache
def engine(pattern: str) -> _native.Engine:
    made = table(pattern)
    return _native.Engine(BYTES, OFFSETS, made.page_of, made.pages, made.transitions, [], 1 << 16)


@pytest.fixture(params=["", "1"], ids=["fast", "plain"], autouse=True)
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_PLAIN", request.param)


def assert_cut_as_specified(pattern: str, text: str) -> None:
    pieces = [text[start:stop] for start, stop, _ in table(pattern).spans(text)]
    found = [length for length, _ in engine(pattern).pretokens(text)]
    assert found == [len(piece.encode()) for piece in pieces], (pattern, ascii(text))


@pytest.mark.parametrize("pattern", GAPPY)
def test_every_short_text_is_cut_into_matches_and_gaps(pattern: str) -> None:
    for size in range(7):
        for text in product("abc ", repeat=size):
            assert_cut_as_specified(pattern, "".join(text))


@pytest.mark.parametrize("pattern", [*GAPPY, *(table_of(name).pattern for name in EVERY_PATTERN)])
def test_text_of_any_length_is_cut_into_matches_and_gaps(pattern: str) -> None:
    """Longer than a block of 256 pretokens, and than the 16 bytes that a run is looked at in."""
    draw = random.Random(pattern)
    letters = [*"aabbbcAZ 1.\n\r'", "é", "中", "😀", "\u0301", "\u3040", "\x00", "\u200b"]
    for size in (15, 16, 17, 255, 256, 257, 700, 3000):
        text = "".join(draw.choice(letters) * draw.choice((1, 1, 2, 17)) for _ in range(size))
        assert_cut_as_specified(pattern, text)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(
    st.sampled_from([*GAPPY, *EVERY_PATTERN]),
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from("ab \n1é中😀A"), max_size=60
    ),
)
def test_generated_text_is_cut_into_matches_and_gaps(name: str, text: str) -> None:
    assert_cut_as_specified(EVERY_PATTERN.get(name, name), text)


def test_text_that_nothing_matches_is_one_pretoken() -> None:
    for text in ("x", "xyz" * 1000, "中文" * 1000, "x" * 16, "x中" * 8):
        assert engine("b+").pretokens(text)[0][0] == len(text.encode())
        assert [size for size, _ in engine("b+").pretokens("b" + text + "bb")] == [
            1, len(text.encode()), 2
        ]  # fmt: skip
