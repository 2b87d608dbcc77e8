"""The engine at its edges: long periods, a full cache, wrong UTF-8, overlaps, the last byte."""

import itertools
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiktoken

from tokenizer import Tokenizer, _native
from tokenizer.split.fast.windows import windows_of
from tokenizer.split.table import compile_split_pattern
from tokenizer.vocabularies.sources import load_vocabulary


@pytest.fixture(scope="module")
def tiktoken_gpt2() -> tiktoken.Encoding:
    vocabulary = load_vocabulary("gpt2")
    bounds = itertools.pairwise(vocabulary.token_offsets.tolist())
    tokens = [vocabulary.token_bytes[start:stop] for start, stop in bounds]
    return tiktoken.Encoding(
        "gpt2",
        pat_str=vocabulary.split_pattern,
        mergeable_ranks={token: rank for rank, token in enumerate(tokens) if token},
        special_tokens={},
    )


def vocabulary_of(tokens: Sequence[bytes]) -> _native.Vocabulary:
    offsets = np.cumsum([0, *map(len, tokens)]).astype(np.uint64)
    return _native.Vocabulary(b"".join(tokens), offsets)


def engine_of(pattern: str, tokens: Sequence[bytes] = ()) -> _native.Engine:
    table = compile_split_pattern(pattern)
    stage = (table.page_of, table.pages, table.transitions, 1, False, False)
    vocabulary = vocabulary_of([bytes([byte]) for byte in range(256)] + list(tokens))
    return _native.Engine(vocabulary, [stage], windows_of(table), 1 << 17)


