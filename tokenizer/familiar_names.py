"""`FamiliarNames`: what users of tiktoken and Hugging Face tokenizers reach for, under its name.

    tiktoken                                            here
    n_vocab, max_token_value + 1                        vocabulary_size
    eot_token                                           end_of_text
    special_tokens_set, is_special_token                vocabulary.special_tokens
    encode_ordinary, encode_ordinary_batch              encode, encode_batch
    encode_single_token, decode_single_token_bytes      token_to_id, id_to_token
    decode_bytes_batch, decode_tokens_bytes             decode_bytes
    token_byte_values, decode_with_offsets              (these names alone)

    Hugging Face tokenizers
    token_to_id, id_to_token                            the same names; tokens are bytes
    get_vocab_size                                      (this name alone)

Ids are arrays where tiktoken has lists. Left out: `get_vocab`, whose keys are spellings of one file
(`Ġthe`, `▁the`, `<0x65>`): two tokens may stand for the same bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.decoding import Decoding


class FamiliarNames(Decoding, ABC):
    """Other names of what `Tokenizer` does."""

    @abstractmethod
    def encode(self, text: str) -> npt.NDArray[np.uint32]:
        """The ids of one text, uint32[n]."""

    @abstractmethod
    def encode_batch(
        self, documents: pa.Array | Sequence[str]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """The ids of d texts: tokens uint32[n] and offsets int64[d + 1] into them."""

    @property
    def n_vocab(self) -> int:
        """`vocabulary_size`."""
        return self.vocabulary_size

    @property
    def max_token_value(self) -> int:
        """The largest id, special tokens included."""
        return self.vocabulary_size - 1

    @property
    def eot_token(self) -> int | None:
        """`end_of_text`."""
        return self.end_of_text

    @property
    def special_tokens_set(self) -> set[str]:
        """The texts of all special tokens."""
        return set(self.vocabulary.special_tokens)

    def is_special_token(self, token: int) -> bool:
        """Whether an id is that of a special token."""
        return token in self.vocabulary.special_tokens.values()

    def get_vocab_size(self, with_added_tokens: bool = True) -> int:
        """How many ids there are, without gaps in the numbering.

        Args:
            with_added_tokens: False: without added tokens that no merge makes.
        """
        ids = self._ids.is_token if with_added_tokens else self._ids.made
        return int(np.count_nonzero(ids))

    def encode_ordinary(self, text: str) -> npt.NDArray[np.uint32]:
        """`encode`: special tokens are text.

        Raises:
            TypeError, UnicodeEncodeError: As in `encode`.
        """
        return self.encode(text)

    def encode_ordinary_batch(self, text: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
        """The ids of each text, as views of one array: special tokens are text.

        Raises:
            TypeError, ValueError: As in `encode_batch`.
        """
        tokens, offsets = self.encode_batch(text)
        return np.split(tokens, offsets[1:-1]) if len(offsets) > 1 else []

    def encode_single_token(self, text_or_bytes: str | bytes) -> int:
        """The id of an added token, by its text, or of the token of these bytes.

        Raises:
            KeyError: There is no such token.
        """
        found = self.token_to_id(text_or_bytes)
        if found is None:
            raise KeyError(text_or_bytes)
        return found

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes that an id decodes to.

        Raises:
            KeyError: There is no such id.
        """
        found = self.id_to_token(token)
        if found is None:
            raise KeyError(token)
        return found

    def decode_tokens_bytes(self, tokens: npt.ArrayLike) -> list[bytes]:
        """The bytes that each id decodes to.

        Raises:
            TypeError, ValueError: As in `decode_bytes`.
        """
        found: list[bytes] = self._ids.decoded.take(pa.array(self._checked(tokens))).to_pylist()
        return found

    def decode_bytes_batch(self, batch: Sequence[npt.ArrayLike]) -> list[bytes]:
        """The bytes that the ids of each document stand for.

        Raises:
            TypeError, ValueError: As in `decode_bytes`.
        """
        return [self.decode_bytes(ids) for ids in batch]

    def token_byte_values(self) -> list[bytes]:
        """The bytes of all tokens but special ones, ascending."""
        special = set(self.vocabulary.special_tokens.values())
        return sorted(
            token
            for number, token in enumerate(self._ids.decoded.to_pylist())
            if token is not None and number not in special
        )

    def decode_with_offsets(self, tokens: npt.ArrayLike) -> tuple[str, list[int]]:
        """The text of ids, and for each id the index of the first character that it has bytes of.

        Raises:
            TypeError, ValueError: As in `decode_bytes`.
            UnicodeDecodeError: The ids do not make UTF-8; also a ValueError.
        """
        parts = self.decode_tokens_bytes(tokens)
        offsets = []
        characters = 0
        for part in parts:
            starts = sum(not 0x80 <= byte < 0xC0 for byte in part)
            offsets.append(max(0, characters - (0x80 <= part[0] < 0xC0)))
            characters += starts
        return b"".join(parts).decode(), offsets
