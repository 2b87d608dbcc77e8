"""Plain text: the whole file is one document."""

import io
import posixpath
from collections.abc import Iterable, Iterator

from transforms.documents import MAX_EXCERPT_BYTES, Reason, RecordBatch
from transforms.reading.batching import BatchBuilder
from transforms.reading.formats import ReadSettings
from transforms.reading.members import Damage

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_plain_text(
    pieces: Iterable[bytes | Damage], settings: ReadSettings, path: str
) -> Iterator[RecordBatch]:
    """Yields the one record of a text file; its id is the name of the file.

    A document of which a part is lost is none: damage makes the file a reject.
    """
    builder = BatchBuilder(settings)
    record = builder.count()
    content = io.BytesIO()  # joined as it comes: a list of pieces would be held beside the whole
    size = 0
    damage: Damage | None = None
    for piece in pieces:
        if isinstance(piece, Damage):
            damage = damage or piece
            continue
        size += len(piece)
        if size <= settings.max_record_bytes:
            content.write(piece)
    text = content.getvalue()
    del content
    if damage is not None:
        reason = Reason.DAMAGED_STREAM if damage.ends_stream else Reason.DAMAGED_RECORD
        detail = f"compressed byte {damage.compressed_offset}: {damage.detail}"
        builder.reject(record, 0, reason, detail, text[:MAX_EXCERPT_BYTES], size)
    elif size > settings.max_record_bytes:
        detail = f"the file has {size} bytes, more than the {settings.max_record_bytes} allowed"
        builder.reject(record, 0, Reason.OVERSIZED_RECORD, detail, text[:MAX_EXCERPT_BYTES])
    else:
        name = posixpath.basename(path.replace("\\", "/"))
        builder.document(record, 0, text.removeprefix(_BYTE_ORDER_MARK), name, None)
    yield from builder.rest()
