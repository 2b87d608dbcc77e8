"""Pre-tokenizer sections for tests, and what `tokenizers` makes of them."""

import json
from functools import cache
from typing import Any

import tokenizers

from tokenizer.split.plan import CompiledStage, plan_split
from tokenizer.split.stages import Behavior
from tokenizer.vocabularies.pre_tokenizer_json import parse_pre_tokenizer

Section = dict[str, Any]

BEHAVIORS = [behavior.value for behavior in Behavior]


def sequence(*parts: Section) -> Section:
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split(pattern: str, behavior: str = "Isolated", invert: bool = False) -> Section:
    kind = {"pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}
    return {"type": "Split", **kind}


def split_at(text: str, behavior: str = "Isolated", invert: bool = False) -> Section:
    kind = {"pattern": {"String": text}, "behavior": behavior, "invert": invert}
    return {"type": "Split", **kind}


def byte_level(use_regex: bool, add_prefix_space: bool = False) -> Section:
    kind = {"use_regex": use_regex, "add_prefix_space": add_prefix_space, "trim_offsets": True}
    return {"type": "ByteLevel", **kind}


def digits(individual: bool) -> Section:
    return {"type": "Digits", "individual_digits": individual}


def punctuation(behavior: str) -> Section:
    return {"type": "Punctuation", "behavior": behavior}


DEEPSEEK_V3 = sequence(
    split(r"\p{N}{1,3}"),
    split("[一-龥\u3040-ゟ゠-ヿ]+"),
    split(
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
        "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
        "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
    ),
    byte_level(False),
)

# Arranged as published models have them.
SEVERAL_STAGES = {
    "deepseek_v3": DEEPSEEK_V3,
    "deepseek_llm": sequence(
        split("[\r\n]"),
        split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺͰ-ͳΑ-ΡА-ҁ]+"),
        split(r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"),
        split(r"\s+$"),
        split("[一-龥ࠀ-一가-\ud7ff]+"),
        digits(True),
        byte_level(False),
    ),
    "falcon": sequence(
        punctuation("Contiguous"), byte_level(True), digits(False), split("[0-9][0-9][0-9]")
    ),
    "starcoder": sequence(digits(True), byte_level(True)),
    "bloom": sequence(split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), byte_level(False)),
    "bert": {"type": "BertPreTokenizer"},
    "removed_whitespace": sequence({"type": "WhitespaceSplit"}, digits(True), byte_level(False)),
    "words": sequence({"type": "Whitespace"}, split("[ab]+c?", "MergedWithNext")),
    "three_removed": sequence(
        split("b+", "Removed"),
        split("a", "Removed"),
        split(r"\s", "Removed"),
        punctuation("Removed"),
    ),
    "bytes_removed": sequence(byte_level(False), split("[ÃÂ]", "Removed"), digits(False)),
}

_UNUSUAL = {chr(0x100 + i): byte for i, byte in enumerate(
    byte for byte in range(256)
    if not (0x21 <= byte < 0x7F or 0xA1 <= byte < 0xAD or byte >= 0xAE)
)}  # fmt: skip


@cache
def _oracle(section: str) -> Any:
    empty = {"type": "BPE", "vocab": {}, "merges": []}
    made = tokenizers.Tokenizer.from_str(
        json.dumps({"version": "1.0", "model": empty, "pre_tokenizer": json.loads(section)})
    )
    return made.pre_tokenizer


def pieces_of_tokenizers(section: Section, text: str) -> list[bytes]:
    """The pieces as bytes, those of ByteLevel's alphabet turned back."""
    pieces = _oracle(json.dumps(section)).pre_tokenize_str(text)
    if '"ByteLevel"' not in json.dumps(section):
        return [piece.encode() for piece, _ in pieces]
    return [bytes(_UNUSUAL.get(c, ord(c) & 255) for c in piece) for piece, _ in pieces]


def plan_of(section: Section) -> tuple[CompiledStage, ...]:
    return _plan(json.dumps(section))


@cache
def _plan(section: str) -> tuple[CompiledStage, ...]:
    return plan_split(parse_pre_tokenizer(json.loads(section)).stages)
