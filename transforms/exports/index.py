"""The index of an export's shard: which document of the build lies where.

    start  length  offset  unit            record  id          url          text_xxh3
        0     812       0  en/a.jsonl.zst       0  en-0010996  https://...  0x8f3a...
      812    1232       0  en/a.jsonl.zst       1  en-0010997  null         0x12c0...

start counts ids of the shard, whatever stands before them in its file. Unit and record are
those of the build: they name the input and the record in it. offset is the first id of the document
that is here: 0, but in sequences, which cut documents, and then a row is a piece of one.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

EXPORT_SCHEMA = pa.schema(
    [
        pa.field("start", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("text_xxh3", pa.uint64(), nullable=False),
    ]
)


def index_rows(
    start: int, lengths: npt.NDArray[np.int64], units: pa.Array, documents: pa.RecordBatch
) -> pa.RecordBatch:
    """The rows of documents that follow each other.

    Args:
        start: where the first one begins. lengths: in the export.
        units: the unit of each. documents: their rows in the build.
    """
    starts = start + np.cumsum(lengths) - lengths
    columns = [documents.column(name) for name in ("record", "id", "url", "text_xxh3")]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(starts),
            pa.array(lengths),
            pa.array(np.zeros(len(starts), np.int64)),
            units,
            *columns,
        ],
        schema=EXPORT_SCHEMA,
    )
