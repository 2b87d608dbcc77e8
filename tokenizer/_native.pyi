"""The native engine; see tokenizer/native/encoder.h for how it works."""

import typing

import numpy
import numpy.typing

class Engine:
    """A vocabulary and a split pattern, ready to encode. Thread-safe; can not be pickled."""

    def __init__(
        self,
        token_bytes: bytes,
        token_offsets: numpy.typing.NDArray[numpy.uint64],
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
        special_texts: typing.Sequence[str],
        cache_bytes: int,
    ) -> None:
        """token_offsets: [n + 1], where each token begins in token_bytes, ids ascending; an empty
        token is a gap in the numbering. stages: 1 to 16 cuts one after the other, each page_of,
        pages, transitions as in SplitTable, the index of the behavior in `Behavior`, invert,
        on_bytes; as in split_stages.py. A single one that isolates is the fast case.
        special_texts: what encode_documents counts. cache_bytes: budget of the pretoken cache of
        each thread that encodes at the same time as others.

        Raises ValueError when the tables contradict each other or a byte has no token.
        """

    def encode(self, utf8: typing.Any) -> numpy.typing.NDArray[numpy.uint32]:
        """The ids of one document, special-token text taken as plain text.

        Raises ValueError when it is not UTF-8.
        """

    def encode_documents(
        self,
        data: typing.Any,
        offsets: numpy.typing.NDArray[numpy.int64],
        begin: int | None = None,
        end: int | None = None,
        bytes_per_token: int = 4,
    ) -> tuple[
        numpy.typing.NDArray[typing.Any],
        numpy.typing.NDArray[numpy.int64],
        numpy.typing.NDArray[numpy.uint64],
        numpy.typing.NDArray[numpy.uint32],
        numpy.typing.NDArray[numpy.bool_],
    ]:
        """Encodes d documents, each data[offsets[i]:offsets[i + 1]], without the GIL.

        Returns tokens uint16[n] or uint32[n]; offsets int64[d + 1] into them; XXH3-64 of each
        text, uint64[d]; occurrences of special texts in each, uint32[d]; whether each is UTF-8,
        bool[d]. `begin` and `end` are put around each document that has tokens. A document that is
        empty or not UTF-8 has none. Raises ValueError when offsets do not fit the data.
        """

    def decode(self, ids: numpy.typing.NDArray[numpy.uint32]) -> bytes:
        """The bytes of ordinary tokens. Raises ValueError for any other id."""

    def pretokens(self, utf8: str) -> list[tuple[int, int, list[int]]]:
        """First byte, byte behind the last, and ids of each pretoken, uncached; what stages remove
        is in none. Raises ValueError when it is not UTF-8."""

def parse_tiktoken(file: bytes) -> tuple[bytes, numpy.typing.NDArray[numpy.uint64]]:
    """token_bytes and token_offsets of a .tiktoken file; raises ValueError with the line."""

def instruction_set() -> str:
    """What the split runs on here: "avx2", "neon" or "plain"."""
