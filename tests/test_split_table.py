"""Compiled tables against two engines that never saw them: `regex` and tiktoken's."""

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import regex
import tiktoken
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from split_patterns import CL100K, EVERY_PATTERN, O200K, QWEN2, TEKKEN, WHOLE_TEXT, table_of

from tokenizer.errors import PatternError
from tokenizer.split.table import ACCEPT_BEFORE, START, SplitTable, compile_split_pattern
from tokenizer.split.unicode_properties import CODE_POINTS, NOTHING, CodePointSet, named_set

BYTE_RANKS = {bytes([byte]): byte for byte in range(256)}
SURROGATES = CodePointSet.of_ranges([(0xD800, 0xDFFF)])

# Text that has tripped tokenizers: contractions, folds, line ends, marks, blanks of every sort.
TRICKY = [
    *("'", "s", "S", "ſ", "t", "r", "e", "E", "v", "m", "l", "L", "d", "K", "a", "Z", "é"),
    *(" ", "\n", "\r", "\t", "\u3000", "\xa0", "\x85", "\u2028", "\u200b", "\x0b", "\x1c", "\x00"),
    *(
        "1",
        "२",
        "½",
        "Ⅷ",
        "中",
        "々",
        "ぁ",
        "ー",
        "한",
        "ǅ",
        "ʰ",
        "\u0301",
        "ा",
        "/",
        ".",
        "$",
        "<",
    ),
    *("😀", "\u200d", "\U0001f3fd", "\U000e0001", "\U0010ffff", "\ufffe", "\u0378", "ａ", "०", "_"),
]


@cache
def oracle(pattern: str) -> "regex.Pattern[str]":
    # Nested classes and && exist in version 1 of `regex` only.
    return regex.compile("(?V1)" + pattern if "&&" in pattern else pattern)


def pieces_of_regex(pattern: str, text: str) -> list[str]:
    return [match[0] for match in oracle(pattern).finditer(text)]


