"""Reading inputs: every format, compressed or not, as an iterator of RecordBatches.

    path ─► open raw ─► bytes counted and hashed ─► decompress ─► records ─► RecordBatch
             reader.py   raw_input.py                byte_stream.py  │
                                                                     ├ json_lines.py
                                                                     ├ web_archive.py
                                                                     └ plain_text.py
            Parquet, which compresses its own pages: parquet.py
            a large input in parts: parts.py finds them, part_lines.py reads lines of one
            a look at the first records, before work begins: field_sample.py

A bad record costs itself and is named; a damaged file gives what can be read.
"""

from transforms.reading.field_sample import FieldSample, check_text_field, sample_fields
from transforms.reading.formats import InputFormat, Part, ReadSettings, detect_format
from transforms.reading.parts import find_parts
from transforms.reading.reader import Reader, open_reader

__all__ = [
    "FieldSample",
    "InputFormat",
    "Part",
    "ReadSettings",
    "Reader",
    "check_text_field",
    "detect_format",
    "find_parts",
    "open_reader",
    "sample_fields",
]
