"""Records, one by one -> RecordBatches of about a given size."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.documents import (
    MAX_EXCERPT_BYTES,
    DocumentColumns,
    Reason,
    RecordBatch,
    Reject,
)
from transforms.reading.formats import ReadSettings

MAX_NAME_BYTES = 64 << 10  # of an id or URL; a longer one is cut
_ROW_BYTES = 64  # what a document costs beside its text, id and URL
_REJECT_BYTES = 256


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
    """The same StringArray as valid UTF-8 of at most MAX_NAME_BYTES a value.

    For ids and URLs: a bad one must not cost the document, nor make the file it is written to
    unreadable. What is not UTF-8 becomes U+FFFD; what is longer is cut before the character that
    would not fit, for the row is still found by its record, and its beginning by eye.
    """
    try:
        values.validate(full=True)
        if not _has_long_value(values):
            return values
    except pa.ArrowInvalid:
        pass  # not UTF-8
    return pa.array(
        [
            None if value is None else _cut(value.decode("utf-8", "replace").encode()).decode()
            for value in values.view(pa.binary()).to_pylist()
        ],
        pa.string(),
    )


def _has_long_value(values: pa.Array) -> bool:
    if values.nbytes <= MAX_NAME_BYTES:
        return False
    return bool((pc.max(pc.binary_length(values)).as_py() or 0) > MAX_NAME_BYTES)


def _cut(value: bytes) -> bytes:
    """The first characters of UTF-8, as many as fit into MAX_NAME_BYTES."""
    if len(value) <= MAX_NAME_BYTES:
        return value
    end = MAX_NAME_BYTES
    while value[end] & 0xC0 == 0x80:
        end -= 1
    return value[:end]


def encoded(value: str | None) -> bytes | None:
    """UTF-8 of an id or URL, cut as `readable` cuts; a lone surrogate, which has none, is `?`."""
    if value is None:
        return None
    return _cut(value[: MAX_NAME_BYTES + 1].encode("utf-8", "replace"))


def document_too_large(size: int, settings: ReadSettings) -> str:
    """The detail of a reject whose text has `size` bytes."""
    return (
        f"the text has {size} bytes, more than the {settings.max_document_bytes} "
        "that max_document_bytes allows"
    )


def rejects_alone(rejects: Sequence[Reject]) -> RecordBatch:
    """A batch of records that are no documents."""
    nothing = text_array([])
    no_numbers = np.zeros(0, np.int64)
    documents = DocumentColumns(nothing, nothing, nothing, no_numbers, no_numbers)
    return RecordBatch(len(rejects), documents, tuple(rejects))


class BatchBuilder:
    """Collects records in the order of the input.

    `count` is called where a record is found, `document` or `reject` where it
    is known what became of it: the two are counted apart, so that the books
    that compare them mean something. A batch is full by the bytes of all that it
    holds: ids, URLs and rejects count as well as text.
    """

    def __init__(self, settings: ReadSettings, first_record: int = 0) -> None:
        self._settings = settings
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
        """Counts a record and returns its index."""
        self._records += 1
        self._next_record += 1
        return self._next_record - 1

    def document(
        self, record: int, offset: int, text: bytes, document_id: str | None, url: str | None
    ) -> None:
        """Adds a document, or a reject where its text is above `max_document_bytes`."""
        if len(text) > self._settings.max_document_bytes:
            detail = document_too_large(len(text), self._settings)
            self.reject(record, offset, Reason.OVERSIZED_RECORD, detail, text)
            return
        id_bytes, url_bytes = encoded(document_id), encoded(url)
        self._text.append(text)
        self._id.append(id_bytes)
        self._url.append(url_bytes)
        self._record.append(record)
        self._offset.append(offset)
        self._bytes += _ROW_BYTES + len(text) + len(id_bytes or b"") + len(url_bytes or b"")

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
        self._bytes += _REJECT_BYTES + len(excerpt)

    @property
    def is_full(self) -> bool:
        """Whether the batch has reached its size."""
        return self._bytes >= self._settings.batch_bytes

    def rest(self) -> Iterator[RecordBatch]:
        """Yields the batch if it has any record."""
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
