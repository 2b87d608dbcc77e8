"""What a reader hands on: batches of documents, and the records that became none.

    reader ──► RecordBatch ──► encoder ──► shard writer
                 ├ documents   columns, a row a document
                 └ rejects     a Reject each, with its reason

Books: `records` is what the reader counted by itself (lines, rows, WARC
records), independently of what became of them; the shard writer asserts
`records == documents + rejects` for each batch and again for the whole input.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAX_EXCERPT_BYTES = 64 << 10


class Reason(str, Enum):
    """Why a record became no document. The values appear in books and files."""

    # The record is broken, or not what the settings say. These count as faults.
    EMPTY_DOCUMENT = "empty-document"  # the text has no tokens, as "" has none
    INVALID_JSON = "invalid-json"  # the line is no JSON object
    INVALID_UTF8 = "invalid-utf8"  # the text is not UTF-8 (raw bytes or a lone surrogate escape)
    MISSING_TEXT = "missing-text"  # no field of that name
    NULL_TEXT = "null-text"  # the field is null
    TEXT_NOT_A_STRING = "text-not-a-string"  # the field is a number, a list, ...
    OVERSIZED_RECORD = "oversized-record"  # longer than the reader's limit
    DAMAGED_RECORD = "damaged-record"  # the container is broken here; the reader went on after it
    DAMAGED_STREAM = "damaged-stream"  # the container is broken from here to the end
    UNDECODABLE_PAYLOAD = "undecodable-payload"  # an HTTP body that contradicts its own headers
    # The record is sound but is no document by its kind. These do not.
    NOT_A_DOCUMENT = "not-a-document"  # a WARC record of another type: request, warcinfo, ...
    NOT_TEXT = "not-text"  # a response of another media type: an image, a script, ...
    NOT_SUCCESSFUL = "not-successful"  # a response with a status other than 2xx
    NO_MAIN_TEXT = "no-main-text"  # extraction found nothing to read on the page

    @property
    def counts_as_fault(self) -> bool:
        """True when it counts against `max_rejects`."""
        return self not in _BY_KIND


_BY_KIND = frozenset(
    {Reason.NOT_A_DOCUMENT, Reason.NOT_TEXT, Reason.NOT_SUCCESSFUL, Reason.NO_MAIN_TEXT}
)


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that became no document.

    Attributes:
        record: 0-based index among the records of the input.
        byte_offset: where the record begins in the decompressed stream; -1 for Parquet rows.
        detail: one line for a person: what was expected and what was found.
        excerpt: the raw record, at most MAX_EXCERPT_BYTES of it; empty where the record is
            sound but no document by its kind.
        lost_bytes: how many bytes of the decompressed stream were skipped because the container
            is broken here (damaged-record, damaged-stream); 0 for every other reason.
    """

    record: int
    byte_offset: int
    reason: Reason
    detail: str
    excerpt: bytes = b""
    lost_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DocumentColumns:
    """Documents in the order of the input, a row each.

    Attributes:
        text: StringArray or LargeStringArray without nulls and with offset 0. Its bytes are NOT
            yet checked to be UTF-8 where the source does not promise it: the encoder does.
        id, url: StringArray, nullable: null where the input names none.
        record: int64[d], the 0-based record each document comes from.
        byte_offset: int64[d], as in Reject.
    """

    text: pa.Array
    id: pa.Array
    url: pa.Array
    record: npt.NDArray[np.int64]
    byte_offset: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A run of consecutive records of one input: `records == len(documents) + len(rejects)`."""

    records: int
    documents: DocumentColumns
    rejects: tuple[Reject, ...] = ()