def tiktoken_with(pattern: str, tokens: Iterable[str]) -> tiktoken.Encoding:
    """An encoding in which each of `tokens` is a token: a piece that is a token becomes its id."""
    ranks = dict(BYTE_RANKS)
    for token in tokens:
        ranks.setdefault(token.encode(), len(ranks))
    return tiktoken.Encoding("made", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def assert_tiktoken_agrees(table: SplitTable, texts: list[str]) -> None:
    """Short texts: with all substrings as tokens, tiktoken's ids are its pieces."""
    substrings = {
        text[start:stop]
        for text in texts
        for start in range(len(text))
        for stop in range(start + 1, len(text) + 1)
    }
    encoding = tiktoken_with(table.pattern, sorted(substrings))
    for text in texts:
        ids = encoding.encode_ordinary(text)
        assert [encoding.decode([one]) for one in ids] == table.split(text), ascii(text)


@cache
def agreed() -> CodePointSet:
    """Code points that the installed `regex`, of whatever Unicode version, reads as we do."""
    text = "".join(map(chr, np.flatnonzero((~SURROGATES).mask()).tolist()))
    different = SURROGATES
    for name in ("Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "P", "S", "Cn", "Han"):
        runs = regex.findall(rf"\p{{{name}}}+", text)
        theirs = CodePointSet.of_code_points(ord(letter) for run in runs for letter in run)
        ours = (named_set(name) or NOTHING) - SURROGATES
        different |= (ours - theirs) | (theirs - ours)
    return ~different


@cache
def representatives(name: str) -> list[list[str]]:
    """Some characters of each class of a pattern: the first, the last and others in between."""
    table = table_of(name)
    classes = table.pages[table.page_of].reshape(-1)
    usable = agreed().mask()
    found: list[list[str]] = []
    for number in range(int(classes.max()) + 1):
        members = np.flatnonzero((classes == number) & usable)
        chosen = np.linspace(0, members.size - 1, num=min(members.size, 7)).astype(int)
        found.append([chr(code_point) for code_point in members[chosen].tolist()])
    return found


def texts_through_every_transition(name: str, draw: random.Random) -> Iterator[str]:
    """From the start to each state on the shortest way, each class once, then a random tail."""
    table, characters = table_of(name), representatives(name)
    following = table.transitions[:, :-1] & ~np.uint16(ACCEPT_BEFORE)
    pending = [START]
    ways: dict[int, list[int]] = {START: []}
    for state in pending:
        for number, after in enumerate(following[state].tolist()):
            if after and after not in ways:
                ways[after] = [*ways[state], number]
                pending.append(after)
    assert len(ways) == len(table.transitions) - 1, "a state that nothing leads to"
    for way in ways.values():
        yield "".join(draw.choice(characters[number]) for number in way)
        for number in range(len(characters)):
            for tail in (0, 1, 3):
                path = [*way, number, *draw.choices(range(len(characters)), k=tail)]
                yield "".join(draw.choice(characters[one]) for one in path)


@pytest.mark.parametrize("name", EVERY_PATTERN)
def test_every_transition_cuts_as_both_engines_do(name: str) -> None:
    table = table_of(name)
    texts = list(texts_through_every_transition(name, random.Random(name)))
    for text in texts:
        assert table.split(text) == pieces_of_regex(table.pattern, text), ascii(text)
    assert_tiktoken_agrees(table, texts)


@pytest.mark.parametrize("name", EVERY_PATTERN)
def test_random_mixes_of_tricky_characters_are_cut_as_both_engines_do(name: str) -> None:
    draw = random.Random(name)
    texts = ["".join(draw.choices(TRICKY, k=draw.randrange(1, 14))) for _ in range(600)]
    table = table_of(name)
    allowed = agreed()
    for text in texts:
        if all(ord(letter) in allowed for letter in text):
            assert table.split(text) == pieces_of_regex(table.pattern, text), ascii(text)
    assert_tiktoken_agrees(table, texts)


@pytest.mark.parametrize("name", EVERY_PATTERN)
def test_random_class_sequences_are_cut_as_regex_does(name: str) -> None:
    table, characters = table_of(name), representatives(name)

    @settings(derandomize=True, deadline=None, max_examples=300)
    @given(st.lists(st.sampled_from(characters).flatmap(st.sampled_from), max_size=30))
    def check(letters: list[str]) -> None:
        text = "".join(letters)
        assert table.split(text) == pieces_of_regex(table.pattern, text)

    check()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=10), min_size=1, max_size=5), st.sampled_from(list(EVERY_PATTERN)))
def test_text_of_all_planes_is_cut_as_tiktoken_does(texts: list[str], name: str) -> None:
    assert_tiktoken_agrees(table_of(name), texts)


# test_tokenizer.py compares two of them with tiktoken itself, at every code point.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cl100k", "o200k", "deepseek_v3_words"])
def test_every_assigned_code_point_is_cut_as_tiktoken_does(name: str) -> None:
    """Between letters, after a blank and before one; of the large uniform ranges every 50th."""
    table = table_of(name)
    dull = named_set("Cn") | named_set("Co") | named_set("Cs")  # type: ignore[operator]
    rows = [named_set(script) or NOTHING for script in ("Han", "Hangul", "Tangut", "Egyp")]
    sparse = CodePointSet.union([dull, *rows])
    chosen = np.flatnonzero((~sparse).mask()).tolist()
    chosen += [c for c in range(0, CODE_POINTS, 50) if c in sparse and c not in SURROGATES]
    for context in ("a{}b", " {}\n", "{}{}  ", "'{}1"):
        texts = [context.replace("{}", chr(code_point)) for code_point in chosen]
        pieces = [table.split(text) for text in texts]
        encoding = tiktoken_with(
            table.pattern,
            dict.fromkeys(
                text[start:stop]
                for text in texts
                for start in range(len(text))
                for stop in range(start + 1, len(text) + 1)
            ),
        )
        for text, expected in zip(texts, pieces, strict=True):
            ids = encoding.encode_ordinary(text)
            assert [encoding.decode([one]) for one in ids] == expected, ascii(text)


