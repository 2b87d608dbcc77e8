"""Patterns read as Oniguruma reads them: `tokenizers` compiles the same ones and is the oracle."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from tokenizers import Regex, pre_tokenizers

from tokenizer.errors import PatternError
from tokenizer.split.dialect import Dialect, can_become_a_sequence
from tokenizer.split.table import SplitTable, compile_split_pattern
from tokenizer.split.unicode_properties import (
    CODE_POINTS,
    NOTHING,
    CodePointSet,
    named_set,
    white_space,
    word,
)


def _characters() -> str:
    """The first 8192, and those on both sides of every change of category, script, \\s or \\w."""
    everything = np.arange(CODE_POINTS)
    properties = [named_set(name) or NOTHING for name in (*CATEGORIES, "Han", "Hira", "Kana")]
    changes = [np.flatnonzero(np.diff(one.contains(everything))) for one in properties]
    edges = np.concatenate([*changes, word().bounds, white_space().bounds])
    chosen = {*range(0x2000), *(edges - 1).tolist(), *edges.tolist(), *(edges + 1).tolist()}
    return "".join(map(chr, sorted(chosen & {*range(0xD800), *range(0xE000, CODE_POINTS)})))


CATEGORIES = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "P", "S", "Z", "C")
CHARACTERS = _characters()


@cache
def splits(pattern: str) -> list[pre_tokenizers.Split]:
    return [pre_tokenizers.Split(Regex(pattern), name, False) for name in ("isolated", "removed")]


def spans_of_oniguruma(pattern: str, text: str) -> list[tuple[int, int, bool]]:
    """(start, stop, matched) of each match and gap: the gaps are what Removed leaves."""
    isolated, removed = (one.pre_tokenize_str(text) for one in splits(pattern))
    gaps = {span for _, span in removed}
    return [(start, stop, (start, stop) not in gaps) for _, (start, stop) in isolated]


@cache
def table(pattern: str) -> SplitTable:
    return compile_split_pattern(pattern, Dialect.ONIGURUMA)


def spans(pattern: str, text: str) -> list[tuple[int, int, bool]]:
    return list(table(pattern).spans(text))


@pytest.mark.parametrize(
    "pattern",
    [
        "a$", r"\s+$", "a+$|b", "(?=$)a|b", "a(?=$)", "a(?!$)", "a(?=b|$)", r"a\z", "a{1,2}+",
        "a{2}+b?", "(?:ab){1,2}+", "a{2,}+b", "a?+b", "(?:a|ab)(?:b|$)", ".", ".+", r"[^\n]+$",
        "a+(?!b|$)|.",
    ],
)  # fmt: skip
def test_every_short_text_is_cut_as_oniguruma_does(pattern: str) -> None:
    for size in range(6):
        for letters in product("ab\n", repeat=size):
            text = "".join(letters)
            assert spans(pattern, text) == spans_of_oniguruma(pattern, text), ascii(text)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\s", r"\S", r"\d", r"\D", r"\w", r"\W", r"\h", r"\H", r"[^\s\w]", r"[\h_]", r"[^\H3]",
        ".", r"[\w]", r"[^\w]", r"[\W]", r"[\W\d]",
        r"\p{L}", r"\P{L}", r"\p{^N}", r"\P{^N}", r"\p{Lu}", r"\p{M}", r"\p{Cn}", r"\p{Punct}",
        r"\p{letter}", r"\p{Uppercase_Letter}", r"\p{Han}", r"\p{hira}", r"\p{Any}", r"\p{P}",
        r"\p{LC}", r"[一-龥\u3040-ゟ゠-ヿ]", r"[\x{4E00}-\x{9FA5}\x41]",
        r"[^(\s|[.,!?…。，、।۔،])]",
        r"[\w&&\D]", r"[\p{L}&&[^\p{Han}]]", "[^a&&b]", "[^ab&&bc]", "[^[a]b]", "[^[^a]]",
        r"[\t\n\r\f\v]",
        "(?i:s)", "(?i:k)", "(?i:é)", "(?i:[a-z])", "(?i:[^s])", r"(?i:\p{Lu})", r"(?i:\P{Lu})",
        r"(?i:[^\p{Lu}])", "(?i:[a-z&&[^S]])", "(?i:[[^s]t&&[a-z]])", r"(?i:[^\r\n\p{L}\p{N}])",
        r"(?i:\w)", "(?i:[^ß])", "(?i:[Ω])", "(?i)µ", "(?-i:s)", "(?i:x(?-i:s)|s(?-i:x))",
    ],
)  # fmt: skip
def test_a_set_has_the_characters_it_has_for_oniguruma(pattern: str) -> None:
    assert spans(pattern, CHARACTERS) == spans_of_oniguruma(pattern, CHARACTERS)


@pytest.mark.parametrize("pattern", ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)"])
def test_contractions_match_what_oniguruma_matches_with_any_character(pattern: str) -> None:
    every = CHARACTERS.replace("'", "")
    for context in ("'{}", "'{}l", "'L{}", "'r{}", "'V{}", "{}s", "ŉ{}"):
        text = "|".join(context.replace("{}", one) for one in every)
        assert spans(pattern, text) == spans_of_oniguruma(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("(?i:ss)", 5), ("(?i:aST)", 6), ("(?i:f(?:f))", 8), ("(?i:ß)", 4), ("(?i:[a-ß])", 4),
        (r"(?i:[\p{Ll}])", 4), ("(?i:éa)", 5), ("(?i:ʼn)", 5), ("(?i)xss", 6), (r"(?i:ſ\x73)", 5),
        (r"\pL", 0), (r"\p{gc=Lu}", 0), (r"\p{Script=Han}", 0), (r"\p{IsHan}", 0), (r"\p{L&}", 0),
        (r"\u{41}", 0), (r"\xE9", 0), (r"[\x80-\xff]", 1), ("(?P<x>a)", 0), ("a\\Z", 1), ("^a", 0),
        ("a{2}?", 4), ("a(?i)b", 1), (r"\R", 0), (r"\X", 0), ("[[:alpha:]]", 1), ("(?<=a)b", 0),
        ("a{0,3}+", 1),
    ],
)  # fmt: skip
def test_what_oniguruma_reads_in_a_way_of_its_own_is_refused(pattern: str, position: int) -> None:
    with pytest.raises(PatternError) as caught:
        compile_split_pattern(pattern, Dialect.ONIGURUMA)
    assert caught.value.position == position


def test_the_characters_that_fold_to_several_are_those_of_full_case_folding() -> None:
    """Python's own table, of whatever version: the set is closed."""
    folds = [c for c in range(CODE_POINTS) if len(chr(c).casefold()) > 1]
    assert all(can_become_a_sequence(CodePointSet.of_code_points([c])) for c in folds)
    assert not can_become_a_sequence(~CodePointSet.of_code_points(folds))
