"""Records, one by one -> RecordBatches of about a given size."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from transforms.documents import (
    MAX_EXCERPT_BYTES,
    DocumentColumns,
    Reason,
    RecordBatch,
    Reject,
)


def text_array(values: Sequence[bytes | None]) -> pa.Array:
    """A StringArray over bytes that need not be UTF-8."""
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        return pa.array(values, pa.binary()).view(pa.string())
    # In one piece: Arrow's builder would grow by doubling, and copy each time.
    offsets = np.zeros(len(present) + 1, np.int32)
    np.cumsum([len(value) for value in present], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(present))]
    return pa.Array.from_buffers(pa.string(), len(present), buffers)


def readable(values: pa.Array) -> pa.Array:
    """The same StringArray with bytes that are not UTF-8 replaced by U+FFFD.

    For ids and URLs: a bad one must not cost the document, nor make the file it
    is written to unreadable.
    """
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array(
            [
                None if value is None else value.decode("utf-8", "replace")
                for value in values.view(pa.binary()).to_pylist()
            ],
            pa.string(),
        )
    return values


def encoded(value: str | None) -> bytes | None:
    """UTF-8 of an id or URL; a lone surrogate, which has none, becomes `?`."""
    return None if value is None else value.encode("utf-8", "replace")


class BatchBuilder:
    """Collects records in the order of the input.

    `count` is called where a record is found, `document` or `reject` where it
    is known what became of it: the two are counted apart, so that the books
    that compare them mean something.
    """

    def __init__(self, batch_bytes: int, first_record: int = 0) -> None:
        self._batch_bytes = batch_bytes
        self._next_record = first_record
        self._clear()

    def _clear(self) -> None:
        self._records = self._bytes = 0
        self._text: list[bytes] = []
        self._id: list[bytes | None] = []
        self._url: list[bytes | None] = []
        self._record: list[int] = []
        self._offset: list[int] = []
        self._rejects: list[Reject] = []

    def count(self) -> int:
        """Count a record and return its index."""
        self._records += 1
        self._next_record += 1
        return self._next_record - 1

    def document(
        self, record: int, offset: int, text: bytes, document_id: str | None, url: str | None
    ) -> None:
        self._text.append(text)
        self._id.append(encoded(document_id))
        self._url.append(encoded(url))
        self._record.append(record)
        self._offset.append(offset)
        self._bytes += len(text)

    def reject(
        self,
        record: int,
        offset: int,
        reason: Reason,
        detail: str,
        excerpt: bytes = b"",
        lost_bytes: int = 0,
    ) -> None:
        excerpt = bytes(excerpt[:MAX_EXCERPT_BYTES])
        self._rejects.append(Reject(record, offset, reason, detail, excerpt, lost_bytes))
        self._bytes += 256 + len(excerpt)

    def full(self) -> Iterator[RecordBatch]:
        """Yield the batch if it has reached its size."""
        if self._bytes >= self._batch_bytes:
            yield from self.rest()

    def rest(self) -> Iterator[RecordBatch]:
        """Yield the batch if it has any record."""
        if self._records:
            batch = RecordBatch(
                self._records,
                DocumentColumns(
                    text_array(self._text),
                    readable(text_array(self._id)),
                    readable(text_array(self._url)),
                    np.array(self._record, np.int64),
                    np.array(self._offset, np.int64),
                ),
                tuple(self._rejects),
            )
            self._clear()
            yield batch