def documents(path: Path, most_characters: int) -> Iterator[str]:
    """The texts of a file of JSON lines, until they are `most_characters` together."""
    opened = gzip.open if path.suffix == ".gz" else zstandard.open
    with opened(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            text = json.loads(line)["text"][:20_000]
            text = text.encode("utf-8", "replace").decode()
            yield text
            most_characters -= len(text)
            if most_characters < 0:
                return


@pytest.mark.parametrize("name", EVERY_PATTERN)
@pytest.mark.parametrize(
    ("file", "most_characters"),
    [
        ("adversarial/documents.jsonl.zst", 150_000),
        ("web/multi-00000-of-00008.jsonl.gz", 200_000),
        ("web/code-00000-of-00001.jsonl.zst", 100_000),
        ("web/en-00000-of-00008.jsonl.zst", 50_000),
    ],
)
def test_real_documents_are_cut_as_both_engines_do(
    shared_data: Path, name: str, file: str, most_characters: int
) -> None:
    path = shared_data / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    table = table_of(name)
    unknown = ~agreed()
    texts = list(documents(path, most_characters))
    split = [table.split(text) for text in texts]
    # Had tiktoken other pieces, they would not all be tokens, or not these.
    encoding = tiktoken_with(table.pattern, dict.fromkeys(one for row in split for one in row))
    for text, pieces in zip(texts, split, strict=True):
        ids = encoding.encode_ordinary(text)
        assert encoding.decode_tokens_bytes(ids) == [piece.encode() for piece in pieces]
        if not any(ord(letter) in unknown for letter in set(text)):
            assert pieces == pieces_of_regex(table.pattern, text)


@pytest.mark.parametrize("name", EVERY_PATTERN)
def test_a_table_has_the_shape_it_promises(name: str) -> None:
    table = table_of(name)
    states, columns = table.transitions.shape
    assert table.page_of.shape == (0x1100,)
    assert table.page_of.max() == len(table.pages) - 1
    assert table.pages.shape[1] == 256
    assert table.pages.max() == columns - 2
    assert (table.page_of.dtype, table.pages.dtype, table.transitions.dtype) == ("u2", "u1", "u2")
    assert not table.transitions[0].any(), "state 0 is dead"
    assert ((table.transitions & ~np.uint16(ACCEPT_BEFORE)) < states).all()
    assert not (table.transitions[:, -1] & ~np.uint16(ACCEPT_BEFORE)).any()
    assert not (table.transitions[START] & ACCEPT_BEFORE).any(), "no empty matches"
    assert not table.transitions.flags.writeable
    assert (states, columns) < (40, 40)


@pytest.mark.parametrize("name", EVERY_PATTERN)
def test_only_patterns_of_whole_texts_are_proved_to_cover_them(name: str) -> None:
    assert table_of(name).covers_all_text == (name in WHOLE_TEXT)


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(), max_size=20), st.sampled_from(list(EVERY_PATTERN)))
def test_spans_cover_the_text_with_pieces_and_gaps(text: str, name: str) -> None:
    table = table_of(name)
    spans = list(table.spans(text))
    assert "".join(text[start:stop] for start, stop, _ in spans) == text
    assert all(start < stop for start, stop, _ in spans)
    assert [text[start:stop] for start, stop, matched in spans if matched] == table.split(text)
    assert not any(not a[2] and not b[2] for a, b in pairwise(spans))
    if table.covers_all_text:
        assert all(matched for _, _, matched in spans)


