"""The `pre_tokenizer` section of a tokenizer.json: which stages it cuts by, what it does before.

Hugging Face's parts (`Digits`, `Punctuation`, `ByteLevel`, ...) all come down to stages of a split
(`tokenizer.split.stages`), and to steps that put something before a text or replace characters.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tokenizer.errors import VocabularyError
from tokenizer.split.dialect import Dialect
from tokenizer.split.stages import Behavior, SplitStage, literal
from tokenizer.text.normalizers import MARK, Prepend, Replace, Step
from tokenizer.vocabularies.json_section import Section
from tokenizer.vocabulary import PreTokenizer

_MAX_DEPTH = 16
# The native engine takes one more, which byte fallback may need. Published files have up to 4.
_MAX_STAGES = 15

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

    The patterns in it are not compiled yet.

    Raises:
        VocabularyError: A part is malformed or not supported; the message names it and says why.
    """
    if section is None:
        return PreTokenizer()
    return _Parser().parse(Section(section, "tokenizer.json: pre_tokenizer"))


class _Parser:
    """Collects what a section and all parts of its Sequences say."""

    def __init__(self) -> None:
        self.stages: list[SplitStage] = []
        self.parts = 0
        self.depth = 0
        self.prefix: tuple[Step, ...] = ()
        self.byte_level = False

    def parse(self, section: Section) -> PreTokenizer:
        self.part(section)
        return PreTokenizer(tuple(self.stages), self.prefix, self.byte_level)

    def part(self, section: Section) -> None:
        kind = section.get("type", str, "")
        if kind == "Sequence":
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise section.error(f"Sequences in each other, more than {_MAX_DEPTH} deep")
            for part in section.sections("pretokenizers"):
                self.part(part)
            self.depth -= 1
            return
        parse: Callable[[Section], None] | None = {
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
            raise _refusal(section, "no byte-pair vocabulary that we know of uses it")
        parse(section)
        self.parts += 1
        if len(self.stages) > _MAX_STAGES:
            raise section.error(f"more than {_MAX_STAGES} parts that cut text")

    def add(
        self,
        pattern: str,
        behavior: Behavior,
        invert: bool = False,
        dialect: Dialect = Dialect.FANCY,
    ) -> None:
        self.stages.append(SplitStage(pattern, behavior, invert, dialect, self.byte_level))

    def split(self, section: Section) -> None:
        pattern = section.section("pattern")
        behavior, invert = _behavior(section), section.get("invert", bool, False)
        if "Regex" in pattern.fields:
            self.add(pattern.get("Regex", str), behavior, invert, Dialect.ONIGURUMA)
        elif text := pattern.get("String", str):
            self.add(literal(text), behavior, invert)
        else:
            raise _refusal(section, "its String is empty")

    def digits(self, section: Section) -> None:
        single = section.get("individual_digits", bool, False)
        self.add(_NUMERIC, Behavior.ISOLATED if single else Behavior.CONTIGUOUS)

    def punctuation(self, section: Section) -> None:
        self.add(_PUNCTUATION, _behavior(section, "Isolated"))

    def whitespace(self, _: Section) -> None:
        self.add(r"\w+|[^\w\s]+", Behavior.REMOVED, True)

    def whitespace_split(self, _: Section) -> None:
        self.add(r"\s", Behavior.REMOVED)

    def bert(self, _: Section) -> None:
        self.add(r"\s", Behavior.REMOVED)
        self.add(_PUNCTUATION, Behavior.ISOLATED)

    def delimiter(self, section: Section) -> None:
        self.add(literal(section.get("delimiter", str)), Behavior.REMOVED)

    def byte_level_part(self, section: Section) -> None:
        if self.byte_level:
            raise _refusal(section, "there is another one before it")
        if section.get("add_prefix_space", bool, True):
            if self.parts:
                raise _refusal(
                    section, "it puts a space before every piece that other parts have cut"
                )
            self.prefix = (Prepend(" ", unless_there=True),)
        if section.get("use_regex", bool, True):
            self.add(BYTE_LEVEL_PATTERN, Behavior.ISOLATED, dialect=Dialect.ONIGURUMA)
        self.byte_level = True

    def metaspace_part(self, section: Section) -> None:
        if self.parts:
            raise _refusal(section, "it is not the first part")
        mark = section.get("replacement", str, MARK)
        if len(mark) != 1:
            raise section.error(f"expected a replacement of one character, found {mark!r}")
        # Files of before prepend_scheme say add_prefix_space instead.
        older = "always" if section.get("add_prefix_space", bool, True) else "never"
        scheme = section.get("prepend_scheme", str, older)
        if scheme not in ("always", "first", "never"):
            raise section.error(f"pre_tokenizer Metaspace: prepend_scheme {scheme!r} is unknown")
        self.prefix = (Replace(" ", mark),)
        if scheme != "never":
            self.prefix += (Prepend(mark, unless_there=True, first_only=scheme == "first"),)
        if section.get("split", bool, True):
            self.add(literal(mark), Behavior.MERGED_WITH_NEXT)


def _behavior(section: Section, *default: str) -> Behavior:
    name = section.get("behavior", str, *default)
    try:
        return Behavior(name)
    except ValueError:
        raise _refusal(section, f"the behavior {name!r} is unknown") from None


def _refusal(section: Section, reason: str) -> VocabularyError:
    part = section.get("type", str, "")
    return section.error(f"a {part!r} part is not supported: {reason}")
