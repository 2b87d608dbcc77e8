"""`Tokenizer`: text to token ids and back."""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer import _native
from tokenizer.errors import ConfigurationError, VocabularyError
from tokenizer.split_plan import CompiledStage
from tokenizer.split_table import compile_split_pattern
from tokenizer.unicode_properties import UNICODE_VERSION
from tokenizer.vocabulary import Vocabulary, load_vocabulary

DEFAULT_CACHE_BYTES = 64 << 20


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
        stage = CompiledStage(compile_split_pattern(vocabulary.split_pattern))
        if not stage.table.covers_all_text:
            raise ConfigurationError(
                f"{vocabulary.name}: the split pattern leaves some text unmatched: "
                f"{vocabulary.split_pattern}"
            )
        try:
            self._engine = _native.Engine(
                vocabulary.token_bytes,
                vocabulary.token_offsets,
                [stage.native()],
                list(vocabulary.special_tokens),
                cache_bytes,
            )
        except ValueError as error:
            raise VocabularyError(f"{vocabulary.name}: {error}") from error
        self._vocabulary = vocabulary
        self._reference = _reference

    @staticmethod
    def load(
        source: str,
        *,
        split_pattern: str | None = None,
        special_tokens: Mapping[str, int] | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> "Tokenizer":
        """The tokenizer of a bundled vocabulary, or of a `.tiktoken` file.

        source: r50k_base (also gpt2), p50k_base, cl100k_base, o200k_base, or a path that ends in
        .tiktoken, which needs split_pattern and special_tokens. Equal arguments in one process
        give the same object, so its tables are shared. Raises ConfigurationError.
        """
        specials = None if special_tokens is None else tuple(sorted(special_tokens.items()))
        return _load(source, split_pattern, specials, cache_bytes)

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

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides ids: tokens, pattern, Unicode version, special tokens."""
        vocabulary = self._vocabulary
        facts = {
            "tokens": hashlib.sha256(vocabulary.token_bytes).hexdigest(),
            "offsets": hashlib.sha256(vocabulary.token_offsets.tobytes()).hexdigest(),
            "split_pattern": vocabulary.split_pattern,
            "unicode": UNICODE_VERSION,
            "special_tokens": dict(vocabulary.special_tokens),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def encode(self, text: str, *, allowed_special: Iterable[str] = ()) -> npt.NDArray[np.uint32]:
        """The ids of one text, uint32[n].

        allowed_special: special tokens whose text becomes their id; all other text is plain.
        Raises UnicodeEncodeError (a ValueError) when the text holds a lone surrogate,
        ConfigurationError when a name in allowed_special is no special token.
        """
        allowed = sorted(allowed_special, key=len, reverse=True)
        if not allowed:
            return self._engine.encode(text.encode())
        special_tokens = self._vocabulary.special_tokens
        if unknown := [name for name in allowed if name not in special_tokens]:
            raise ConfigurationError(f"not special tokens of {self._vocabulary.name}: {unknown}")
        pattern = "(" + "|".join(map(re.escape, allowed)) + ")"
        parts = [
            np.array([special_tokens[part]], np.uint32)
            if i % 2
            else self._engine.encode(part.encode())
            for i, part in enumerate(re.split(pattern, text))
        ]
        return np.concatenate(parts)

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
        data, offsets = _string_buffers(text)
        return EncodedDocuments(
            *self._engine.encode_documents(
                data, offsets, begin_of_text, end_of_text, np.dtype(dtype).itemsize
            )
        )

    def decode_bytes(self, ids: npt.ArrayLike) -> bytes:
        """The exact bytes of the ids, special tokens as their text; ValueError for other ids."""
        array = np.ascontiguousarray(ids, dtype=np.uint32)
        texts = {token: text for text, token in self._vocabulary.special_tokens.items()}
        special_at = np.flatnonzero(np.isin(array, list(texts)))
        parts = []
        start = 0
        for at in special_at.tolist():
            parts += [self._engine.decode(array[start:at]), texts[int(array[at])].encode()]
            start = at + 1
        return b"".join([*parts, self._engine.decode(array[start:])])

    def decode(self, ids: npt.ArrayLike) -> str:
        """As decode_bytes, as text; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

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
) -> Tokenizer:
    specials = None if special_tokens is None else dict(special_tokens)
    reference = (source, split_pattern, special_tokens, cache_bytes)
    vocabulary = load_vocabulary(source, split_pattern, specials)
    return Tokenizer(vocabulary, cache_bytes=cache_bytes, _reference=reference)


def _to_arrow(documents: Sequence[str]) -> pa.Array:
    try:
        return pa.array(documents, pa.large_string())
    except (TypeError, pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise ValueError(f"expected a sequence of str: {error}") from error


def _string_buffers(text: pa.Array) -> tuple[Any, npt.NDArray[np.int64]]:
    """The data buffer of a string array, and int64[d + 1] offsets into it."""
    if pa.types.is_string(text.type):
        offset_type: npt.DTypeLike = np.int32
    elif pa.types.is_large_string(text.type):
        offset_type = np.int64
    else:
        raise ValueError(f"expected an Arrow string array, found {text.type}")
    _, offsets, data = text.buffers()
    if len(text) == 0:
        return b"", np.zeros(1, np.int64)
    window = np.frombuffer(offsets, offset_type)[text.offset : text.offset + len(text) + 1]
    return data if data is not None else b"", window.astype(np.int64)
