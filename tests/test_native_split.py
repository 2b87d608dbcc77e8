"""The native split against its specification, `SplitTable.spans`, on every instruction set."""

import os
import random
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pre_tokenizers import BEHAVIORS, SEVERAL_STAGES, plan_of
from split_patterns import EVERY_PATTERN, table_of

from tokenizer import _native
from tokenizer.split.fast.windows import CUT, RUN, SINGLE, UNDECIDED, windows_of
from tokenizer.split.plan import CompiledStage, windows_of_plan
from tokenizer.split.plan import split as split_by_plan
from tokenizer.split.stages import Behavior
from tokenizer.split.table import SplitTable, compile_split_pattern

BYTES = bytes(range(256))
OFFSETS = np.arange(257, dtype=np.uint64)

# Each leaves out text in a way of its own: nothing but runs; a match that begins in the middle of
# what another could not finish; a long match that fails; only at the end; characters of any width.
GAPPY = ["b+", "ab+c|b", "a(?:b{5}c)?", "a+$", "[é中😀]b?", r"\p{Lu}+(?!a)", "aa", r"\s+(?!\S)"]


@cache
def table(pattern: str) -> SplitTable:
    return compile_split_pattern(pattern)


def engine(pattern: str) -> _native.Engine:
    return _engine(pattern, os.environ["TOKENMILL_INSTRUCTIONS"])


@cache
def _engine(pattern: str, _instructions: str) -> _native.Engine:
    return engine_of([CompiledStage(table(pattern))])


def engine_of(plan: Sequence[CompiledStage]) -> _native.Engine:
    """An engine whose tokens are bytes; it decides on its instructions when it is made."""
    stages = [stage.native() for stage in plan]
    vocabulary = _native.Vocabulary(BYTES, OFFSETS)
    return _native.Engine(vocabulary, stages, windows_of_plan(plan), 1 << 16)


@pytest.fixture(params=["best", "avx2", "plain"], autouse=True)
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_INSTRUCTIONS", request.param)


def assert_cut_as_specified(pattern: str, text: str) -> None:
    pieces = [text[start:stop].encode() for start, stop, _ in table(pattern).spans(text)]
    assert native_pieces(engine(pattern), text) == pieces, (pattern, ascii(text))


def native_pieces(cut_by: _native.Engine, text: str) -> list[bytes]:
    utf8 = text.encode()
    return [utf8[start:stop] for start, stop, _ in cut_by.pretokens(text)]


@pytest.mark.parametrize("pattern", GAPPY)
def test_every_short_text_is_cut_into_matches_and_gaps(pattern: str) -> None:
    for size in range(7):
        for text in product("abc ", repeat=size):
            assert_cut_as_specified(pattern, "".join(text))


@pytest.mark.parametrize("pattern", [*GAPPY, *(table_of(name).pattern for name in EVERY_PATTERN)])
def test_text_of_any_length_is_cut_into_matches_and_gaps(pattern: str) -> None:
    """Longer than a block of 256 pretokens, and than the 64 places that are looked up at once."""
    draw = random.Random(pattern)
    ascii_letters = [*"aabbbcAZ 1.\n\r'"]
    letters = [*ascii_letters, "é", "中", "😀", "\u0301", "\u3040", "\x00", "\u200b"]
    for size in (15, 16, 17, 63, 64, 65, 66, 255, 256, 257, 700, 3000):
        for alphabet in (letters, ascii_letters):
            text = "".join(draw.choice(alphabet) * draw.choice((1, 1, 2, 17)) for _ in range(size))
            assert_cut_as_specified(pattern, text)


