"""The pre-tokenizer of a tokenizer.json, as data: the stages that cut text one after the other.

Each stage cuts every piece that the stages before it left. Its pattern finds matches in the piece;
what lies between them are gaps. With `invert` the two swap names. Its behavior says what pieces
become of both, here for the pattern `-` and the text `the-final--countdown`:

    Removed             the|final|countdown            matches vanish
    Isolated            the|-|final|-|-|countdown      a piece each
    Contiguous          the|-|final|--|countdown       neighbours of one kind are one piece
    MergedWithPrevious  the-|final-|-|countdown        a match joins the gap before it
    MergedWithNext      the|-final|-|-countdown        a match joins the gap behind it

A piece is never empty. These are the words and meanings of Hugging Face tokenizers, whose parts
(`Digits`, `Punctuation`, ...) all come down to such stages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tokenizer.errors import ConfigurationError


class Behavior(Enum):
    """What becomes of the matches of a stage; see the module docstring."""

    REMOVED = "Removed"
    ISOLATED = "Isolated"
    CONTIGUOUS = "Contiguous"
    MERGED_WITH_PREVIOUS = "MergedWithPrevious"
    MERGED_WITH_NEXT = "MergedWithNext"


class Dialect(Enum):
    """Whose reading of a regular expression counts, where engines disagree.

    FANCY: Rust's `regex` and `fancy-regex`: tiktoken, and the built-in stages of `tokenizers`.
    ONIGURUMA: as `tokenizers` sets it up for the patterns in a tokenizer.json.
    """

    FANCY = "fancy-regex"
    ONIGURUMA = "Oniguruma"


@dataclass(frozen=True, slots=True)
class SplitStage:
    """One cut: a pattern, what becomes of its matches, and whether gaps are called matches.

    on_bytes: the stage stands behind a ByteLevel one, which has replaced each byte of the text by
      a character of its own, and so sees those in the place of the text.
    """

    pattern: str
    behavior: Behavior = Behavior.ISOLATED
    invert: bool = False
    dialect: Dialect = Dialect.ONIGURUMA
    on_bytes: bool = False


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """What a tokenizer.json's `pre_tokenizer` section does to a segment between added tokens.

    stages: the cuts, in order; none leaves a segment whole.
    add_prefix_space: a segment that does not start with U+0020 gets one before the first stage.
    byte_level: there is a ByteLevel stage, so that the model sees bytes; without, characters.
    metaspace: a Metaspace stage's own section. It replaces and prepends characters ahead of
      `stages`, which has its cut (`split`) already.
    """

    stages: tuple[SplitStage, ...] = ()
    add_prefix_space: bool = False
    byte_level: bool = False
    metaspace: Mapping[str, Any] | None = None


def parse_pre_tokenizer(section: Mapping[str, Any] | None) -> PreTokenizer:
    """The stages of a tokenizer.json's `pre_tokenizer` section; none for null.

    Raises ConfigurationError that names the part it can not do and says why.
    """
    raise ConfigurationError("not there yet")
