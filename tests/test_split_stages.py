"""Stages against `tokenizers` itself, composed to one table or not."""

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pre_tokenizers import (
    BEHAVIORS,
    DEEPSEEK_V3,
    SEVERAL_STAGES,
    Section,
    byte_level,
    digits,
    pieces_of_tokenizers,
    plan_of,
    punctuation,
    sequence,
    split,
    split_at,
)
from split_patterns import GPT2_ORIGINAL, LLAMA3, O200K, QWEN2, TEKKEN
from test_split_dialect import CHARACTERS
from test_split_table import TRICKY, documents

from tokenizer.errors import ConfigurationError, PatternError
from tokenizer.split.plan import split as split_by_plan
from tokenizer.split.stages import (
    Behavior,
    SplitStage,
    literal,
)
from tokenizer.split.table import START, compile_split_pattern
from tokenizer.text.normalizers import Prepend, Replace
from tokenizer.vocabularies.pre_tokenizer_json import parse_pre_tokenizer
from tokenizer.vocabulary import PreTokenizer

# Matches of one character, of runs, of two that may overlap, of all text, and with doubt for long.
PATTERNS = ["a", "a+", "[ab]", "ab", "ab?", "a|b+", "aa", "b$", r"\s+(?!\S)", "a|[^a]+", "a+b|b"]
LETTERS = [*TRICKY, *"abAB''  \n\r09", "٣", "²", "㍿", "ー", "・", "゛", "\u3040", "한", "ߊ"]


# The others in the slow lane.
SOME_STAGES = [
    name if number % 2 == 0 else pytest.param(name, marks=pytest.mark.slow)
    for number, name in enumerate(sorted(SEVERAL_STAGES))
]


def assert_same(section: Section, text: str) -> None:
    expected = pieces_of_tokenizers(section, text)
    assert split_by_plan(plan_of(section), text) == expected, (section, ascii(text))


