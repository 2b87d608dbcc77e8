"""How regular-expression engines differ in reading one split pattern.

Engines disagree on what some of a pattern means, and the engine that a vocabulary was published for
has defined its ids. So a pattern is read in a `Dialect`:

                    FANCY                               ONIGURUMA
    $               the end of the text                 also before every line feed
    X{m,n}+         possessive                          X{m,n} repeated: \\p{N}{1,3}+ is \\p{N}+
    \\w [\\w]         as UTS #18 has it                   - 200C 200D; \\w by itself also has
                                                        + 00B2 00B3 00B9 00BC..00BE
    \\h \\H           refused                             a hexadecimal digit, or not
    (?i:\\p{Lu})     upper and lower case                upper case; folded in a class: [\\p{Lu}]
    (?i:[[^s]t])    each class is folded, then negated  the whole is folded, the outer ^ last
    (?i:ss) (?i:ß)  ß does not match ss                 it does: refused
    \\pL \\p{gc=L} \\p{IsL} \\u{H} (?P<x>) \\x80         means something else, or nothing: refused

In both, (?i:s) matches U+017F and (?i:k) U+212A. `\\Z` differs even more and is refused.
"""

from enum import Enum
from functools import cache

from tokenizer.split.unicode_properties import NOTHING, CodePointSet, category, white_space, word


class Dialect(Enum):
    """Whose reading of a regular expression counts; see above.

    Attributes:
        FANCY: Rust's `regex` and `fancy-regex`: tiktoken, and the built-in parts of
            `tokenizers`.
        ONIGURUMA: As `tokenizers` sets it up for the patterns in a tokenizer.json.
    """

    FANCY = "fancy-regex"
    ONIGURUMA = "Oniguruma"


_MORE_WORDS = CodePointSet.of_code_points([0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE])
_JOINERS = CodePointSet.of_code_points([0x200C, 0x200D])
_HEXADECIMAL = CodePointSet.of_ranges([(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)])


@cache
def shorthands(dialect: Dialect, in_class: bool) -> dict[str, CodePointSet]:
    """The members of \\s, \\d, ... by letter, inside or outside of a class."""
    common = {"s": white_space(), "d": category("Nd") or NOTHING}
    if dialect is Dialect.FANCY:
        return {**common, "w": word()}
    in_words = word() - _JOINERS
    return {**common, "w": in_words if in_class else in_words | _MORE_WORDS, "h": _HEXADECIMAL}


# The characters that full case folding makes several of, as ranges. Unicode's stability policy
# keeps others from joining them.
# fmt: off
_EXPANDING = CodePointSet.of_ranges([
    (0xDF, 0xDF), (0x130, 0x130), (0x149, 0x149), (0x1F0, 0x1F0), (0x390, 0x390), (0x3B0, 0x3B0),
    (0x587, 0x587), (0x1E96, 0x1E9A), (0x1E9E, 0x1E9E), (0x1F50, 0x1F50), (0x1F52, 0x1F52),
    (0x1F54, 0x1F54), (0x1F56, 0x1F56), (0x1F80, 0x1FAF), (0x1FB2, 0x1FB4), (0x1FB6, 0x1FB7),
    (0x1FBC, 0x1FBC), (0x1FC2, 0x1FC4), (0x1FC6, 0x1FC7), (0x1FCC, 0x1FCC), (0x1FD2, 0x1FD3),
    (0x1FD6, 0x1FD7), (0x1FE2, 0x1FE4), (0x1FE6, 0x1FE7), (0x1FF2, 0x1FF4), (0x1FF6, 0x1FF7),
    (0x1FFC, 0x1FFC), (0xFB00, 0xFB06), (0xFB13, 0xFB17),
])
# fmt: on


def can_become_a_sequence(members: CodePointSet) -> bool:
    """Whether full case folding makes several characters of one of `members`."""
    return bool(members & _EXPANDING)


def may_become_one(before: str, after: str) -> bool:
    """Whether one character may fold to a sequence with `before` and `after` side by side in it.

    Exact for ASCII; anything else may.
    """
    pair = (before + after).lower()
    return not pair.isascii() or pair in ("ss", "st", "ff", "fi", "fl")