def test_characters_that_are_not_matched_are_one_gap() -> None:
    table = compile_split_pattern("ab+c|b")
    assert list(table.spans("xyabbx")) == [(0, 3, False), (3, 4, True), (4, 5, True), (5, 6, False)]
    assert list(table.spans("abbc")) == [(0, 4, True)]
    assert list(table.spans("")) == []


def test_a_scan_can_go_back_by_many_characters() -> None:
    assert compile_split_pattern("a(?:b{5}c)?|b").split("abbbbbd") == ["a", *"bbbbb"]


def short_texts(letters: str, max_letters: int) -> list[str]:
    sizes = range(max_letters + 1)
    return ["".join(text) for size in sizes for text in product(letters, repeat=size)]


def random_pattern(draw: random.Random, depth: int = 3) -> str:
    """A pattern over a, b and c; whether it can be compiled is left to chance."""
    kind = draw.randrange(9) if depth else 0
    inner = [random_pattern(draw, depth - 1) for _ in range(draw.randrange(1, 4))] if kind else []
    if kind in (1, 2, 3):
        return "".join(inner)
    if kind in (4, 5):
        return f"(?:{'|'.join(inner)})"
    if kind in (6, 7):
        quantifier = draw.choice(["?", "*", "+", "{2}", "{1,2}", "{0,2}", "{2,}"])
        return f"(?:{inner[0]}){quantifier}{draw.choice(['', '', '+'])}"
    if kind == 8:
        return inner[0] + draw.choice(["(?!a)", "(?=b)", "(?=b|$)", "$", "(?![ab])"])
    letter = draw.choice(["a", "b", "c", "[ab]", "[^a]", "."])
    return letter + draw.choice(["", "", "", "?", "*", "+", "?+", "*+", "++", "{1,2}+"])


def test_random_patterns_cut_as_both_engines_do_or_are_refused() -> None:
    draw = random.Random(20)
    texts = short_texts("abc", 5)
    encoding_tokens = [text for text in texts if text]
    compiled = possessive = 0
    while compiled < 400:
        pattern = random_pattern(draw) + draw.choice(["", "|.", "|b"])
        try:
            table = compile_split_pattern(pattern)
        except PatternError as error:
            assert re.search("empty|possessive|without a group|nothing", error.construct)  # noqa: PT017
            continue
        compiled += 1
        possessive += bool(re.search(r"[?*+}]\+", pattern))
        encoding = tiktoken_with(pattern, encoding_tokens)
        for text in texts:
            pieces = table.split(text)
            assert pieces == pieces_of_regex(pattern, text), (pattern, text)
            assert pieces == [encoding.decode([one]) for one in encoding.encode_ordinary(text)]
    assert possessive > 100


@pytest.mark.parametrize(
    "pattern",
    [
        "a|ab", "ab|a", "(?:a|ab)(?:c|bcd)", "(?:a|ab)(?:c|bcd)?|.", "a{2,3}|a", "(?:ab){1,2}a|b",
        "(?:ab|a)+|b", "a+b|a", "a?a", "(?:a|b)*c|.", "a(?=b)|b(?!b)", "(?:a|b$)+|.", "a+(?=b|$)|a",
        "a+(?!c|$)|.", r"a*b\z|a", "(?:a?b)+c?|.", "a{2}+a?|b", "a++b|a", "c(?:ab?)?+|.",
        "[ab]++(?!a|b)", "(?:a|b)++|c", "(?:ab|a)++c?+|.", "(?=a).|b", "(?!a)[abc]b?",
        "(?:a{1,2}b){2,3}|.", "(?:(?:a|ab)c?)+|.", "(?:a(?=b)|b)+|.",
    ],
)  # fmt: skip
def test_small_patterns_cut_every_short_text_as_both_engines_do(pattern: str) -> None:
    table = compile_split_pattern(pattern)
    texts = short_texts("abc", 6)
    for text in texts:
        assert table.split(text) == pieces_of_regex(pattern, text), text
    assert_tiktoken_agrees(table, texts)