def test_the_end_of_text_is_found_at_every_distance_from_the_places_looked_at_at_once() -> None:
    for pattern in EVERY_PATTERN.values():
        for size in range(1, 135):
            for text in ("a" * size, "a b" * (size // 3) + " " * (size % 3), "\n" * size):
                assert_cut_as_specified(pattern, text)


def test_indented_lines_of_any_width() -> None:
    """Blanks that mix, reach over the 64 places, and end in every way."""
    draw = random.Random(64)
    for pattern in EVERY_PATTERN.values():
        for size in range(0, 140, 3):
            blanks = "".join(draw.choices("  \t\x0b", k=size))
            for before, after in product(
                ("a;\n", "\r\n", "\n\n "), ("b", "\n", "é", "", "/", "'s", "1")
            ):
                text = f"{'x y ' * draw.randrange(17)}{before}{blanks}{after}"
                assert_cut_as_specified(pattern, text)
                assert_cut_as_specified(pattern, f"{text}z\n \t{blanks}1;\n")


def test_windows_of_another_pattern_cut_elsewhere() -> None:
    """The native split does look at the windows: those of a wrong table show."""
    windows = windows_of(table("a"))
    vocabulary = _native.Vocabulary(BYTES, OFFSETS)
    engine_ = _native.Engine(
        vocabulary, [CompiledStage(table("[a-z]+")).native()], windows, 1 << 16
    )
    assert native_pieces(engine_, "aaaa")[:2] == [b"a", b"a"]


def test_windows_that_do_not_fit_are_refused() -> None:
    stage = CompiledStage(table("b+")).native()
    right = windows_of(table("b+"))
    runs_that_end_differently = np.zeros(512, np.uint8)
    runs_that_end_differently[[1 << 6, 2 << 6]] = CUT | UNDECIDED | RUN
    runs_that_end_differently[(1 << 6) + 3] = CUT | SINGLE
    for stages, windows in (
        ([stage], right._replace(group_of=right.group_of[1:])),
        ([stage], right._replace(verdicts=right.verdicts[1:])),
        ([stage], right._replace(group_of=right.group_of + 16)),
        ([stage], right._replace(max_run=64)),
        ([stage], right._replace(verdicts=runs_that_end_differently)),
        ([stage, stage], right),
    ):
        with pytest.raises(ValueError, match="windows"):
            _native.Engine(_native.Vocabulary(BYTES, OFFSETS), stages, windows, 1 << 16)


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
        assert native_pieces(engine("b+"), text) == [text.encode()]
        assert native_pieces(engine("b+"), f"b{text}bb") == [b"b", text.encode(), b"bb"]


@cache
def staged(name: str) -> _native.Engine:
    return engine_of(plan_of(SEVERAL_STAGES[name]))


@pytest.mark.parametrize("name", SEVERAL_STAGES)
def test_stages_cut_text_of_any_length_as_specified(name: str) -> None:
    draw = random.Random(name)
    letters = [*"aabbbcAZ 1.\n\r'", "é", "²", "中", "😀", "\u0301", "\u3040", "\x00", "ア・"]
    plan = plan_of(SEVERAL_STAGES[name])
    for size in (1, 15, 16, 17, 255, 256, 257, 700, 3000):
        text = "".join(draw.choice(letters) * draw.choice((1, 1, 2, 17)) for _ in range(size))
        assert native_pieces(staged(name), text) == split_by_plan(plan, text)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_every_behavior_cuts_every_short_text_as_specified(behavior: str, invert: bool) -> None:
    for pattern in ("ab?", "aa", "a|b+", "é+b", r"\s+(?!\S)"):
        stages = (
            CompiledStage(table(pattern), Behavior(behavior), invert),
            CompiledStage(table("b")),
        )
        native = engine_of(stages)
        for size in range(1, 6):
            for letters in product("abé ", repeat=size):
                text = "".join(letters)
                assert native_pieces(native, text) == split_by_plan(stages, text), ascii(text)


def test_documents_of_a_batch_are_cut_by_stages_as_each_alone() -> None:
    """Many documents, some of which the stages remove altogether."""
    engine_ = staged("three_removed")
    texts = [
        "b" * n + "xy" * (n % 3) + " a," * (n % 5) + "x" * (n % 300 // 290) for n in range(700)
    ]
    data = "".join(texts).encode()
    offsets = np.cumsum([0, *(len(text) for text in texts)])
    _, _, first, segments, kinds = _native.AddedTokens([]).scan(data, offsets.astype(np.int64))
    ids, found = engine_.encode_documents(data, segments, kinds, first)
    for i, text in enumerate(texts):
        kept = b"".join(split_by_plan(plan_of(SEVERAL_STAGES["three_removed"]), text))
        assert (
            ids[found[i] : found[i + 1]].tobytes()
            == np.frombuffer(kept, "u1").astype("<u4").tobytes()
        )


def test_stages_that_do_not_fit_are_refused() -> None:
    stage = CompiledStage(table("b+")).native()
    for stages in ([], [stage] * 17, [(*stage[:3], 5, False, False)]):
        with pytest.raises(ValueError, match="stage"):
            _native.Engine(_native.Vocabulary(BYTES, OFFSETS), stages, None, 1 << 16)


def test_a_count_that_is_not_proved_is_not_counted() -> None:
    """Two of anything, but one at the end: how many there are is not all that matters."""
    for pattern in (r"[\s\S]{2}$", r"a{2}$|b", r"[ab]{2}(?!a)|.", "a{2}|.", "(?:a{3}|a{2}b)|."):
        for size in (1, 2, 3, 7, 64, 65, 200):
            for period in ("a", "ab", "aab", "b"):
                assert_cut_as_specified(pattern, (period * size)[:size] + "b")
                assert_cut_as_specified(pattern, (period * size)[:size])


@pytest.mark.parametrize("name", ["falcon", "deepseek_llm"])
def test_stages_cut_more_than_a_block_of_pretokens_as_specified(name: str) -> None:
    """A block has room for 1,024."""
    plan = plan_of(SEVERAL_STAGES[name])
    for text in ("ab1 c-d'e\n" * 700, "é1 中" * 1500, "a " * 1024, "a " * 1025):
        assert native_pieces(engine_of(plan), text) == split_by_plan(plan, text)


def test_no_documents_are_no_ids() -> None:
    tokens, offsets, *_ = engine("a").encode_documents(
        b"", np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(1, np.int64), None, None, 4
    )
    assert (tokens.tolist(), offsets.tolist()) == ([], [0])
