"""Which fields the records of an input have: for messages, and for people who look before they run.

{"id": "a", "meta": {"url": "http://x/"}}   ->   id, meta.url
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.filesystem import open_raw
from transforms.reading.byte_stream import decompress
from transforms.reading.coverage import Coverage
from transforms.reading.formats import InputFormat
from transforms.reading.raw_input import RawInput

_MAX_BYTES = 1 << 20
_MAX_LINES = 100
_MAX_DEPTH = 4


def field_names(path: str, input_format: InputFormat) -> list[str]:
    """The fields of the first records of an input, dotted where objects hold them.

    Reads at most a megabyte of decompressed text, or a Parquet footer. What is damaged has no
    fields; nor have formats without any.

    Raises:
        OSError: the input can not be read.
    """
    if input_format is InputFormat.PARQUET:
        with open_raw(path) as file:
            try:
                return list(_columns(pq.ParquetFile(file).schema_arrow, "", _MAX_DEPTH))
            except pa.ArrowException:
                return []
    if input_format is not InputFormat.JSONL:
        return []
    found: dict[str, None] = {}
    for line in _first_bytes(path).split(b"\n")[:_MAX_LINES]:
        found.update(dict.fromkeys(fields_of_line(line)))
    return list(found)


def fields_of_line(line: bytes) -> Iterator[str]:
    """The fields of one JSON object; none where it is no whole one.

    >>> list(fields_of_line(b'{"id": 1, "meta": {"url": "x"}}')), list(fields_of_line(b'{"id'))
    (['id', 'meta.url'], [])
    """
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(value, dict):
        yield from _names(value, "", _MAX_DEPTH)


def _first_bytes(path: str) -> bytes:
    content = b""
    with RawInput(lambda: open_raw(path)) as raw:
        for piece in decompress(raw, path, Coverage()):
            if isinstance(piece, bytes | memoryview | bytearray):
                content += piece
            if len(content) >= _MAX_BYTES:
                break
    return content


def _names(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[str]:
    for name, inner in value.items():
        if isinstance(inner, dict) and depth:
            yield from _names(inner, f"{prefix}{name}.", depth - 1)
        else:
            yield prefix + name


def _columns(fields: Any, prefix: str, depth: int) -> Iterator[str]:
    for field in fields:
        if pa.types.is_struct(field.type) and depth:
            yield from _columns(field.type, f"{prefix}{field.name}.", depth - 1)
        else:
            yield prefix + field.name