@pytest.mark.parametrize(
    ("pattern", "construct", "position"),
    [
        ("a*", "empty string", 0),
        ("a?|b", "empty string", 0),
        ("a|$", "empty string", 0),
        ("a|(?=b)", "empty string", 0),
        ("", "empty string", 0),
        ("a*+$|b", "empty string", 0),
        ("[a&&b]", "nothing matches", 0),
        ("a(?!a)a", "nothing matches", 0),
        ("a|(?:b?)*c", "can be empty", 8),
        ("(?:a|){2}b", "can be empty", 6),
        ("a++a", "possessive", 1),
        (r"\s++(?!\S)|a", "possessive", 2),
        (r"\s*+[\r\n]+", "possessive", 2),
        ("(?:ab|a)?+b", "possessive", 8),
        ("(?:ab?)?+c|.", "possessive", 7),
        ("(?:b|a++b?a)+c", "possessive", 6),
        ("(?:a++|b)+c", "possessive", 4),
        ("(?:a?bb*+){2}c", "possessive", 7),
        ("(?:(?:a{500}){500}){500}", "program", 0),
        ("(?:a|b)*a(?:a|b){12}", "states", 0),
    ],
)
def test_what_can_not_be_proved_or_held_is_refused(
    pattern: str, construct: str, position: int
) -> None:
    with pytest.raises(PatternError) as caught:
        compile_split_pattern(pattern)
    assert construct in caught.value.construct
    assert caught.value.position == position


def test_deep_nesting_is_no_more_work_than_its_length() -> None:
    assert compile_split_pattern("(?:" * 45 + "a" + ")+" * 45).split("aab") == ["aa"]


def test_over_255_classes_are_refused() -> None:
    pattern = "|".join(rf"\x{{{c:x}}}" + "y" * (c % 3) for c in range(0x100, 0x200))
    with pytest.raises(PatternError, match="classes"):
        compile_split_pattern(pattern)


def test_greedy_and_possessive_spellings_of_one_pattern_give_one_table() -> None:
    table = compile_split_pattern(CL100K)
    greedy = re.sub(r"([?*+]|\{\d,\d\})\+", r"\1", CL100K)
    assert len(greedy) == len(CL100K) - 6
    same = compile_split_pattern(greedy)
    assert np.array_equal(table.transitions, same.transitions)
    assert np.array_equal(table.pages, same.pages)
    assert np.array_equal(table.page_of, same.page_of)


def test_compiling_twice_gives_the_same_bytes() -> None:
    a, b = compile_split_pattern(O200K), compile_split_pattern(O200K)
    assert a.transitions.tobytes() == b.transitions.tobytes()
    assert a.pages.tobytes() == b.pages.tobytes()


def test_lone_surrogates_have_a_class() -> None:
    assert table_of("o200k").split("a\ud800b") == ["a", "\ud800b"]


@pytest.mark.parametrize("name", ["qwen2", "tekken", "deepseek"])
def test_the_patterns_are_those_of_the_published_files(shared_data: Path, name: str) -> None:
    files = {
        "qwen2": "qwen3.tokenizer.json",
        "tekken": "mistral_tekken_240911.json",
        "deepseek": "deepseek_v3.tokenizer.json",
    }
    path = shared_data / "vocab" / files[name]
    if not path.is_file():
        pytest.skip(f"no {path}")
    content = json.loads(path.read_text(encoding="utf-8"))
    if name == "tekken":
        assert content["config"]["pattern"] == TEKKEN
        return
    stages = content["pre_tokenizer"]["pretokenizers"]
    patterns = [stage["pattern"]["Regex"] for stage in stages if "pattern" in stage]
    ours = [p for key, p in EVERY_PATTERN.items() if key.startswith("deepseek_v3")]
    assert patterns == (ours if name == "deepseek" else [QWEN2])
