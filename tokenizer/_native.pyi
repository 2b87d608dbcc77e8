"""The native engine; see tokenizer/native/encoder.h for how it works."""

import collections.abc
import typing

import numpy
import numpy.typing

class Vocabulary:
    """Tokens numbered by the rank of their merge, and what they are called outside. Immutable."""

    def __init__(
        self,
        token_bytes: bytes,
        token_offsets: numpy.typing.NDArray[numpy.uint64],
        merged: int | None = None,
        external: numpy.typing.NDArray[numpy.uint32] = ...,
        external_at: numpy.typing.NDArray[numpy.uint32] = ...,
    ) -> None:
        """token_offsets: [n + 1], where each token begins in token_bytes; an empty token is a gap
        in the numbering. Tokens from `merged` on are whole pretokens only; None: all merge.
        external: the ids of all tokens outside, those of token i from external_at[i] to
        external_at[i + 1]; that empty: external[i]; both empty: the numbers are the ids.

        Raises ValueError when the tables contradict each other or a byte has no token.
        """

    def parts(self) -> numpy.typing.NDArray[numpy.uint32]:
        """The two tokens that merge into each last, [n, 2]: twice itself for a single byte,
        2^21 - 1 for a gap or a token that its merges do not make."""

class AddedTokens:
    """Texts that are cut out of documents, level by level. Immutable."""

    def __init__(
        self,
        levels: typing.Sequence[typing.Sequence[tuple[str, int, bool]]],
    ) -> None:
        """Each token: text, id, and whether it is only counted and stays text. Raises ValueError
        when a text is empty or occurs twice in a level."""

    def scan(
        self, data: typing.Any, offsets: numpy.typing.NDArray[numpy.int64]
    ) -> tuple[
        numpy.typing.NDArray[numpy.uint32],
        numpy.typing.NDArray[numpy.bool_],
        numpy.typing.NDArray[numpy.int64],
        numpy.typing.NDArray[numpy.int64],
        numpy.typing.NDArray[numpy.int32],
    ]:
        """Looks at d documents, each data[offsets[i]:offsets[i + 1]], without the GIL.

        Returns occurrences of tokens that are only counted, uint32[d]; whether each is UTF-8,
        bool[d]; and the documents cut into s segments, one after the other: the first of each
        document, int64[d + 1]; their offsets into data, int64[s + 1]; their kinds, int32[s]: -1
        text, -2 nothing (not UTF-8), else the id of an added token.
        Raises ValueError when offsets do not fit the data.
        """

def text_hashes(
    data: typing.Any, offsets: numpy.typing.NDArray[numpy.int64]
) -> numpy.typing.NDArray[numpy.uint64]:
    """XXH3-64 of each of d texts, data[offsets[i]:offsets[i + 1]]: uint64[d], without the GIL.

    Raises ValueError when offsets do not fit the data.
    """

class QuickCheck:
    """Tables that tell what in a text may not be in a Unicode normalization form. Immutable."""

    def __init__(
        self,
        class_of: numpy.typing.NDArray[numpy.uint8],
        follows: numpy.typing.NDArray[numpy.uint8],
        classes: int,
        starters: int,
    ) -> None:
        """As in native/quick_check.h; raises ValueError when the tables do not fit each other."""

    def spans(
        self, data: typing.Any, offsets: numpy.typing.NDArray[numpy.int64]
    ) -> numpy.typing.NDArray[numpy.int64]:
        """Where the texts, valid UTF-8, may not be normalized: start, stop, start, ... in data.

        Spans lie inside texts, ascend, and are normalized each on its own. Without the GIL.
        """

class TokenBytes:
    """The bytes of each id. Immutable."""

    def __init__(
        self, token_bytes: bytes, token_offsets: numpy.typing.NDArray[numpy.uint64]
    ) -> None:
        """token_offsets: [n + 1], where those of each id begin in token_bytes; an id without bytes
        is no token. Raises ValueError when the offsets do not fit the bytes."""

    def decode_bytes(self, ids: typing.Any) -> bytes:
        """The bytes of ids, one after the other; long ones without the GIL.

        ids: a list, tuple or one-dimensional array of whole numbers. Raises ValueError for an id
        that is no token, TypeError for what is no whole number.
        """

    def decode(self, ids: typing.Any) -> str:
        """As decode_bytes, as text; bytes that are no UTF-8 become U+FFFD."""

class Engine:
    """A vocabulary and a split pattern, ready to encode. Thread-safe; can not be pickled."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        stages: typing.Sequence[
            tuple[
                numpy.typing.NDArray[numpy.uint16],
                numpy.typing.NDArray[numpy.uint8],
                numpy.typing.NDArray[numpy.uint16],
                int,
                bool,
                bool,
            ]
        ],
        windows: tuple[numpy.typing.NDArray[numpy.uint8], numpy.typing.NDArray[numpy.uint8], int]
        | None,
        cache_bytes: int,
    ) -> None:
        """stages: 1 to 16, one after the other, each page_of, pages, transitions as in
        SplitTable, the index of the behavior in `Behavior`, invert, on_bytes; as in
        split/stages.py. windows: what split/fast/windows.py proves of a single stage that isolates
        matches in code points, and makes the cut fast; None for others. cache_bytes: budget of the
        pretoken cache of each thread that encodes at the same time as others.

        Raises ValueError when the tables contradict each other.
        """

    def encode_documents(
        self,
        data: typing.Any,
        offsets: numpy.typing.NDArray[numpy.int64],
        kinds: numpy.typing.NDArray[numpy.int32],
        first: numpy.typing.NDArray[numpy.int64],
        begin: int | None = None,
        end: int | None = None,
        bytes_per_token: int = 4,
    ) -> tuple[numpy.typing.NDArray[typing.Any], numpy.typing.NDArray[numpy.int64]]:
        """Encodes documents that are cut into segments (AddedTokens.scan), without the GIL.

        Text is valid UTF-8. Returns tokens uint16[n] or uint32[n] and int64[d + 1] offsets into
        them. `begin` and `end` are put around each document that has tokens. Raises ValueError when
        offsets do not fit the data or ids do not fit into bytes_per_token.
        """

    def encode_texts(
        self,
        added: AddedTokens,
        data: typing.Any,
        offsets: numpy.typing.NDArray[numpy.int64],
        begin: int | None = None,
        end: int | None = None,
        bytes_per_token: int = 4,
    ) -> tuple[
        numpy.typing.NDArray[typing.Any],
        numpy.typing.NDArray[numpy.int64],
        numpy.typing.NDArray[numpy.uint32],
        numpy.typing.NDArray[numpy.bool_],
    ]:
        """`added.scan` and `encode_documents` in one call, where nothing is done in between.

        Returns tokens, their offsets, and counted tokens and validity of each text.
        """

    def text_encoder(
        self,
        added: AddedTokens,
        form: QuickCheck | None = None,
        begin: int | None = None,
        end: int | None = None,
    ) -> collections.abc.Callable[[str], numpy.typing.NDArray[numpy.uint32] | None]:
        """A function that gives the ids of one text, uint32[n]: scan and encode_documents in one.

        It gives None where `form` says that the text may not be in its Unicode form. Without the
        GIL where the text is longer than 4 KiB. Raises UnicodeEncodeError when the text holds a
        lone surrogate, TypeError when it is no str.
        """

    def pretokens(self, utf8: str) -> list[tuple[int, int, list[int]]]:
        """First byte, byte after the last, and ids of each pretoken, uncached; what stages remove
        is in none. Raises ValueError when it is not UTF-8."""
