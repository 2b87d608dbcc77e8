"""What a text becomes: the arrays and records that `Tokenizer` returns."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class EncodedDocuments(NamedTuple):
    """What `Tokenizer.encode_documents` returns for d documents and n tokens.

    Attributes:
        tokens: uint16[n] or uint32[n], the documents one after the other.
        offsets: int64[d + 1]; document i is tokens[offsets[i]:offsets[i + 1]].
        special_token_texts: uint32[d], how often a special token's text occurs (as plain text).
        valid: bool[d], whether the text is UTF-8. An invalid or empty document has no tokens at
            all.
    """

    tokens: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]
    special_token_texts: npt.NDArray[np.uint32]
    valid: npt.NDArray[np.bool_]


class TracedPretoken(NamedTuple):
    """A pretoken, or an added token, on its way from text to ids.

    Attributes:
        text: Its bytes as the model sees them, normalized.
        is_added: Whether it is an added token.
        ids: What becomes of it.
        spans: For each id the first byte of the original text that it stands for, and the one
            after the last. Spans never run backwards; two touch or overlap where several ids
            stand for one character, and leave out what a normalizer took away.
    """

    text: bytes
    is_added: bool
    ids: list[int]
    spans: list[tuple[int, int]]


class Reencoded(NamedTuple):
    """What `Tokenizer.reencode` returns for d documents and n tokens.

    Attributes:
        tokens, offsets: As in `EncodedDocuments`.
        certain: bool[d], whether the ids of a document must be these; where not, a difference
            shows nothing.
    """

    tokens: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]
    certain: npt.NDArray[np.bool_]
