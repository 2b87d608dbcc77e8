"""`Tokenizer`: text to token ids and back."""

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import _native
from tokenizer.errors import ConfigurationError
from tokenizer.split.dialect import Dialect
from tokenizer.split.implied import MARK, implied_split
from tokenizer.split.plan import CompiledStage, plan_split, windows_of_plan
from tokenizer.split.stages import SplitStage, literal
from tokenizer.split.table import compile_split_pattern
from tokenizer.split.unicode_properties import UNICODE_VERSION
from tokenizer.text.added_tokens import TEXT, AddedTokens, Segments, added_tokens_of
from tokenizer.text.arrow_text import offsets_and_data, texts_of
from tokenizer.text.normalizers import (
    NORMALIZATION_VERSION,
    Replace,
    Step,
    apply_steps,
    prefix_steps,
)
from tokenizer.vocabularies.merge_ranks import native_vocabulary
from tokenizer.vocabularies.sources import load_vocabulary
from tokenizer.vocabulary import Vocabulary

DEFAULT_CACHE_BYTES = 64 << 20
_TO_MARKS = Replace(" ", MARK)


class EncodedDocuments(NamedTuple):
    """What `Tokenizer.encode_documents` returns for d documents and n tokens.

    tokens: uint16[n] or uint32[n], the documents one after the other.
    offsets: int64[d + 1]; document i is tokens[offsets[i]:offsets[i + 1]].
    text_xxh3: uint64[d], XXH3-64 of the UTF-8 text.
    special_token_texts: uint32[d], how often a special token's text occurs (as plain text).
    valid: bool[d], whether the text is UTF-8. An invalid or empty document has no tokens at all.
    """

    tokens: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]
    text_xxh3: npt.NDArray[np.uint64]
    special_token_texts: npt.NDArray[np.uint32]
    valid: npt.NDArray[np.bool_]


