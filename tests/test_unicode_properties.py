"""Sets of code points: the pinned data against the engine it is pinned to, and set algebra."""

import unicodedata

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.split import unicode_properties
from tokenizer.split.unicode_properties import (
    CODE_POINTS,
    EVERYTHING,
    NOTHING,
    CodePointSet,
    category,
    close_over_case,
    named_set,
    script,
    white_space,
    word,
)

BYTE_RANKS = {bytes([byte]): byte for byte in range(256)}
NO_SURROGATES = ~CodePointSet.of_ranges([(0xD800, 0xDFFF)])
EVERY_CHARACTER = "".join(map(chr, np.flatnonzero(NO_SURROGATES.mask()).tolist()))
CATEGORIES = (
    "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po "
    "S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co Cn LC"
)

small_sets = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=6).map(
    lambda pairs: CodePointSet.of_ranges((low, low + size) for low, size in pairs)
)


def matched_by_tiktoken(pattern: str, text: str = EVERY_CHARACTER) -> CodePointSet:
    """The code points of `text` in pieces of `pattern`; tiktoken drops what does not match."""
    encoding = tiktoken.Encoding(
        "probe", pat_str=pattern, mergeable_ranks=BYTE_RANKS, special_tokens={}
    )
    matched = encoding.decode(encoding.encode_ordinary(text))
    return CodePointSet.of_code_points(map(ord, matched))


@pytest.mark.parametrize("name", CATEGORIES.split())
def test_a_category_has_the_code_points_that_tiktoken_gives_it(name: str) -> None:
    members = category(name)
    assert members is not None
    assert members & NO_SURROGATES == matched_by_tiktoken(rf"\p{{{name}}}")


@pytest.mark.parametrize(
    "name", ["Han", "Hiragana", "Katakana", "Hangul", "Latin", "Cyrillic", "Arabic", "Thai", "Nko"]
)
def test_a_script_has_the_code_points_that_tiktoken_gives_it(name: str) -> None:
    assert script(name) == matched_by_tiktoken(rf"\p{{Script={name}}}")


def test_the_shorthand_sets_are_those_of_tiktoken() -> None:
    assert white_space() == matched_by_tiktoken(r"\s")
    assert word() == matched_by_tiktoken(r"\w")
    assert category("Nd") == matched_by_tiktoken(r"\d")


@pytest.mark.parametrize("letters", ["s", "S", "k", "tdmlvre", "i", "ß", "σ", "ǅ", "Ⴀ", "ꭰ", "ı"])
def test_case_folding_is_that_of_tiktoken(letters: str) -> None:
    members = CodePointSet.of_code_points(map(ord, letters))
    assert close_over_case(members) == matched_by_tiktoken(f"(?i:[{letters}])")
    assert close_over_case(close_over_case(members)) == close_over_case(members)


def test_case_folding_of_whole_properties_is_that_of_tiktoken() -> None:
    for name in ("Lu", "Ll", "Lt", "M"):
        members = named_set(name)
        assert members is not None
        assert close_over_case(members) == matched_by_tiktoken(rf"(?i:\p{{{name}}})")


def test_what_python_folds_to_one_character_is_in_one_class() -> None:
    for code_point in range(CODE_POINTS):
        folded = chr(code_point).casefold()
        if len(folded) == 1 and ord(folded) != code_point:
            assert ord(folded) in close_over_case(CodePointSet.of_code_points([code_point]))


def test_every_code_point_is_in_one_category_and_one_script() -> None:
    names = unicode_properties._runs("categories")[0]
    sizes = [len(category(name) or NOTHING) for name in names]
    assert sum(sizes) == CODE_POINTS
    scripts = [name for name in unicode_properties._runs("scripts")[0] if name != "Unknown"]
    assert all(script(name) for name in scripts)
    assert not script("Han") & script("Hiragana")  # type: ignore[operator]


def test_python_agrees_on_letters_that_are_as_old_as_its_unicode() -> None:
    """An independent source: letters stay letters from one version to the next."""
    letters = category("L")
    assert letters is not None
    old = [c for c in range(CODE_POINTS) if unicodedata.category(chr(c))[0] == "L"]
    missing = ~letters & CodePointSet.of_code_points(old)
    if unicodedata.unidata_version <= unicode_properties.UNICODE_VERSION:
        assert not missing


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("Letter", "L"), ("uppercase_letter", "Lu"), ("gc=Lu", "Lu"),
        ("General_Category=Mark", "M"),
        ("punct", "P"), ("Script=Han", "Han"), ("sc=Hani", "Han"), ("IsHan", "Han"),
        ("is_latin", "Latn"), ("Cased Letter", "LC"), ("l&", "LC"),
    ],
)  # fmt: skip
def test_a_property_has_several_names(name: str, same: str) -> None:
    assert named_set(name) is not None
    assert named_set(name) == named_set(same)


@pytest.mark.parametrize("name", ["", "X", "Lx", "gc=Han", "sc=Lu", "Klingon", "age=3.0", "is"])
def test_an_unknown_property_is_none(name: str) -> None:
    assert named_set(name) is None


@settings(derandomize=True, deadline=None)
@given(small_sets, small_sets)
def test_set_algebra_equals_that_of_python_sets(a: CodePointSet, b: CodePointSet) -> None:
    def plain(members: CodePointSet) -> set[int]:
        return {one for one in range(60) if one in members}

    assert plain(a | b) == plain(a) | plain(b)
    assert plain(a & b) == plain(a) & plain(b)
    assert plain(a - b) == plain(a) - plain(b)
    assert plain(~a) == set(range(60)) - plain(a)
    assert ~~a == a
    assert hash(~~a) == hash(a)
    assert len(a) == len(plain(a)) == int(a.mask().sum())
    assert bool(a) == bool(plain(a))
    assert (np.diff((a | b).bounds) > 0).all()


def test_the_empty_and_the_full_set_are_complements() -> None:
    assert ~NOTHING == EVERYTHING
    assert ~EVERYTHING == NOTHING
    assert CodePointSet.union([]) == NOTHING
    assert close_over_case(NOTHING) == NOTHING
    assert EVERYTHING.mask().all()