@pytest.mark.parametrize("instructions", ["best", "avx2", "plain"])
@pytest.mark.parametrize("pattern", ["a{2}", "a{3}", "(?:ab){2}", "a{2}|b{3}", "a{5}b?", "aab|a"])
def test_cuts_that_depend_on_each_other_are_right_over_any_distance(
    pattern: str, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a place is a cut may depend on the one before, and so on through all 64 of a word."""
    monkeypatch.setenv("TOKENMILL_INSTRUCTIONS", instructions)
    table = compile_split_pattern(pattern)
    engine = engine_of(pattern)
    for period in ("a", "ab", "aab", "abb", "aaab"):
        for before in ("", "b", "c", "aac", "c" * 63):
            for size in (*range(1, 9), 31, 32, 33, 62, *range(63, 67), 127, 129, 200, 333):
                text = before + (period * size)[:size] + "."
                expected = [text[start:stop].encode() for start, stop, _ in table.spans(text)]
                utf8 = text.encode()
                found = [utf8[start:stop] for start, stop, _ in engine.pretokens(text)]
                assert found == expected, (pattern, text)


def test_words_that_come_again_at_random_are_right_though_the_cache_forgets_most(
    tiktoken_gpt2: tiktoken.Encoding,
) -> None:
    """Words of many ids, some met again soon and some late: each time in another layer, or in none.

    The smallest cache keeps about 1,500 of them, so its ring is written over twenty times.
    """
    draw = random.Random(20261126)
    words = [
        " " + "".join(draw.choices("bcdfghjklmnpqrstvwxz", k=draw.randint(9, 14)))
        for _ in range(3000)
    ]
    small = Tokenizer(load_vocabulary("gpt2"), cache_bytes=128 << 10)
    for _ in range(40):
        recent = draw.sample(words, 300)
        text = "".join(draw.choice(draw.choice((words, recent))) for _ in range(2000))
        assert small.encode(text).tolist() == tiktoken_gpt2.encode_ordinary(text)


def test_pretokens_that_are_longer_than_the_cache_has_room_for_are_not_kept(
    tiktoken_gpt2: tiktoken.Encoding,
) -> None:
    draw = random.Random(7)
    small = Tokenizer(load_vocabulary("gpt2"), cache_bytes=128 << 10)
    for size in (150, 500, 3000, 8191, 8192, 8193, 30_000, 30_000, 70_000) * 2:
        text = "".join(draw.choices("etaoinshrdlu", k=size)) + " and more words"
        for _ in range(2):
            assert small.encode(text).tolist() == tiktoken_gpt2.encode_ordinary(text)


# First and last of each row of table 3-7 of the Unicode standard, and what is just outside.
WELL_FORMED = """
    00 7F C280 DFBF E0A080 E0BFBF E18080 ECBFBF ED8080 ED9FBF EE8080 EFBFBF
    F0908080 F0BFBFBF F1808080 F3BFBFBF F4808080 F48FBFBF
"""
ILL_FORMED = """
    80 BF C0 C1 C080 C1BF C2 C27F C2C0 DF DFC0 E0 E080 E0A0 E08080 E09FBF E0A07F E0A0C0 E1 E180
    E17F80 E1C080 ED ED9F EDA080 EDBFBF EF EFBF EFBFC0 F0 F090 F09080 F0808080 F08282AC F08FBFBF
    F0907F80 F09080C0 F1C08080 F4 F48FBF F4908080 F4BFBFBF F5808080 F7BFBFBF F8 F888808080
    FC FE FF
"""
VALIDITY = f"""
import numpy as np
from tokenizer import _native
def valid(text):
    added = _native.AddedTokens([])
    return bool(added.scan(text, np.array([0, len(text)]))[1][0])
for cases, expected in (({WELL_FORMED!r}, True), ({ILL_FORMED!r}, False)):
    for one in map(bytes.fromhex, cases.split()):
        for before in (0, 1, 7, 8, 13, 14, 15, 16, 31, 61, 62, 63, 64):
            for after in (0, 1, 3, 20, 70):
                text = b"a" * before + one + b"b" * after
                assert valid(text) == expected, (one.hex(), before, after)
print("checked")
"""


@pytest.mark.parametrize("instructions", ["best", "avx2", "plain"])
def test_utf_8_is_well_formed_as_the_table_of_the_standard_says(instructions: str) -> None:
    """In a process of its own: which instructions are used is decided once."""
    result = in_a_process(VALIDITY, TOKENMILL_INSTRUCTIONS=instructions)
    assert result.stdout == "checked\n", result.stderr


def in_a_process(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def segments_of(text: str, *levels: list[tuple[str, int, bool]]) -> tuple[list[Any], int]:
    utf8 = text.encode()
    counted, _, _, offsets, kinds = _native.AddedTokens(levels).scan(utf8, np.array([0, len(utf8)]))
    bounds = offsets.tolist()
    pieces = [utf8[a:b].decode() for a, b in itertools.pairwise(bounds)]
    return list(zip(pieces, kinds.tolist(), strict=True)), int(counted[0])


def test_nothing_is_found_inside_a_special_text_and_it_is_counted_once() -> None:
    tokens = [("<|ab|>", 1, True), ("ab", 2, False), ("|>c", 3, False), ("|>", 4, False)]
    assert segments_of("<|ab|>", tokens) == ([("<|ab|>", -1)], 1)
    assert segments_of("<|ab|>c", tokens) == ([("<|ab|>c", -1)], 1)
    assert segments_of("<|ab|ab", tokens) == (
        [("<|", -1), ("ab", 2), ("|", -1), ("ab", 2)],
        0,
    )
    assert segments_of("ab<|ab|><|ab|>ab", tokens) == (
        [("ab", 2), ("<|ab|><|ab|>", -1), ("ab", 2)],
        2,
    )


def test_matches_do_not_overlap_and_the_longest_of_the_leftmost_counts() -> None:
    tokens = [("aa", 1, False), ("aaa", 2, False), ("ba", 3, False)]
    assert segments_of("aaaaa", tokens) == ([("aaa", 2), ("aa", 1)], 0)
    assert segments_of("aaaa", tokens) == ([("aaa", 2), ("a", -1)], 0)
    assert segments_of("baa", tokens) == ([("ba", 3), ("a", -1)], 0)


def test_an_id_of_65536_is_not_given_out_as_two_bytes() -> None:
    gaps = [b""] * (65535 - 256)
    engine = engine_of(r"[\s\S]+", [*gaps, b"ab", b"cd"])
    for text, expected in ((b"ab", 65535), (b"cd", 65536)):
        segments = (
            text,
            np.array([0, 2]),
            np.array([-1], np.int32),
            np.array([0, 1]),
        )
        assert engine.encode_documents(*segments)[0].tolist() == [expected]
        if expected == 65536:
            with pytest.raises(ValueError, match="2 bytes"):
                engine.encode_documents(*segments, bytes_per_token=2)
        else:
            tokens, _ = engine.encode_documents(*segments, bytes_per_token=2)
            assert tokens.tolist() == [expected]


def test_both_widths_have_the_same_ids_for_odd_and_even_numbers_of_them() -> None:
    tokenizer = Tokenizer.load("gpt2")
    for words in (0, 1, 2, 3, 40_000, 40_001, 200_001):
        text = pa.array([" one" * words])
        narrow = tokenizer.encode_documents(text, dtype=np.uint16).tokens
        wide = tokenizer.encode_documents(text).tokens
        assert narrow.dtype == np.uint16
        assert narrow.tolist() == wide.tolist() == [530] * words


AT_THE_END_OF_A_PAGE = """
import ctypes, mmap, random
import numpy as np
import pyarrow as pa
from tokenizer import Tokenizer
tokenizer = Tokenizer.load("cl100k_base")
page = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * page)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(address + page), page, 0) == 0
draw = random.Random(3)
for text in ("a", "word ", "12 ", "\\n    ", "\\u00e9", "\\u4e2d", "\\U0001f600 ", "<|endoftext|>"):
    for count in (1, 2, 15, 16, 17, 31, 63, 64, 65, 66, 127, 128, 200):
        utf8 = (text * count).encode()
        memory[page - len(utf8) : page] = utf8
        data = pa.foreign_buffer(address + page - len(utf8), len(utf8))
        first = len(text.encode()) * draw.randint(0, count)
        offsets = pa.py_buffer(np.array([0, first, len(utf8)]))
        texts = pa.Array.from_buffers(pa.large_string(), 2, [None, offsets, data])
        ids = tokenizer.encode_documents(texts).tokens.tolist()
        expected = [tokenizer.encode(part.decode()) for part in (utf8[:first], utf8[first:])]
        assert ids == np.concatenate(expected).tolist(), (text, count)
print("checked")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="protects a page by mprotect of the C library")
@pytest.mark.parametrize("instructions", ["best", "avx2", "plain"])
def test_nothing_is_read_behind_the_last_byte_of_the_texts(instructions: str) -> None:
    """A page that must not be touched follows; in a process of its own, which a read would end."""
    result = in_a_process(AT_THE_END_OF_A_PAGE, TOKENMILL_INSTRUCTIONS=instructions)
    assert result.stdout == "checked\n", (result.returncode, result.stderr)


@pytest.mark.parametrize("texts", [[""], ["", "a"], ["a", "b", "a"]])
def test_added_tokens_that_are_empty_or_occur_twice_are_refused(texts: list[str]) -> None:
    level = [(text, 0, False) for text in texts]
    with pytest.raises(ValueError, match="empty or occurs twice"):
        _native.AddedTokens([level])
