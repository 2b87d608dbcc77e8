"""Hugging Face's tokenizer.json: byte-pair encoding of bytes, or of characters with byte fallback.

`pre_tokenizer_json.py` and `normalizer_json.py` read the sections of those names.

The reader is strict. What it does not know, and what would change ids in a way we do not follow, is
refused by name; nothing is skipped because it is probably harmless.

Format: https://huggingface.co/docs/tokenizers. A vocabulary of bytes is written in GPT-2's
alphabet, one printable character a byte (openai/gpt-2, src/encoder.py).
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.errors import VocabularyError
from tokenizer.text.byte_alphabet import BYTE_ALPHABET
from tokenizer.vocabularies.json_section import Section
from tokenizer.vocabularies.normalizer_json import parse_normalizer
from tokenizer.vocabularies.pre_tokenizer_json import parse_pre_tokenizer
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
_MAX_DEPTH = 16


def read_tokenizer_json(content: bytes, name: str) -> Vocabulary:
    """The vocabulary in the content of a tokenizer.json.

    Raises:
        VocabularyError: It is malformed, or asks for what is not supported; the message names the
            field.
    """
    root = Section.parse(content, name)
    _check_top(root)
    model = root.section("model")
    _check_model(model)
    pre_tokenizer = parse_pre_tokenizer(root.fields.get("pre_tokenizer"))
    byte_fallback = model.get("byte_fallback", bool, False)
    if not pre_tokenizer.byte_level and not byte_fallback:
        raise root.error(
            "neither a ByteLevel pre-tokenizer nor byte_fallback: some text has no tokens"
        )
    vocab = _vocab(model)
    byte_tokens, unreachable = None, set[int]()
    if pre_tokenizer.byte_level:
        token_bytes, unreachable = _from_byte_alphabet(_by_id(vocab))
    else:
        token_bytes, byte_tokens = _with_byte_fallback(vocab)
    added = _added_tokens(root, vocab)
    begin, end = _post_processor(root)
    known = {*vocab.values(), *(token.id for token in added)}
    for one in (begin, end):
        if one is not None and one not in known:
            raise root.error(f"post_processor: id {one} is no token of this vocabulary")
    special = {token.text: token.id for token in added if token.special}
    return Vocabulary(
        name=name,
        token_bytes=b"".join(token_bytes),
        token_offsets=offsets_of(token_bytes),
        sha256=hashlib.sha256(content).hexdigest(),
        split_pattern=None,
        added_tokens=added,
        end_of_text=end if end is not None else end_of_text_of(special),
        begin_of_text=begin,
        merges=_merges(model, vocab, unreachable),
        whole_pretokens=model.get("ignore_merges", bool, False),
        byte_tokens=byte_tokens,
        unreachable=tuple(sorted(unreachable)),
        normalizer=parse_normalizer(root.fields.get("normalizer")),
        pre_tokenizer=pre_tokenizer,
    )


def _check_top(root: Section) -> None:
    root.expect_only(_TOP)
    if root.fields.get("version") != "1.0":
        raise root.error(f"version {root.fields.get('version')!r}: expected '1.0'")
    for field in ("truncation", "padding"):
        if root.fields.get(field) is not None:
            raise root.error(
                f"{field} is not supported: documents keep their length; set it to null"
            )
    if "model" not in root.fields:
        raise root.error("not a tokenizer.json: it has no model")


def _with_byte_fallback(vocab: Mapping[str, int]) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """The bytes of each token, and the token of each byte, -1 where there is none."""
    token_bytes = [token.encode() for token in _by_id(vocab)]
    byte_tokens = np.array([vocab.get(f"<0x{byte:02X}>", -1) for byte in range(256)], np.int64)
    for byte, one in enumerate(byte_tokens.tolist()):
        if one >= 0:
            token_bytes[one] = bytes([byte])
    return token_bytes, byte_tokens


def end_of_text_of(special_tokens: Mapping[str, int]) -> int | None:
    """The id of the special token that ends documents, known by its name; None where none does."""
    found = [special_tokens[text] for text in END_OF_TEXT if text in special_tokens]
    return found[0] if found else None


def _check_model(model: Section) -> None:
    kind = model.fields.get("type", "BPE" if "merges" in model.fields else None)
    if kind != "BPE":
        raise model.error(f"model {kind} is not supported: expected BPE")
    model.expect_only(_MODEL)
    for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if value := model.fields.get(field):
            raise model.error(f"model.{field} {value!r} is not supported: expected none")


def _vocab(model: Section) -> dict[str, int]:
    vocab = model.get("vocab", dict)
    if any(type(one) is not int or not 0 <= one <= _MAX_ID for one in vocab.values()):
        raise model.error(f"vocab: expected ids from 0 to {_MAX_ID}")
    if len(set(vocab.values())) != len(vocab):
        raise model.error("vocab: an id occurs twice")
    return vocab


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


def _from_byte_alphabet(tokens: list[str]) -> tuple[list[bytes], set[int]]:
    """The bytes of each token, and the ids of those that are not written in the alphabet.

    Those, special tokens mostly, have the bytes of what is written.
    """
    joined = "".join(tokens).translate(_ByteAlphabet())
    whole = joined.encode("latin-1", "replace")
    found, others, start = [], set(), 0
    for number, token in enumerate(tokens):
        stop = start + len(token)
        if "\uffff" in joined[start:stop]:
            found.append(token.encode())
            others.add(number)
        else:
            found.append(whole[start:stop])
        start = stop
    return found, others


def _merges(
    model: Section, vocab: Mapping[str, int], unreachable: set[int]
) -> npt.NDArray[np.uint32]:
    """Ids of left, right and result; a merge is a pair, or a string with one space.

    Those of unreachable tokens are left out: they never happen.
    """
    rows = []
    for number, merge in enumerate(model.get("merges", list)):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(isinstance(one, str) for one in pair)
        ):
            raise model.error(f"merge {number}: expected two tokens, found {merge!r:.100}")
        left, right = pair
        row = (vocab.get(left), vocab.get(right), vocab.get(left + right))
        if None in row:
            raise model.error(
                f"merge {number}: one of {left!r}, {right!r}, {left + right!r} is no token"
            )
        if unreachable.isdisjoint(row):
            rows.append(row)
    return np.array(rows, np.uint32).reshape(-1, 3)


def _added_tokens(root: Section, vocab: Mapping[str, int]) -> tuple[AddedToken, ...]:
    taken = {one: token for token, one in vocab.items()}
    tokens: dict[str, AddedToken] = {}
    next_id = len(vocab)  # that tokenizers gives, whatever the file says
    for section in root.sections("added_tokens", None):
        section.expect_only(_ADDED)
        token = AddedToken(
            text=section.get("content", str),
            id=section.get("id", int),
            special=section.get("special", bool),
            single_word=section.get("single_word", bool),
            lstrip=section.get("lstrip", bool),
            rstrip=section.get("rstrip", bool),
            normalized=section.get("normalized", bool),
        )
        if not token.text or not 0 <= token.id <= _MAX_ID:
            raise section.error(
                f"added token {token.text!r}: expected a text, and an id from 0 to {_MAX_ID}, "
                f"found {token.id}"
            )
        is_taken = taken.setdefault(token.id, token.text) != token.text
        if is_taken or vocab.get(token.text, token.id) != token.id:
            raise section.error(f"added token {token.text!r}: id {token.id} is another token's")
        if (given := vocab.get(token.text, next_id)) != token.id and token.text not in tokens:
            raise section.error(
                f"added token {token.text!r}: id {token.id}: tokenizers numbers added tokens in "
                f"their order, from the size of the vocabulary on, and gives it {given}"
            )
        next_id = max(next_id, token.id + 1)
        tokens[token.text] = token
    return tuple(tokens.values())


def _post_processor(root: Section) -> tuple[int | None, int | None]:
    """The ids that it puts before a text and after it."""
    section = root.optional("post_processor")
    found = [] if section is None else list(_framing(section))
    begins = [begin for begin, _ in found if begin is not None]
    ends = [end for _, end in found if end is not None]
    if section is not None and (len(begins) > 1 or len(ends) > 1):
        raise _refusal(section, section.get("type", str))
    return (begins[0] if begins else None), (ends[0] if ends else None)


def _framing(section: Section, depth: int = 0) -> Iterator[tuple[int | None, int | None]]:
    kind = section.get("type", str)
    if kind == "Sequence":
        if depth == _MAX_DEPTH:
            raise section.error(f"Sequences in each other, more than {_MAX_DEPTH} deep")
        for one in section.sections("processors"):
            yield from _framing(one, depth + 1)
    elif kind == "TemplateProcessing":
        yield _template(section)
    elif kind in ("BertProcessing", "RobertaProcessing"):
        pairs = section.get("cls", list), section.get("sep", list)
        if any(len(pair) != 2 or type(pair[1]) is not int for pair in pairs):
            raise section.error(f"expected cls and sep to be pairs of text and id, found {pairs}")
        yield pairs[0][1], pairs[1][1]
    elif kind != "ByteLevel":  # that changes offsets, no ids
        raise _refusal(section, kind)


def _template(section: Section) -> tuple[int | None, int | None]:
    specials = section.section("special_tokens")
    before: list[Any] = []
    after: list[Any] = []
    texts = 0
    for piece in section.sections("single"):
        if "Sequence" in piece.fields:
            texts += 1
        else:
            text = piece.section("SpecialToken").get("id", str)
            (after if texts else before).extend(specials.section(text).get("ids", list))
    if any(type(one) is not int for one in before + after):
        raise section.error(f"expected special_tokens to have ids, found {before + after}")
    if texts != 1 or len(before) > 1 or len(after) > 1:
        raise _refusal(section, "TemplateProcessing")
    return (before[0] if before else None), (after[0] if after else None)


def _refusal(section: Section, kind: str) -> VocabularyError:
    return section.error(
        f"post_processor {kind} is not supported: expected at most one token before a text and one "
        "after it"
    )
