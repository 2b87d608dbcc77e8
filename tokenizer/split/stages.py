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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tokenizer.errors import ConfigurationError
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


# What ByteLevel cuts by with `use_regex`: GPT-2's pattern as first published.
BYTE_LEVEL_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# `char::is_numeric` of the Rust that tokenizers 0.23 is built with, which has Unicode 17 by now.
_NUMERIC = r"[\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}]"

# ASCII punctuation and symbols, and \p{P} as a table of Unicode 8 has it that tokenizers goes by.
_NO_PUNCTUATION_YET = (
    "061D 09FD 0A76 0C77 0C84 1B4E-1B4F 1B7D-1B7F 2E43-2E4F 2E52-2E5D 10D6E 10EAD 10F55-10F59 "
    "10F86-10F89 113D4-113D5 113D7-113D8 1144B-1144F 1145A-1145B 1145D 11660-1166C 116B9 1183B "
    "11944-11946 119E2 11A3F-11A46 11A9A-11A9C 11A9E-11AA2 11B00-11B09 11BE1 11C41-11C45 "
    "11C70-11C71 11EF7-11EF8 11F43-11F4F 11FFF 12FF1-12FF2 16D6D-16D6F 16E97-16E9A 16FE2 1E5FF "
    "1E95E-1E95F"
)
_PUNCTUATION = (
    r"[!-/:-@\[-`{-~\p{P}\x{166D}\x{111C9}&&[^"
    + "".join(
        "-".join(rf"\x{{{point}}}" for point in one.split("-"))
        for one in _NO_PUNCTUATION_YET.split()
    )
    + "]]"
)


def parse_pre_tokenizer(section: Mapping[str, Any] | None) -> PreTokenizer:
    """What a tokenizer.json's `pre_tokenizer` section says; no stages for null.

    The patterns in it are not compiled yet. Raises ConfigurationError that names the part which
    can not be done and says why.
    """
    return PreTokenizer() if section is None else _Parser().parse(section)


def literal(text: str) -> str:
    """A pattern that matches `text` and nothing else.

    >>> literal("a.b")
    'a\\\\x{2E}b'
    """
    return "".join(one if one.isalnum() else rf"\x{{{ord(one):X}}}" for one in text)


class _Parser:
    """Walks through a section, its Sequences flattened, and collects what it says."""

    def __init__(self) -> None:
        self.stages: list[SplitStage] = []
        self.parts = 0
        self.add_prefix_space = False
        self.byte_level = False
        self.metaspace: Mapping[str, Any] | None = None

    def parse(self, section: Mapping[str, Any]) -> PreTokenizer:
        self.part(section)
        return PreTokenizer(
            tuple(self.stages), self.add_prefix_space, self.byte_level, self.metaspace
        )

    def part(self, section: Mapping[str, Any]) -> None:
        kind = _get(section, "type", str, "")
        if kind == "Sequence":
            for part in _get(section, "pretokenizers", list):
                self.part(part)
            return
        parse: Callable[[Mapping[str, Any]], None] | None = {
            "Split": self.split,
            "Digits": self.digits,
            "Punctuation": self.punctuation,
            "Whitespace": self.whitespace,
            "WhitespaceSplit": self.whitespace_split,
            "BertPreTokenizer": self.bert,
            "CharDelimiterSplit": self.delimiter,
            "ByteLevel": self.byte_level_part,
            "Metaspace": self.metaspace_part,
        }.get(kind)
        if parse is None:
            raise _refusal(kind, "no byte-pair vocabulary that we know of uses it")
        parse(section)
        self.parts += 1

    def add(
        self,
        pattern: str,
        behavior: Behavior,
        invert: bool = False,
        dialect: Dialect = Dialect.FANCY,
    ) -> None:
        self.stages.append(SplitStage(pattern, behavior, invert, dialect, self.byte_level))

    def split(self, section: Mapping[str, Any]) -> None:
        pattern = _get(section, "pattern", dict)
        behavior, invert = _behavior(section), _get(section, "invert", bool, False)
        if "Regex" in pattern:
            self.add(_get(pattern, "Regex", str), behavior, invert, Dialect.ONIGURUMA)
        elif text := _get(pattern, "String", str):
            self.add(literal(text), behavior, invert)
        else:
            raise _refusal("Split", "its String is empty")

    def digits(self, section: Mapping[str, Any]) -> None:
        single = _get(section, "individual_digits", bool, False)
        self.add(_NUMERIC, Behavior.ISOLATED if single else Behavior.CONTIGUOUS)

    def punctuation(self, section: Mapping[str, Any]) -> None:
        self.add(_PUNCTUATION, _behavior(section, "Isolated"))

    def whitespace(self, _: Mapping[str, Any]) -> None:
        self.add(r"\w+|[^\w\s]+", Behavior.REMOVED, True)

    def whitespace_split(self, _: Mapping[str, Any]) -> None:
        self.add(r"\s", Behavior.REMOVED)

    def bert(self, _: Mapping[str, Any]) -> None:
        self.add(r"\s", Behavior.REMOVED)
        self.add(_PUNCTUATION, Behavior.ISOLATED)

    def delimiter(self, section: Mapping[str, Any]) -> None:
        self.add(literal(_get(section, "delimiter", str)), Behavior.REMOVED)

    def byte_level_part(self, section: Mapping[str, Any]) -> None:
        if self.byte_level:
            raise _refusal("ByteLevel", "there is another one before it")
        if _get(section, "add_prefix_space", bool, True):
            if self.parts:
                raise _refusal(
                    "ByteLevel", "it puts a space before every piece that other parts have cut"
                )
            self.add_prefix_space = True
        if _get(section, "use_regex", bool, True):
            self.add(BYTE_LEVEL_PATTERN, Behavior.ISOLATED, dialect=Dialect.ONIGURUMA)
        self.byte_level = True

    def metaspace_part(self, section: Mapping[str, Any]) -> None:
        if self.parts:
            raise _refusal("Metaspace", "it is not the first part")
        self.metaspace = section
        if _get(section, "split", bool, True):
            replacement = _get(section, "replacement", str, "\u2581")
            self.add(literal(replacement), Behavior.MERGED_WITH_NEXT)


def _get(section: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """A member of the section, of the right type."""
    found = section.get(name, default) if isinstance(section, Mapping) else None
    if not isinstance(found, kind):
        raise ConfigurationError(
            f"tokenizer.json: pre_tokenizer: expected {name!r} to be {kind.__name__}, "
            f"found {found!r} in {section!r}"
        )
    return found


def _behavior(section: Mapping[str, Any], default: str | None = None) -> Behavior:
    name = _get(section, "behavior", str, default)
    try:
        return Behavior(name)
    except ValueError:
        raise _refusal(section["type"], f"the behavior {name!r} is unknown") from None


def _refusal(part: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"tokenizer.json: pre_tokenizer: a {part!r} part is not supported: {reason}"
    )
