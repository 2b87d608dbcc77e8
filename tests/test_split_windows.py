"""Verdicts on windows against the runs of the table that they spare, `SplitTable.spans`."""

import random
from functools import cache
from itertools import product

import numpy as np
import pytest
from split_patterns import EVERY_PATTERN, WHOLE_TEXT, table_of

from tokenizer.split.fast.windows import (
    COUNT,
    CUT,
    GROUPS,
    MAJORITY,
    MINORITY,
    RUN,
    SINGLE,
    UNDECIDED,
    windows_of,
)
from tokenizer.split.table import SplitTable, compile_split_pattern

ODD = ["b+", "ab+c|b", "a(?:b{5}c)?", "a+$", "[a-y]*z|[\\s\\S]", r"\s+(?!\S)|\S+", "a{3}|a"]


windows = cache(windows_of)


def ends(table: SplitTable, text: str) -> tuple[list[int], int]:
    """Where pretokens of ASCII text end by windows, and how often these say to run the table."""
    group_of, verdicts, max_run = windows(table)
    found_in = group_of[np.frombuffer(text.encode(), np.uint8)]
    groups = (found_in % MINORITY).tolist()
    blanks = {pair % GROUPS for pair in (verdicts.reshape(-1, GROUPS) & RUN).any(1).nonzero()[0]}
    true_ends = {start: stop for start, stop, _ in table.spans(text)}
    found, runs, start = [], 0, 0
    while start < len(text):
        stop = None
        for place in range(start + 1, len(text) - 1):
            a, b, c = groups[place - 1 : place + 2]
            verdict = verdicts[a << 6 | b << 3 | c]
            at_first = place == start + 1
            if verdict == COUNT:
                verdict = CUT if place - start == max_run else 0
            if verdict & MAJORITY and found_in[place] < MINORITY:
                stop = place
                break
            is_open = verdict & (CUT | SINGLE | UNDECIDED) == CUT | UNDECIDED
            if (verdicts[a << 6 | b << 3 | b] & RUN) and is_open:
                after = next((i for i in range(place, len(text)) if groups[i] not in blanks), None)
                if after and verdicts[a << 6 | b << 3 | groups[after]] == CUT | SINGLE:
                    stop = place
                    break
            if verdict & UNDECIDED and (at_first or verdict & CUT):
                break
            if verdict & (SINGLE if at_first else CUT):
                stop = place
                break
        runs += stop is None
        start = stop or true_ends[start]
        found.append(start)
    return found, runs


@pytest.mark.parametrize("name", [*EVERY_PATTERN, *ODD])
def test_windows_cut_text_as_the_table_does(name: str) -> None:
    table = compile_split_pattern(EVERY_PATTERN.get(name, name))
    draw = random.Random(name)
    texts = [
        "".join(letters) for size in range(3, 6) for letters in product("ab'1 \n", repeat=size)
    ]
    for letters in (
        "abzA",
        "aZ ",
        " \n\t",
        "a'st ",
        "Ab1. \n",
        "1234567 a",
        "".join(map(chr, range(128))),
    ):
        texts += ["".join(draw.choices(letters, k=draw.randint(5, 60))) for _ in range(150)]
    for text in texts:
        found, _ = ends(table, text)
        assert found == [stop for _, stop, _ in table.spans(text)], ascii(text)


@pytest.mark.parametrize("name", WHOLE_TEXT)
def test_plain_english_takes_few_runs_of_the_table(name: str) -> None:
    """It is what windows are for; a change that made them decide nothing would go unseen."""
    text = 'The quick brown fox, who had seen "it all", jumps over the lazy dogs. ' * 3
    found, runs = ends(table_of(name), text)
    assert runs <= len(found) / 10


def test_digits_are_counted() -> None:
    for pattern, max_run in (("cl100k", 3), ("o200k", 3), ("r50k", 0), (r"[0-9]{1,5}|[^0-9]+", 5)):
        table = compile_split_pattern(EVERY_PATTERN.get(pattern, pattern))
        assert windows_of(table).max_run == max_run
        found, runs = ends(table, "in 1024 of 65536 or 1234567890 cases, 7 or 123456. ")
        assert runs <= (2 if max_run else len(found))


def test_indented_lines_take_few_runs_of_the_table() -> None:
    text = "if it:\n    do()\n\n        more, x\n\t\ty = 1\n\t\t  + 2\n   \n    z\n"
    for pattern in ("cl100k", "o200k", r"\s*[\r\n]+|[^\r\n]+"):
        _, runs = ends(compile_split_pattern(EVERY_PATTERN.get(pattern, pattern)), text)
        assert runs <= 4, pattern
    _, verdicts, _ = windows_of(compile_split_pattern(r"\n(?: {3}x)?|."))
    assert not (verdicts & RUN).any(), "here it does matter how many there are"


def test_a_rare_byte_costs_its_group_few_runs_of_the_table() -> None:
    """By o200k_base "/" goes on after a line break, and other punctuation does not."""
    group_of, verdicts, _ = windows_of(table_of("o200k"))
    assert group_of[ord("/")] == group_of[ord("-")] | MINORITY
    assert (verdicts & MAJORITY).any()
    _, runs = ends(table_of("o200k"), "One.\n- two;\n- three:\n* four)\n" * 3)
    assert runs <= 1
    _, runs = ends(table_of("o200k"), "One.\n/ two;\n/ three:\n/ four)\n" * 3)
    assert runs >= 9


def test_groups_are_of_like_bytes() -> None:
    group_of, verdicts, _ = windows_of(table_of("cl100k"))
    group_of %= MINORITY
    assert group_of.max() < GROUPS
    assert verdicts.max() <= CUT | SINGLE | UNDECIDED | RUN | MAJORITY
    groups = {frozenset(np.flatnonzero(group_of == one).tolist()) for one in set(group_of.tolist())}
    for alike in ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "\r\n"):
        assert frozenset(map(ord, alike)) in groups


def test_windows_that_no_pretoken_goes_on_to_are_decided() -> None:
    _, verdicts, _ = windows_of(compile_split_pattern(r"[\s\S]"))
    assert verdicts[0] == CUT | SINGLE


@pytest.mark.parametrize("most", [2, 7, 8, 9])
def test_runs_of_up_to_eight_bytes_are_counted(most: int) -> None:
    table = compile_split_pattern(rf"[0-9]{{1,{most}}}|[^0-9]+")
    assert windows_of(table).max_run == (most if most <= 8 else 0)
