"""`Vocabulary`: everything that decides which ids a text becomes, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tokenizer.split.stages import SplitStage
from tokenizer.text.normalizers import Step


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A text that is cut out of a document before anything else looks at it, and its id.

    Attributes:
        special: Not matched in documents, where it is plain text, but only where a caller
            allows it.
        single_word: Only where it touches no letter, digit or the like on either side.
        lstrip, rstrip: White space in front of it, after it, belongs to it.
        normalized: Matched in the normalized text, by its own normalized text.
    """

    text: str
    id: int
    special: bool = True
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """What is done to a text between added tokens before merges apply.

    Attributes:
        stages: In order; none leaves the text whole.
        prefix: What is put before the text, or replaced in it, before the first stage.
        byte_level: Merges are of bytes; otherwise of characters.
    """

    stages: tuple[SplitStage, ...] = ()
    prefix: tuple[Step, ...] = ()
    byte_level: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens and merges, and what is done to text before they apply.

    Attributes:
        token_bytes, token_offsets: All tokens in the order of their ids, and where each begins,
            uint64[n + 1]; an empty token is a gap in the numbering.
        sha256: Of the published file the tokens come from.
        split_pattern: For a tiktoken vocabulary; None where `pre_tokenizer` says how text is
            cut.
        added_tokens: Special and other added tokens, in the order of the file.
        end_of_text: The id that ends a document, or None where the vocabulary names none.
        begin_of_text: The id that its own tokenizer puts in front of each text, or None.
        merges: Ids uint32[m, 3] of left, right and result, the first merged first; None: any
            two tokens whose bytes together are a token merge, lowest id first (tiktoken).
        whole_pretokens: A pretoken that is a token is that token, even if merges do not make
            it.
        byte_tokens: int64[256], the ids of bytes whose character is no token (byte fallback);
            merges are then of characters. None: merges are of bytes, which are tokens
            themselves.
        unreachable: Ids of tokens that no text becomes, though they have bytes: written in
            characters that are not in the alphabet of bytes.
        normalizer: What is done to each text between added tokens, in order.
        revision: The commit of the hub repository it was fetched from, or None.
    """

    name: str
    token_bytes: bytes = field(repr=False)
    token_offsets: npt.NDArray[np.uint64] = field(repr=False)
    sha256: str
    split_pattern: str | None
    added_tokens: tuple[AddedToken, ...] = field(repr=False)
    end_of_text: int | None
    begin_of_text: int | None = None
    merges: npt.NDArray[np.uint32] | None = field(default=None, repr=False)
    whole_pretokens: bool = True
    byte_tokens: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    unreachable: tuple[int, ...] = ()
    normalizer: tuple[Step, ...] = ()
    pre_tokenizer: PreTokenizer = field(default_factory=PreTokenizer)
    revision: str | None = None

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Text to id of the added tokens that are special."""
        return {token.text: token.id for token in self.added_tokens if token.special}

    @property
    def size(self) -> int:
        """The largest id, added tokens included, plus one."""
        return max(len(self.token_offsets) - 2, *(token.id for token in self.added_tokens), 0) + 1

    def lengths(self) -> npt.NDArray[np.int64]:
        """Bytes of each token, int64[n]; 0 for a gap."""
        offsets = self.token_offsets.astype(np.int64)
        return offsets[1:] - offsets[:-1]


def offsets_of(tokens: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """uint64[n + 1]: where each of n tokens begins when they stand one after the other."""
    offsets = np.zeros(len(tokens) + 1, np.uint64)
    np.cumsum(np.fromiter(map(len, tokens), np.uint64, len(tokens)), out=offsets[1:])
    return offsets
