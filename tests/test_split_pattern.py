"""The pattern parser: what it reads, as sets and trees, and what it refuses, with the place."""

import pickle

import pytest
from split_patterns import EVERY_PATTERN
from test_unicode_properties import EVERY_CHARACTER, NO_SURROGATES, matched_by_tiktoken

from tokenizer.errors import PatternError
from tokenizer.split.pattern import parse_split_pattern
from tokenizer.split.pattern_tree import END, Character, Choice, LookAhead, Repeat, Sequence
from tokenizer.split.unicode_properties import EVERYTHING, CodePointSet, category, white_space

ONE_CHARACTER = [
    ".", r"\s", r"\S", r"\d", r"\D", r"\w", r"\W", r"\pL", r"\PL", r"\p{Lu}", r"\P{Lu}",
    r"\p{^Lu}", r"\P{^Lu}", r"\p{Han}", r"\p{Script=Han}", r"\p{Letter}", r"\n", r"\t", r"\f",
    r"\v", r"\r", r"\.", r"\\", r"\/", r"\ ", r"\'", r"\-", r"\x41", r"\x{1F600}", r"\u00e9",
    r"\u{e9}", "é", "]", "}", "-", "/", "&", "~", "[a-c]", "[^a-c]", "[]a]", "[^]a]", "[a-]",
    "[-a]", "[a-c-e]", r"[\]\[\\^-]", "[a^]", "[a&b]", r"[\w-]", r"[\s\p{L}]", r"[^\s\p{L}\p{N}]",
    "[a[bc]]", "[a[^bc]]", "[a-z&&[^aeiou]]", r"[\p{Lu}\p{Lo}\p{M}&&[^\p{Han}]]",
    r"[^\p{L}&&\p{Han}]", r"[a-z&&b-y&&[^c]]", "[一-龥぀-ゟ゠-ヿ]", "[!-/:-@]", r"[\x00-\x1f]",
    r"[\--\.]", "(?i:s)", "(?i:K)", "(?i:[a-f])", "(?i:[^s])", r"(?i:\p{Lu})", r"(?i:\P{Lu})",
    r"(?i:[\P{Lu}])", "(?i:[a-z&&[^S]])", r"(?i:[^\p{Lu}k])", "(?i:ß)", "(?i:.)", r"(?i:\s)",
    "(?i)k", "(?i:(?-i:k))", "(?i:a(?-i:k)|k)",
]  # fmt: skip


@pytest.mark.parametrize("pattern", ONE_CHARACTER)
def test_a_set_has_the_characters_that_tiktoken_matches(pattern: str) -> None:
    tree = parse_split_pattern(pattern)
    if isinstance(tree, Choice):
        tree = tree.options[-1]
    assert isinstance(tree, Character)
    assert tree.members & NO_SURROGATES == matched_by_tiktoken(pattern, EVERY_CHARACTER)


def one(text: str) -> Character:
    return Character(CodePointSet.of_code_points(map(ord, text)))


def test_a_pattern_becomes_a_tree() -> None:
    assert parse_split_pattern("a(?:b|c)?|d{2,3}+$") == Choice(
        (
            Sequence((one("a"), Repeat(Choice((one("b"), one("c"))), 0, 1, False, 8))),
            Sequence((Repeat(one("d"), 2, 3, True, 11), END)),
        )
    )


@pytest.mark.parametrize(
    ("quantifier", "low", "high", "possessive"),
    [
        ("?", 0, 1, False), ("*", 0, None, False), ("+", 1, None, False), ("{2}", 2, 2, False),
        ("{2,}", 2, None, False), ("{0,3}", 0, 3, False), ("?+", 0, 1, True), ("*+", 0, None, True),
        ("++", 1, None, True), ("{1,3}+", 1, 3, True), ("{2}+", 2, 2, True),
    ],
)  # fmt: skip
def test_a_repeat_has_its_bounds(
    quantifier: str, low: int, high: int | None, possessive: bool
) -> None:
    assert parse_split_pattern(f"a{quantifier}") == Repeat(one("a"), low, high, possessive, 1)


@pytest.mark.parametrize("group", ["(a)", "(?:a)", "(?<name>a)", "(?P<name>a)", "((a))", "(?-i:a)"])
def test_groups_are_only_brackets(group: str) -> None:
    assert parse_split_pattern(group) == one("a")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?!\S)", LookAhead(white_space(), True)),
        (r"(?=\s)", LookAhead(white_space(), False)),
        (r"(?=\s|$)", LookAhead(white_space(), True)),
        (r"(?!\S|$)", LookAhead(white_space(), False)),
        ("(?!a|b)", LookAhead(~one("ab").members, True)),
        ("(?!$)", LookAhead(EVERYTHING, False)),
        ("(?i:(?=s))", LookAhead(one("sSſ").members, False)),
        ("$", END),
        (r"\z", END),
    ],
)
def test_a_look_ahead_is_a_condition_on_the_next_character(
    pattern: str, expected: LookAhead
) -> None:
    assert parse_split_pattern(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("a+?", 2), ("a??", 2), ("a{1,2}?", 6), ("a**", 1), ("a{2}{3}", 1), ("*a", 0),
        ("(|*)", 2), ("a{,2}", 1), ("a{3,2}", 1), ("a{0}", 1), ("a{9999}", 1), ("{", 0),
        ("^a", 0), (r"a\b", 1), (r"\A", 0), (r"\Z", 0), (r"\G", 0), (r"(a)\1", 3), (r"\k<a>", 0),
        (r"\h", 0), (r"\R", 0), (r"\X", 0), (r"\<", 0), ("\\", 0), (r"\x4", 0),
        (r"\x{110000}", 0), (r"\p", 0), (r"\p{", 0), (r"\p{Klingon}", 0), (r"a\pX", 1),
        ("(?<=a)b", 0), ("(?<!a)b", 0), ("(?>a)", 0), ("(?m:a)", 0), ("a(?i)b", 1), ("(?x)", 0),
        ("(?#c)", 0), ("(a", 0), ("a)", 1), ("(?=ab)", 0), ("(?!a*)", 0), ("(?!)", 0),
        ("(?=(?!a))", 0), ("(?=a)+", 5), ("$*", 1), ("[a", 0), ("[", 0), ("[]", 0), ("[b-a]", 2),
        (r"[a-\d]", 2), (r"[\d-a]", 3), ("[a-", 2), ("[[:alpha:]]", 1), ("[a--b]", 2),
        ("[a~~b]", 2), ("[a&&]", 4), ("[&&a]", 1), ("[[a]", 0), ("(" * 60 + ")" * 60, 51),
    ],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused_with_its_place(pattern: str, position: int) -> None:
    with pytest.raises(PatternError) as caught:
        parse_split_pattern(pattern)
    assert caught.value.position == position
    assert caught.value.pattern == pattern
    assert caught.value.construct in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def position_of_refusal(pattern: str) -> int | None:
    try:
        parse_split_pattern(pattern)
    except PatternError as error:
        return error.position
    return None


@pytest.mark.parametrize("name", EVERY_PATTERN)
def test_every_prefix_of_a_published_pattern_parses_or_is_refused(name: str) -> None:
    pattern = EVERY_PATTERN[name]
    assert position_of_refusal(pattern) is None
    for stop in range(len(pattern)):
        assert (position_of_refusal(pattern[:stop]) or 0) <= stop


def test_decimal_digits_are_the_category() -> None:
    assert parse_split_pattern(r"\d") == Character(category("Nd") or CodePointSet.union([]))


def test_a_range_of_one_character_is_that_character() -> None:
    assert parse_split_pattern("[a-a]") == one("a")