class Tokenizer:
    """Byte-pair encoding, id for id what the vocabulary's own tokenizer gives.

    Special-token text in a document is plain text unless the caller allows it: web text can not
    forge an end of document. Thread-safe; encoding releases the GIL; pickles by reference (the
    arguments of `load`), so what is loaded from a file must be readable where it is unpickled.

    >>> tokenizer = Tokenizer.load("cl100k_base")
    >>> tokenizer.encode("hello world").tolist()
    [15339, 1917]
    >>> tokenizer.decode([9906, 1917])
    'Hello world'
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        _reference: tuple[Any, ...] | None = None,
    ) -> None:
        """Prefer `load`. cache_bytes: memory for seen pretokens, for each encoding thread.

        Raises PatternError or VocabularyError where the vocabulary can not work.
        """
        plan = _split_plan(vocabulary)
        self._engine = _native.Engine(
            native_vocabulary(vocabulary),
            [stage.native() for stage in plan],
            windows_of_plan(plan),
            cache_bytes,
        )
        self._added, self._added_late = added_tokens_of(
            vocabulary.added_tokens, vocabulary.normalizer
        )
        self._prefix = prefix_steps(vocabulary.pre_tokenizer)
        # Whether nothing that is done in Python lies between the added tokens and the engine.
        self._is_native = not (
            vocabulary.normalizer or self._added_late or self._prefix or self._added.needs_care
        )
        self._vocabulary = vocabulary
        self._reference = _reference

    @staticmethod
    def load(
        source: str,
        *,
        split_pattern: str | None = None,
        special_tokens: Mapping[str, int] | None = None,
        revision: str | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> "Tokenizer":
        """The tokenizer of a bundled vocabulary, a file, a folder, or a repository of the hub.

        source: r50k_base (also gpt2), p50k_base, cl100k_base, o200k_base; the path of a Hugging
        Face tokenizer.json, a Mistral tekken.json, or a folder that holds one; `org/name` on the
        hub, at `revision` (default: main); or a path that ends in .tiktoken, which needs
        split_pattern and special_tokens. Equal arguments in one process give the same object, so
        its tables are shared. Raises ConfigurationError.
        """
        specials = None if special_tokens is None else tuple(sorted(special_tokens.items()))
        return _load(source, split_pattern, specials, cache_bytes, revision)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reference is None:
            raise TypeError("only a tokenizer made by Tokenizer.load can be pickled")
        return _load, self._reference

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens, pattern and special tokens it was made of."""
        return self._vocabulary

    @property
    def vocabulary_size(self) -> int:
        """The largest id, special tokens included, plus one: 100277 for cl100k_base."""
        return self._vocabulary.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smaller of <u2 and <u4 that holds every id."""
        return np.dtype("<u2" if self.vocabulary_size <= 1 << 16 else "<u4")

    @property
    def begin_of_text(self) -> int | None:
        """The id that the vocabulary's own tokenizer puts in front of each text, or None."""
        return self._vocabulary.begin_of_text

    @property
    def end_of_text(self) -> int | None:
        """The id that ends a document: what its own tokenizer puts behind each text, else the
        special token that is called so (`<|endoftext|>`, `</s>`, ...), or None."""
        return self._vocabulary.end_of_text

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides ids: docs/formats.md lists it."""
        vocabulary = self._vocabulary
        facts: dict[str, Any] = {
            "tokens": hashlib.sha256(vocabulary.token_bytes).hexdigest(),
            "offsets": hashlib.sha256(vocabulary.token_offsets.tobytes()).hexdigest(),
            "split_pattern": vocabulary.split_pattern,
            "unicode": UNICODE_VERSION,
            "special_tokens": dict(vocabulary.special_tokens),
        }
        if vocabulary.merges is not None:
            facts |= _facts_of_merges(vocabulary, vocabulary.merges)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def encode(self, text: str, *, allowed_special: Iterable[str] = ()) -> npt.NDArray[np.uint32]:
        """The ids of one text, uint32[n].

        allowed_special: special tokens whose text becomes their id; all other text is plain.
        Raises UnicodeEncodeError (a ValueError) when the text holds a lone surrogate,
        ConfigurationError when a name in allowed_special is no special token.
        """
        if not allowed_special and self._is_native:
            return self._engine.encode_text(self._added.engine, text)
        text.encode()  # or raises
        special_tokens = self._vocabulary.special_tokens
        allowed = set(allowed_special)
        if unknown := sorted(allowed.difference(special_tokens)):
            raise ConfigurationError(f"not special tokens of {self._vocabulary.name}: {unknown}")
        if not allowed:
            return self.encode_documents(_to_arrow([text])).tokens
        pieces = self._added.cut(text, allowed)
        segments = _of_pieces([pieces])
        tokens, _ = self._encode(segments, allowed=allowed)
        return tokens

    def encode_batch(
        self, documents: pa.Array | Sequence[str]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """The ids of d texts: tokens uint32[n] and offsets int64[d + 1] into them.

        Raises ValueError, naming the index, for a text that is null or not UTF-8.
        """
        array = documents if isinstance(documents, pa.Array) else _to_arrow(documents)
        encoded = self.encode_documents(array)
        if not encoded.valid.all():
            raise ValueError(f"document {int(encoded.valid.argmin())} is not UTF-8")
        return encoded.tokens, encoded.offsets

    def encode_documents(
        self,
        text: pa.Array,
        *,
        begin_of_text: int | None = None,
        end_of_text: int | None = None,
        dtype: npt.DTypeLike = np.uint32,
    ) -> EncodedDocuments:
        """Encodes a StringArray or LargeStringArray without nulls, the GIL released throughout.

        begin_of_text and end_of_text: ids put around each document that has tokens.
        dtype: uint16 or uint32. Raises ValueError for nulls, another type, or too narrow a dtype.
        """
        if text.null_count:
            raise ValueError("a document is null")
        segments, hashes, specials, valid = self._added.scan(*offsets_and_data(text))
        tokens, offsets = self._encode(
            segments, begin_of_text, end_of_text, np.dtype(dtype).itemsize
        )
        return EncodedDocuments(tokens, offsets, hashes, specials, valid)

    def _encode(
        self,
        segments: Segments,
        begin: int | None = None,
        end: int | None = None,
        bytes_per_token: int = 4,
        allowed: Collection[str] = (),
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Normalizes the text between added tokens, then merges it."""
        if self._vocabulary.normalizer:
            segments = _apply(self._vocabulary.normalizer, segments)
        if self._added_late:
            segments = _cut_again(self._added_late, segments, allowed)
        if self._prefix:
            segments = _apply(self._prefix, segments)
        tokens, offsets = self._engine.encode_documents(
            segments.data,
            segments.offsets,
            segments.kinds,
            segments.first,
            begin,
            end,
            bytes_per_token,
        )
        return tokens, offsets

    def decode_bytes(self, ids: npt.ArrayLike) -> bytes:
        """The exact bytes of the ids, added tokens as their text.

        ids: a list, tuple or one-dimensional array of whole numbers. Raises ValueError for an id
        that is no token, TypeError for what is no whole number.

        What a normalizer did to the text stays done: NFC is not undone, and where blanks were
        replaced by U+2581 (SentencePiece), each U+2581 becomes a blank, one put in front stays.
        """
        return self._token_bytes.decode_bytes(ids)

    @functools.cached_property
    def _token_bytes(self) -> _native.TokenBytes:
        """The bytes of each id; none where there is no token."""
        vocabulary = self._vocabulary
        offsets = vocabulary.token_offsets.tolist()
        texts = [vocabulary.token_bytes[begin:end] for begin, end in itertools.pairwise(offsets)]
        texts += [b""] * (vocabulary.size - len(texts))
        for token in vocabulary.added_tokens:
            texts[token.id] = token.text.encode()
        array = pa.array(texts, pa.large_binary())
        if _TO_MARKS in (*vocabulary.normalizer, *self._prefix):
            array = pc.replace_substring(array, _TO_MARKS.content.encode(), b" ")
        _, offsets, data = array.buffers()
        return _native.TokenBytes(bytes(data), np.frombuffer(offsets, np.uint64)[: len(array) + 1])

    def decode(self, ids: npt.ArrayLike) -> str:
        """As decode_bytes, as text; bytes that are no UTF-8 become U+FFFD."""
        return self._token_bytes.decode(ids)

    def pretokens(self, text: str) -> list[tuple[bytes, list[int]]]:
        """Each pretoken of the text with its ids: for people to look at."""
        utf8 = text.encode()
        return [(utf8[start:stop], ids) for start, stop, ids in self._engine.pretokens(text)]


