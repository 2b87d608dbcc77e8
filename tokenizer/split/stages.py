"""The split as data: the stages that cut text one after the other.

Each stage cuts every piece that the stages before it left. Its pattern finds matches in the piece;
what lies between them are gaps. With `invert` the two swap names. Its behavior says what pieces
become of both, here for the pattern `-` and the text `the-final--countdown`:

    Removed             the|final|countdown            matches vanish
    Isolated            the|-|final|-|-|countdown      a piece each
    Contiguous          the|-|final|--|countdown       neighbours of one kind are one piece
    MergedWithPrevious  the-|final-|-|countdown        a match joins the gap before it
    MergedWithNext      the|-final|-|-countdown        a match joins the gap after it

A piece is never empty. What the last stage leaves are the pretokens. These are the words and
meanings of Hugging Face tokenizers, whose parts (`Digits`, `Punctuation`, ...) all come down to
such stages.
"""

from dataclasses import dataclass
from enum import Enum

from tokenizer.split.dialect import Dialect


class Behavior(Enum):
    """What becomes of the matches of a stage; see the module docstring."""

    REMOVED = "Removed"
    ISOLATED = "Isolated"
    CONTIGUOUS = "Contiguous"
    MERGED_WITH_PREVIOUS = "MergedWithPrevious"
    MERGED_WITH_NEXT = "MergedWithNext"


@dataclass(frozen=True, slots=True)
class SplitStage:
    """One stage: a pattern, what becomes of its matches, and whether gaps are called matches.

    Attributes:
        on_bytes: The stage stands after a ByteLevel one, which has replaced each byte of the
            text by a character of its own, and so sees those in the place of the text.
    """

    pattern: str
    behavior: Behavior = Behavior.ISOLATED
    invert: bool = False
    dialect: Dialect = Dialect.ONIGURUMA
    on_bytes: bool = False


def literal(text: str) -> str:
    """A pattern that matches `text` and nothing else.

    >>> literal("a.b")
    'a\\\\x{2E}b'
    """
    return "".join(one if one.isalnum() else rf"\x{{{ord(one):X}}}" for one in text)