def random_texts(seed: str, count: int, max_letters: int = 14) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(LETTERS, k=draw.randrange(1, max_letters))) for _ in range(count)]


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("behavior", BEHAVIORS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_behavior_cuts_every_short_text_as_tokenizers_does(
    pattern: str, behavior: str, invert: bool
) -> None:
    section = split(pattern, behavior, invert)
    for size in range(1, 6):
        for letters in product("ab ", repeat=size):
            assert_same(section, "".join(letters))


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_two_stages_of_any_kind_cut_as_tokenizers_does(behavior: str) -> None:
    draw = random.Random(behavior)
    texts = ["".join(draw.choices("aab b\n", k=draw.randrange(1, 9))) for _ in range(60)]
    composed = 0
    for first, second in product(PATTERNS, PATTERNS):
        invert = draw.random() < 0.5
        section = sequence(split(first, behavior, invert), split(second))
        composed += len(plan_of(section)) == 1
        for text in texts:
            assert_same(section, text)
    assert composed > (50 if behavior == "Isolated" else -1)


@pytest.mark.parametrize(
    "part",
    [
        digits(True), digits(False), {"type": "Whitespace"}, {"type": "WhitespaceSplit"},
        {"type": "BertPreTokenizer"}, {"type": "CharDelimiterSplit", "delimiter": "-"},
        {"type": "CharDelimiterSplit", "delimiter": "中"}, split_at(" "), split_at("a.a"),
        split_at("▁", "MergedWithNext"), split_at(" ", "MergedWithPrevious"),
        split_at("(", "Removed"), split_at("<", "Contiguous", True), byte_level(True),
        byte_level(False), *map(punctuation, BEHAVIORS),
    ],
    ids=str,
)  # fmt: skip
def test_every_part_reads_every_character_as_tokenizers_does(part: Section) -> None:
    assert_same(part, CHARACTERS)
    for context in ("a{}a", " {}", "{}{}", "-{}1."):
        assert_same(part, "".join(context.replace("{}", one) for one in CHARACTERS[:3000]))


@pytest.mark.parametrize("name", SOME_STAGES)
def test_several_stages_cut_tricky_text_as_tokenizers_does(name: str) -> None:
    for text in random_texts(name, 300):
        assert_same(SEVERAL_STAGES[name], text)
    for context in ("a{}b", " {}\n", "{}{}  ", "1{}1", "ア{}ア", "!{}!"):
        assert_same(SEVERAL_STAGES[name], "".join(context.replace("{}", c) for c in CHARACTERS))


@settings(derandomize=True, deadline=None, max_examples=500)
@given(
    st.sampled_from(list(SEVERAL_STAGES)),
    st.text(st.sampled_from(LETTERS) | st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_generated_text_is_cut_as_tokenizers_does(name: str, text: str) -> None:
    assert_same(SEVERAL_STAGES[name], text)


@pytest.mark.parametrize("name", SOME_STAGES)
@pytest.mark.parametrize(
    "file",
    [
        "adversarial/documents.jsonl.zst",
        "web/multi-00000-of-00008.jsonl.gz",
        "web/code-00000-of-00001.jsonl.zst",
    ],
)
def test_real_documents_are_cut_as_tokenizers_does(shared_data: Path, name: str, file: str) -> None:
    path = shared_data / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    for text in documents(path, 60_000):
        if text:
            assert_same(SEVERAL_STAGES[name], text)


def test_deepseek_v3_is_one_table_that_covers_all_text() -> None:
    (stage,) = plan_of(DEEPSEEK_V3)
    assert stage.table.covers_all_text
    assert stage.behavior is Behavior.ISOLATED
    assert stage.table.transitions.shape[0] < 30
    assert not stage.table.transitions.flags.writeable


def test_deepseek_v3_leaves_every_pair_of_tricky_characters_where_tokenizers_does() -> None:
    """All of length two and a sample of length three and four: every state of the composition."""
    letters = sorted({*LETTERS})
    draw = random.Random(3)
    longer = ["".join(draw.choices(letters, k=draw.choice((3, 4)))) for _ in range(6000)]
    for text in [*map("".join, product(letters, repeat=2)), *longer]:
        assert_same(DEEPSEEK_V3, text)


@pytest.mark.parametrize("pattern", [GPT2_ORIGINAL, LLAMA3, O200K, QWEN2, TEKKEN])
@pytest.mark.parametrize(("behavior", "invert"), [("Isolated", False), ("Removed", True)])
def test_a_pattern_of_all_text_is_the_table_it_is_for_tiktoken(
    pattern: str, behavior: str, invert: bool
) -> None:
    (stage,) = plan_of(sequence(split(pattern, behavior, invert), byte_level(False)))
    assert (stage.behavior, stage.invert, stage.on_bytes) == (Behavior.ISOLATED, False, False)
    same = compile_split_pattern(pattern)
    assert np.array_equal(stage.table.transitions, same.transitions)
    assert np.array_equal(stage.table.pages, same.pages)


@pytest.mark.parametrize(
    ("section", "stages"),
    [
        (SEVERAL_STAGES["starcoder"], 1),
        (sequence(punctuation("Contiguous"), byte_level(True)), 1),
        (sequence(punctuation("Isolated"), digits(False), byte_level(True)), 1),
        (split_at(" ", "MergedWithPrevious"), 1),
        (sequence(split("a", "MergedWithNext"), digits(True)), 1),
        (sequence(), 1),
        (SEVERAL_STAGES["falcon"], 3),
        (split("a", "Removed"), 1),
        (sequence(split("a", "Removed"), split("b", "Removed")), 2),
        # Three digits are cut where the fourth begins, two where the first did: not composed.
        (sequence(split(r"\d{1,3}"), split(r"\d{1,2}|\D+")), 2),
        # `a+` of the second stage would go on beyond what the first took back.
        (sequence(split("a(?:aab)?|b"), split("[ab]+")), 2),
        (sequence(split("a(?:bb)?|[^a]"), split(r"(?:.|\n)+")), 2),
    ],
)
def test_stages_are_one_table_where_that_is_proved(section: Section, stages: int) -> None:
    plan = plan_of(section)
    assert len(plan) == stages
    for size in range(1, 8):
        for letters in product("ab" if size > 4 else "ab1 ", repeat=size):
            assert_same(section, "".join(letters))
    for text in ("1", "12", "123", "1234", "12345a1234567"):
        assert_same(section, text)


def test_no_stage_leaves_a_text_whole() -> None:
    assert split_by_plan(plan_of(sequence()), "a b\n1") == [b"a b\n1"]
    assert parse_pre_tokenizer(None) == PreTokenizer()


def test_a_prefix_space_is_asked_for_before_the_first_stage_alone() -> None:
    asked = (Prepend(" ", unless_there=True),)
    assert parse_pre_tokenizer(byte_level(True, add_prefix_space=True)).prefix == asked
    assert parse_pre_tokenizer({"type": "ByteLevel"}).prefix == asked
    assert not parse_pre_tokenizer(byte_level(True)).prefix
    with pytest.raises(ConfigurationError, match="before every piece"):
        parse_pre_tokenizer(sequence(digits(True), byte_level(True, add_prefix_space=True)))


def test_metaspace_is_handed_on_with_its_cut_among_the_stages() -> None:
    section = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    parsed = parse_pre_tokenizer(section)
    prepend = Prepend("▁", unless_there=True, first_only=True)
    assert parsed.prefix == (Replace(" ", "▁"), prepend)
    assert [stage.behavior for stage in parsed.stages] == [Behavior.MERGED_WITH_NEXT]
    assert not parse_pre_tokenizer({**section, "split": False}).stages
    with pytest.raises(ConfigurationError, match="not the first part"):
        parse_pre_tokenizer(sequence({"type": "WhitespaceSplit"}, section))


def test_stages_behind_byte_level_see_bytes() -> None:
    parsed = parse_pre_tokenizer(SEVERAL_STAGES["falcon"])
    assert [stage.on_bytes for stage in parsed.stages] == [False, False, True, True]
    assert parsed.byte_level


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"type": "UnicodeScripts"}, "'UnicodeScripts' part"),
        ({"type": "FixedLength", "length": 5}, "'FixedLength' part"),
        ({}, "'' part"),
        (split("a", "Sideways"), "'Sideways' is unknown"),
        (split_at(""), "String is empty"),
        ({**split("a"), "pattern": {"Glob": "*"}}, "expected 'String' to be str"),
        ({**split("a"), "pattern": "a"}, "pattern: expected an object"),
        ({**split("a"), "invert": "no"}, "expected 'invert' to be bool"),
        ({"type": "Sequence"}, "expected 'pretokenizers' to be list"),
        (sequence("Digits"), "expected an object"),  # type: ignore[arg-type]
        (sequence(byte_level(False), byte_level(True)), "another one"),
        ({"type": "CharDelimiterSplit"}, "expected 'delimiter' to be str"),
    ],
)
def test_a_part_that_can_not_be_done_is_refused_by_name(section: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_pre_tokenizer(section)


def test_a_pattern_that_does_not_compile_is_refused_with_its_position() -> None:
    with pytest.raises(PatternError) as caught:
        plan_of(sequence(digits(True), split("ab(?<=x)")))
    assert caught.value.position == 2


def test_a_literal_matches_its_text_alone() -> None:
    for text in ("a.b", "(*)", "▁", "\\", "[^", "é中😀", "<|end|>", "a b\n"):
        table = compile_split_pattern(literal(text))
        assert table.split(f"x{text}y{text}") == [text, text]
        assert table.split(text[:-1]) == []


@pytest.mark.parametrize("name", ["qwen3", "deepseek_v3"])
def test_the_sections_of_published_files_are_one_table(shared_data: Path, name: str) -> None:
    path = shared_data / "vocab" / f"{name}.tokenizer.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    section = json.loads(path.read_text(encoding="utf-8"))["pre_tokenizer"]
    (stage,) = plan_of(section)
    assert stage.table.covers_all_text
    for text in [*random_texts(name, 300), CHARACTERS]:
        assert_same(section, text)


def test_a_stage_is_data() -> None:
    assert SplitStage("a") == SplitStage("a", Behavior.ISOLATED)
    assert START == 1
