"""`Decoding`: the half of `Tokenizer` that goes from ids back to text."""

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.arguments import array_of_ids
from tokenizer.id_table import IdTable
from tokenizer.vocabulary import Vocabulary


class Decoding:
    """What the ids of a vocabulary stand for. What an id is, `tokenizer.id_table` tells."""

    def __init__(self, vocabulary: Vocabulary, ids: IdTable) -> None:
        """Of a vocabulary, and what is known of its ids."""
        self._vocabulary = vocabulary
        self._ids = ids

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens, pattern and special tokens it was made of."""
        return self._vocabulary

    @property
    def name(self) -> str:
        """cl100k_base; the stem of a file, the folder of a tokenizer.json, `org/name`."""
        return self._vocabulary.name

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
        """The id that the vocabulary's own tokenizer puts before each text, or None."""
        return self._vocabulary.begin_of_text

    @property
    def end_of_text(self) -> int | None:
        """The id that ends a document: what its own tokenizer puts after each text, else the
        special token that is called so (`<|endoftext|>`, `</s>`, ...), or None."""
        return self._vocabulary.end_of_text

    @property
    def document_ids(self) -> npt.NDArray[np.bool_]:
        """bool[vocabulary_size]: the ids that text can become. Special tokens are not among them,
        nor are gaps in the numbering."""
        return self._ids.in_documents

    def decode_bytes(self, ids: npt.ArrayLike) -> bytes:
        """The bytes that the ids stand for, added tokens as their text.

        What a normalizer did to the text stays done: NFC is not undone, and where blanks were
        replaced by U+2581 (SentencePiece), each U+2581 becomes a blank, one put before it stays.

        Raises:
            TypeError: The ids are no integers.
            ValueError: An id is not one of the vocabulary; the message has its index.
        """
        return self._ids.decoder.decode_bytes(ids)

    def decode(self, ids: npt.ArrayLike) -> str:
        """As `decode_bytes`, as text; bytes that are no UTF-8 become U+FFFD."""
        return self._ids.decoder.decode(ids)

    def decode_batch(
        self, tokens: npt.ArrayLike | Sequence[npt.ArrayLike], offsets: npt.ArrayLike | None = None
    ) -> list[str]:
        """The texts of several documents.

        Args:
            tokens: The ids of each document; or, with offsets, those of all, as `encode_batch`
                returns them.
            offsets: int64[d + 1], where each begins in `tokens`.

        Raises:
            TypeError, ValueError: As in `decode_bytes`.
        """
        if offsets is None:
            return [self.decode(ids) for ids in tokens]  # type: ignore[union-attr]
        bounds = np.asarray(offsets).tolist()
        array = np.asarray(tokens)
        return [self.decode(array[a:b]) for a, b in itertools.pairwise(bounds)]

    def decoded_lengths(self, ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """How many bytes each id decodes to, int64[n].

        Raises:
            TypeError, ValueError: As in `decode_bytes`.
        """
        lengths: npt.NDArray[np.int64] = self._ids.decoded_lengths[self._checked(ids)]
        return lengths

    def token_to_id(self, token: str | bytes) -> int | None:
        """The id of an added token, by its text, or of the token of these bytes; None: no such."""
        return self._ids.by_text.get(token.encode() if isinstance(token, str) else token)

    def id_to_token(self, token: int) -> bytes | None:
        """The bytes that an id decodes to; None where there is no such id."""
        number = operator.index(token)
        if not 0 <= number < self.vocabulary_size:
            return None
        found: bytes | None = self._ids.decoded[number].as_py()
        return found

    def _checked(self, ids: npt.ArrayLike) -> npt.NDArray[Any]:
        """The ids as an array. Raises ValueError where one is no token."""
        array = array_of_ids(ids)
        outside = (array < 0) | (array >= self.vocabulary_size)
        wrong = outside | ~self._ids.is_token[np.where(outside, 0, array)]
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(f"id {array[at]} at index {at} is no token of {self.name}")
        return array