@functools.lru_cache(maxsize=8)
def _load(
    source: str,
    split_pattern: str | None,
    special_tokens: tuple[tuple[str, int], ...] | None,
    cache_bytes: int,
    revision: str | None = None,
) -> Tokenizer:
    specials = None if special_tokens is None else dict(special_tokens)
    vocabulary = load_vocabulary(source, split_pattern, specials, revision)
    # Pinned: where it is unpickled, the hub may have moved on.
    reference = (source, split_pattern, special_tokens, cache_bytes, vocabulary.revision)
    return Tokenizer(vocabulary, cache_bytes=cache_bytes, _reference=reference)


def _to_arrow(documents: Sequence[str]) -> pa.Array:
    try:
        return pa.array(documents, pa.large_string())
    except (TypeError, pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise ValueError(f"expected a sequence of str: {error}") from error


def _split_plan(vocabulary: Vocabulary) -> Sequence[CompiledStage]:
    if vocabulary.split_pattern is not None:
        table = compile_split_pattern(vocabulary.split_pattern)
        if not table.covers_all_text:
            raise ConfigurationError(
                f"{vocabulary.name}: the split pattern leaves some text unmatched: "
                f"{vocabulary.split_pattern}"
            )
        return [CompiledStage(table)]
    stages = vocabulary.pre_tokenizer.stages
    if vocabulary.byte_tokens is None:
        return plan_split(stages)
    # Where the normalizer has replaced all blanks there are none to cut at (Gemma).
    if vocabulary.normalizer[-1:] == (_TO_MARKS,):
        stages = tuple(stage for stage in stages if stage.pattern != literal(" "))
    return plan_split((*stages, SplitStage(implied_split(vocabulary), dialect=Dialect.FANCY)))


def _apply(steps: tuple[Step, ...], segments: Segments) -> Segments:
    is_text = segments.kinds == TEXT
    texts, is_first = texts_of(segments.offsets, segments.data), segments.starts_document()
    if not is_text.all():
        texts, is_first = texts.filter(pa.array(is_text)), is_first[is_text]
    return segments.with_texts(*offsets_and_data(apply_steps(steps, texts, is_first)))


def _cut_again(added: AddedTokens, segments: Segments, allowed: Collection[str]) -> Segments:
    """The text of `segments` cut once more."""
    is_text = segments.kinds == TEXT
    texts = texts_of(segments.offsets, segments.data).filter(pa.array(is_text))
    if allowed:
        cut = _of_pieces([added.cut(text, allowed) for text in texts.to_pylist()])
    else:
        cut, *_ = added.scan(*offsets_and_data(texts))
    counts = np.ones(segments.kinds.size, np.int64)
    counts[is_text] = np.diff(cut.first)
    kinds = np.repeat(segments.kinds, counts)
    sizes = np.zeros(kinds.size, np.int64)
    inside = np.repeat(is_text, counts)
    kinds[inside], sizes[inside] = cut.kinds, np.diff(cut.offsets)
    first = np.concatenate(([0], np.cumsum(counts)))[segments.first]
    offsets = cut.offsets[0] + np.concatenate(([0], np.cumsum(sizes)))
    return Segments(cut.data, offsets, kinds, first)


def _of_pieces(documents: list[list[tuple[str, int]]]) -> Segments:
    texts = [text.encode() for pieces in documents for text, _ in pieces]
    return Segments(
        b"".join(texts),
        np.concatenate(([0], np.cumsum([len(text) for text in texts]))).astype(np.int64),
        np.array([kind for pieces in documents for _, kind in pieces], np.int32),
        np.concatenate(([0], np.cumsum([len(pieces) for pieces in documents]))).astype(np.int64),
    )


def _facts_of_merges(vocabulary: Vocabulary, merges: npt.NDArray[np.uint32]) -> dict[str, Any]:
    fallback = vocabulary.byte_tokens
    return {
        "merges": hashlib.sha256(merges.tobytes()).hexdigest(),
        "whole_pretokens": vocabulary.whole_pretokens,
        "byte_tokens": fallback if fallback is None else fallback.tolist(),
        "added_tokens": [dataclasses.asdict(token) for token in vocabulary.added_tokens],
        "normalizer": [
            [type(step).__name__, dataclasses.asdict(step)] for step in vocabulary.normalizer
        ],
        "normalizer_unicode": NORMALIZATION_VERSION,
        "stages": [
            {
                **dataclasses.asdict(stage),
                "behavior": stage.behavior.value,
                "dialect": stage.dialect.value,
            }
            for stage in vocabulary.pre_tokenizer.stages
        ],
        "prefix": [
            [type(step).__name__, dataclasses.asdict(step)]
            for step in prefix_steps(vocabulary.pre_tokenizer)
        ],
    }
