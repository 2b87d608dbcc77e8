"""`Tokenizer`: text to token ids and back."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.arguments import allowed_names, array_of_texts, expect_text
from tokenizer.encoded import EncodedDocuments, Reencoded, TracedPretoken
from tokenizer.errors import ConfigurationError
from tokenizer.familiar_names import FamiliarNames
from tokenizer.load_once import load_once
from tokenizer.route import Route, TextEncoder
from tokenizer.text.arrow_text import offsets_and_data
from tokenizer.vocabularies.sources import load_vocabulary
from tokenizer.vocabulary import Vocabulary

DEFAULT_CACHE_BYTES = 64 << 20
MAX_CACHE_BYTES = 1 << 32


class Tokenizer(FamiliarNames):
    """Byte-pair encoding, id for id what the vocabulary's own tokenizer gives.

    Special-token text in a document is plain text unless the caller allows it: web text can not
    forge an end of document. Thread-safe; encoding releases the GIL; pickles by reference (the
    arguments of `load`), so what is loaded from a file must be readable where it is unpickled.
    `tokenizer.route` describes what happens to a text on its way to ids.

    >>> tokenizer = Tokenizer.load("cl100k_base")
    >>> tokenizer.encode("hello world").tolist()
    [15339, 1917]
    >>> tokenizer.decode([9906, 1917])
    'Hello world'
    >>> tokenizer
    Tokenizer('cl100k_base', 100,277 ids)
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        _reference: tuple[Any, ...] | None = None,
    ) -> None:
        """Prefer `load`.

        Args:
            vocabulary: The tokens, merges, and what is done to text before they apply.
            cache_bytes: Memory for pretokens already seen, for each thread that encodes.

        Raises:
            TypeError: The name or path of a vocabulary is given: `load` takes those.
            PatternError: The split pattern does not compile.
            VocabularyError: The vocabulary contradicts itself.
            ConfigurationError: cache_bytes is not from 0 to 2^32.
        """
        if isinstance(vocabulary, str | Path):
            raise TypeError(
                f"expected a Vocabulary, found {str(vocabulary)!r}: to load one by its name or "
                f"path, call Tokenizer.load({str(vocabulary)!r})"
            )
        if not 0 <= cache_bytes <= MAX_CACHE_BYTES:
            raise ConfigurationError(
                f"cache_bytes: expected 0 to {MAX_CACHE_BYTES} (4 GiB), found {cache_bytes}"
            )
        self._route = Route(vocabulary, cache_bytes)
        self._encode_text = self._route.encode_text
        super().__init__(vocabulary, self._route.ids)
        self._reference = _reference

    @staticmethod
    def load(
        source: str | Path,
        *,
        split_pattern: str | None = None,
        special_tokens: Mapping[str, int] | None = None,
        revision: str | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> "Tokenizer":
        """The tokenizer of a bundled vocabulary, a file, a folder, or a repository of the hub.

        Equal arguments in one process give the same object, so its tables are shared; threads that
        ask at the same time wait for the one that loads.

        Args:
            source: r50k_base (also gpt2), p50k_base, cl100k_base, o200k_base; the path of a Hugging
                Face tokenizer.json, a Mistral tekken.json, or a folder that holds one; `org/name`
                on the hub; or a path that ends in .tiktoken, which needs split_pattern and
                special_tokens.
            split_pattern: The regular expression that cuts text, for a .tiktoken file.
            special_tokens: Text to id, for a .tiktoken file; may be empty.
            revision: The commit, branch or tag on the hub; None: main.
            cache_bytes: As in `Tokenizer`.

        Raises:
            ConfigurationError: The arguments do not fit each other, or nothing is there.
            VocabularyError: The file is malformed, or asks for what is not supported.
        """
        if not isinstance(source, str | Path):
            raise ConfigurationError(
                f"tokenizer: expected a name or a path, found {type(source).__name__}"
            )
        specials = None if special_tokens is None else tuple(sorted(special_tokens.items()))
        return _load(str(source), split_pattern, specials, cache_bytes, revision)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reference is None:
            raise TypeError("only a tokenizer made by Tokenizer.load can be pickled")
        return _load, self._reference

    def __repr__(self) -> str:
        return f"Tokenizer({self.name!r}, {self.vocabulary_size:,} ids)"

    # -- what it is made of

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides ids: docs/formats.md lists it."""
        return self._route.fingerprint

    @property
    def is_lossless(self) -> bool:
        """Whether decode(encode(t)) == t for every text t: nothing normalizes it, adds to it or
        drops any of it."""
        return self._route.is_lossless

    # -- text to ids

    def encode(
        self, text: str, *, allowed_special: Iterable[str] | Literal["all"] = ()
    ) -> npt.NDArray[np.uint32]:
        """The ids of one text, uint32[n].

        Args:
            text: Any str without lone surrogates.
            allowed_special: Special tokens whose text becomes their id, or "all"; all other text is
                plain.

        Raises:
            TypeError: `text` is no str.
            UnicodeEncodeError: The text holds a lone surrogate; also a ValueError.
            ConfigurationError: A name in allowed_special is no special token.
        """
        if allowed_special and (allowed := self._allowed(allowed_special)):
            expect_text(text)
            return self._route.encode_allowing(text, allowed)
        return self._encode_text(text)

    def text_encoder(
        self, *, begin_of_text: int | None = None, end_of_text: int | None = None
    ) -> TextEncoder | None:
        """A function like `encode`, for callers that come with one text at a time.

        A short text takes it half a microsecond, one that is not in its tokenizer's Unicode form
        4 to 10. It is None for the vocabularies (some of SentencePiece) of which many texts in one
        call of `encode_documents` are much faster.

        Args:
            begin_of_text: The id put before a text that has tokens; None: nothing.
            end_of_text: The id put after it.
        """
        return self._route.text_encoder(begin_of_text, end_of_text)

    def count(self, text: str) -> int:
        """How many ids `encode` gives for the text."""
        return self.encode(text).size

    def encode_batch(
        self, documents: pa.Array | Sequence[str]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """The ids of d texts: tokens uint32[n] and offsets int64[d + 1] into them.

        Text i has the ids tokens[offsets[i]:offsets[i + 1]].

        Raises:
            TypeError: `documents` is one str, or holds something else than str.
            ValueError: A text is null or not UTF-8; the message has its index.
        """
        array = documents if isinstance(documents, pa.Array) else array_of_texts(documents)
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

        Args:
            text: The documents. One that is not UTF-8 has no ids and is told in `valid`.
            begin_of_text: The id put before each document that has tokens; None: nothing.
            end_of_text: The id put after it.
            dtype: uint16 or uint32.

        Raises:
            ValueError: A document is null, the array is of another type, or an id does not fit
                into the dtype.
        """
        if text.null_count:
            raise ValueError("a document is null")
        offsets, data = offsets_and_data(text)
        return self._route.encode(
            offsets, data, begin_of_text, end_of_text, np.dtype(dtype).itemsize
        )

    # -- what becomes of a text, to look at

    def trace(
        self, text: str, *, allowed_special: Iterable[str] | Literal["all"] = ()
    ) -> list[TracedPretoken]:
        """What a text becomes on its way to ids, pretoken by pretoken; the ids are `encode`'s.

        Slow where a normalizer or a prefix changes text (Python, a character at a time).

        >>> [one.text for one in Tokenizer.load("cl100k_base").trace("It's  5")]
        [b'It', b"'s", b' ', b' ', b'5']

        Args:
            text: As in `encode`.
            allowed_special: As in `encode`.

        Raises:
            TypeError, UnicodeEncodeError, ConfigurationError: As in `encode`.
        """
        expect_text(text)
        return list(self._route.trace(text, self._allowed(allowed_special)))

    def encode_with_offsets(
        self, text: str, *, allowed_special: Iterable[str] | Literal["all"] = ()
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """The ids of a text, uint32[n], and the bytes of it that each stands for, int64[n, 2].

        >>> ids, spans = Tokenizer.load("cl100k_base").encode_with_offsets("naïve")
        >>> spans.tolist()
        [[0, 2], [2, 4], [4, 6]]

        Args:
            text: As in `encode`.
            allowed_special: As in `encode`.

        Raises:
            TypeError, UnicodeEncodeError, ConfigurationError: As in `encode`.
        """
        traced = self.trace(text, allowed_special=allowed_special)
        return (
            np.array([one for pretoken in traced for one in pretoken.ids], np.uint32),
            np.array([one for pretoken in traced for one in pretoken.spans], np.int64).reshape(
                -1, 2
            ),
        )

    def pretokens(self, text: str) -> list[tuple[bytes, list[int]]]:
        """Each pretoken or added token of a text as the model sees it, and its ids."""
        return [(pretoken.text, pretoken.ids) for pretoken in self.trace(text)]

    def reencode(
        self,
        tokens: npt.NDArray[Any],
        offsets: npt.NDArray[np.int64],
        *,
        begin_of_text: int | None = None,
        end_of_text: int | None = None,
        dtype: npt.DTypeLike = np.uint32,
    ) -> Reencoded:
        """What the ids of documents must be, going by the text that they spell.

        For checking ids whose text is not at hand: normalized text is neither normalized again nor
        searched for added tokens. `tokenizer.route` says why it holds, and for which documents.

        Args:
            tokens: Ids of all documents without begin and end of text, all in `document_ids`.
            offsets: int64[d + 1], where each document begins in `tokens`.
            begin_of_text: As in `encode_documents`.
            end_of_text: As in `encode_documents`.
            dtype: As in `encode_documents`.

        Raises:
            ValueError: An id can not stand inside a document.
        """
        array = self._checked(tokens)
        if (odd := np.flatnonzero(~self.document_ids[array])).size:
            raise ValueError(f"id {array[odd[0]]} at index {odd[0]} stands in no document")
        return self._route.reencode(
            array,
            np.asarray(offsets, np.int64),
            begin_of_text,
            end_of_text,
            np.dtype(dtype).itemsize,
        )

    def _allowed(self, allowed_special: Iterable[str] | Literal["all"]) -> frozenset[str]:
        return allowed_names(allowed_special, self._vocabulary.special_tokens, self.name)


@load_once(maxsize=8)
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
