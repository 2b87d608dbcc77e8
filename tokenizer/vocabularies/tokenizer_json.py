"""Hugging Face's tokenizer.json: byte-pair encoding of bytes, or of characters with byte fallback.

The reader is strict. What it does not know, and what would change ids in a way we do not follow, is
refused by name; nothing is skipped because it is probably harmless.

Format: https://huggingface.co/docs/tokenizers. A vocabulary of bytes is written in GPT-2's
alphabet, one printable character a byte (openai/gpt-2, src/encoder.py).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.errors import VocabularyError
from tokenizer.split.stages import parse_pre_tokenizer
from tokenizer.text.byte_alphabet import BYTE_ALPHABET
from tokenizer.text.normalizers import parse_normalizer
from tokenizer.vocabulary import AddedToken, Vocabulary, offsets_of

# What published vocabularies call the token that ends a document.
END_OF_TEXT = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",
    "</s>",
    "<eos>",
    "<EOT>",
)

_TOP = {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer"} | {
    "post_processor", "decoder", "model",
}  # fmt: skip
_ADDED = {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}
_MODEL = {
    "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
    "byte_fallback", "ignore_merges", "vocab", "merges",
}  # fmt: skip
_MAX_ID = (1 << 21) - 2


def read_tokenizer_json(content: bytes, name: str) -> Vocabulary:
    """The vocabulary in the content of a tokenizer.json.

    Raises VocabularyError where it is malformed, ConfigurationError where it is not supported; the
    message names the field.
    """
    try:
        root = json.loads(content)
    except ValueError as error:
        raise VocabularyError(f"{name}: not JSON: {error}") from error
    try:
        return _read(root, name, hashlib.sha256(content).hexdigest())
    except (KeyError, TypeError, AttributeError) as error:
        raise VocabularyError(f"{name}: not a tokenizer.json: {error!r}") from error


def _read(root: Mapping[str, Any], name: str, sha256: str) -> Vocabulary:
    _known(name, "", root, _TOP)
    if root.get("version") != "1.0":
        raise VocabularyError(f"{name}: version {root.get('version')!r}: expected '1.0'")
    for section in ("truncation", "padding"):
        if root.get(section) is not None:
            raise VocabularyError(
                f"{name}: {section} is not supported: documents keep their length; set it to null"
            )
    model = root["model"]
    _check_model(name, model)
    pre_tokenizer = parse_pre_tokenizer(root.get("pre_tokenizer"))
    byte_fallback = bool(model.get("byte_fallback"))
    if not pre_tokenizer.byte_level and not byte_fallback:
        raise VocabularyError(
            f"{name}: neither a ByteLevel pre-tokenizer nor byte_fallback: some text has no tokens"
        )
    vocab: dict[str, int] = model["vocab"]
    if any(type(one) is not int or not 0 <= one <= _MAX_ID for one in vocab.values()):
        raise VocabularyError(f"{name}: model.vocab: expected ids from 0 to {_MAX_ID}")
    if len(set(vocab.values())) != len(vocab):
        raise VocabularyError(f"{name}: model.vocab: an id occurs twice")
    tokens = _by_id(vocab)
    byte_tokens = None
    if pre_tokenizer.byte_level:
        token_bytes = _from_byte_alphabet(tokens)
    else:
        token_bytes = [token.encode("utf-8", "surrogatepass") for token in tokens]
        byte_tokens = np.array([vocab.get(f"<0x{byte:02X}>", -1) for byte in range(256)])
        for byte, one in enumerate(byte_tokens.tolist()):
            if one >= 0:
                token_bytes[one] = bytes([byte])
    added = _added_tokens(name, root.get("added_tokens") or [], vocab)
    begin, end = _post_processor(name, root.get("post_processor"))
    special = {token.text: token.id for token in added if token.special}
    return Vocabulary(
        name=name,
        token_bytes=b"".join(token_bytes),
        token_offsets=offsets_of(token_bytes),
        sha256=sha256,
        split_pattern=None,
        added_tokens=added,
        end_of_text=end if end is not None else end_of_text_of(special),
        begin_of_text=begin,
        merges=_merges(name, model["merges"], vocab),
        whole_pretokens=bool(model.get("ignore_merges")),
        byte_tokens=byte_tokens,
        normalizer=parse_normalizer(root.get("normalizer")),
        pre_tokenizer=pre_tokenizer,
    )


def end_of_text_of(special_tokens: Mapping[str, int]) -> int | None:
    """The id of the special token that ends documents, known by its name; None where none does."""
    found = [special_tokens[text] for text in END_OF_TEXT if text in special_tokens]
    return found[0] if found else None


def _known(name: str, place: str, section: Mapping[str, Any], fields: Iterable[str]) -> None:
    if unknown := sorted(set(section) - set(fields)):
        raise VocabularyError(f"{name}: {place}{unknown[0]}: an unknown field")


def _check_model(name: str, model: Mapping[str, Any]) -> None:
    kind = model.get("type", "BPE" if "merges" in model else None)
    if kind != "BPE":
        raise VocabularyError(f"{name}: model {kind} is not supported: expected BPE")
    _known(name, "model.", model, _MODEL)
    for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(field):
            raise VocabularyError(
                f"{name}: model.{field} {model[field]!r} is not supported: expected none"
            )


def _by_id(vocab: Mapping[str, int]) -> list[str]:
    tokens = [""] * (max(vocab.values(), default=-1) + 1)
    for token, one in vocab.items():
        tokens[one] = token
    return tokens


class _ByteAlphabet(dict[int, int]):
    """The character of each byte to the byte; all others to U+FFFF."""

    def __init__(self) -> None:
        super().__init__({ord(one): byte for byte, one in enumerate(BYTE_ALPHABET)})

    def __missing__(self, _: int) -> int:
        return 0xFFFF


def _from_byte_alphabet(tokens: list[str]) -> list[bytes]:
    """The bytes of each token; those not in the alphabet, special ones, as they are written."""
    joined = "".join(tokens).translate(_ByteAlphabet())
    whole = joined.encode("latin-1", "replace")
    found, start = [], 0
    for token in tokens:
        stop = start + len(token)
        odd = "\uffff" in joined[start:stop]
        found.append(token.encode() if odd else whole[start:stop])
        start = stop
    return found


def _merges(name: str, listed: list[Any], vocab: Mapping[str, int]) -> npt.NDArray[np.uint32]:
    """Ids of left, right and result; a merge is a pair, or a string with one space."""
    rows = []
    for number, merge in enumerate(listed):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if len(pair) != 2:
            raise VocabularyError(f"{name}: merge {number}: expected two tokens, found {merge!r}")
        left, right = pair
        row = (vocab.get(left), vocab.get(right), vocab.get(left + right))
        if None in row:
            raise VocabularyError(
                f"{name}: merge {number}: one of {left!r}, {right!r}, {left + right!r} is no token"
            )
        rows.append(row)
    return np.array(rows, np.uint32).reshape(-1, 3)


def _added_tokens(
    name: str, listed: list[Mapping[str, Any]], vocab: Mapping[str, int]
) -> tuple[AddedToken, ...]:
    taken = {one: token for token, one in vocab.items()}
    tokens: dict[str, AddedToken] = {}
    for one in listed:
        _known(name, "added_tokens: ", one, _ADDED)
        text, number = one["content"], one["id"]
        if not text or type(number) is not int or not 0 <= number <= _MAX_ID:
            raise VocabularyError(f"{name}: added token {text!r}: id {number!r}")
        if taken.setdefault(number, text) != text or vocab.get(text, number) != number:
            raise VocabularyError(f"{name}: added token {text!r}: id {number} is another token's")
        tokens[text] = AddedToken(
            text=text,
            id=number,
            special=one["special"],
            single_word=one["single_word"],
            lstrip=one["lstrip"],
            rstrip=one["rstrip"],
            normalized=one["normalized"],
        )
    return tuple(tokens.values())


def _post_processor(name: str, section: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """The ids that it puts in front of a text and behind it."""
    if section is None:
        return None, None
    kind = section.get("type")
    if kind == "ByteLevel":  # changes offsets, no ids
        return None, None
    if kind == "Sequence":
        found = [_post_processor(name, one) for one in section["processors"]]
        begins = [begin for begin, _ in found if begin is not None]
        ends = [end for _, end in found if end is not None]
        if len(begins) < 2 and len(ends) < 2:
            return (begins[0] if begins else None), (ends[0] if ends else None)
    elif kind == "TemplateProcessing":
        ids = {text: one["ids"] for text, one in section["special_tokens"].items()}
        pieces = [next(iter(one.items())) for one in section["single"]]
        kinds = [piece for piece, _ in pieces]
        at = kinds.index("Sequence") if kinds.count("Sequence") == 1 else -1
        before = [i for _, one in pieces[:at] for i in ids[one["id"]]]
        behind = [i for _, one in pieces[at + 1 :] for i in ids[one["id"]]]
        if at >= 0 and len(before) < 2 and len(behind) < 2:
            return (before[0] if before else None), (behind[0] if behind else None)
    elif kind in ("BertProcessing", "RobertaProcessing"):
        return section["cls"][1], section["sep"][1]
    raise VocabularyError(
        f"{name}: post_processor {kind} is not supported: expected at most one token before a text "
        "and one behind it"
    )
