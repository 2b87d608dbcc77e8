"""The first records of an input, to see whether its fields are those that the settings name.

    {"content": "a", "meta": {"url": "u"}}   ->   fields content, meta.url; no text field `text`

For a look before work begins: at most SAMPLE_BYTES are decoded, however long the first record is.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from tokenizer.errors import ConfigurationError
from transforms.documents import RecordBatch
from transforms.filesystem import naming_place, open_raw
from transforms.reading.byte_stream import decompress
from transforms.reading.coverage import Coverage
from transforms.reading.formats import InputFormat, ReadSettings, detect_format, printable
from transforms.reading.json_line import is_too_deep
from transforms.reading.json_lines import read_json_lines
from transforms.reading.members import Damage
from transforms.reading.parquet import read_parquet
from transforms.reading.parquet_columns import find_column, find_text_column
from transforms.reading.parquet_decoding import BAD_BYTES, open_parquet
from transforms.reading.parquet_file import WatchedFile
from transforms.reading.plain_text import read_plain_text
from transforms.reading.raw_input import RawInput
from transforms.reading.web_archive import read_web_archive

SAMPLE_BYTES = 4 << 20
_MAX_TEXT_BYTES = 64 << 10
_MAX_FIELDS = 100
_MAX_BATCHES = 20  # of Parquet without any text
_FIELD = re.compile(r'[{,]\s*("(?:[^"\\]|\\.){0,1000}")\s*:\s*')
_SPACE = re.compile(r"\s*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class FieldSample(NamedTuple):
    """What the first records of an input show.

    Attributes:
        records: how many were looked at; Parquet: rows up to the first text.
        fields: their fields as dotted paths, in the order in which they appear; Parquet: the
            columns. At most 100; empty for formats that have none.
        has_text_field: whether the text field is among them; None where that can not be told: no
            record could be looked at to its end, or the format has no fields.
        text: the beginning of the first document's text, up to 64 KiB; None without any.
    """

    records: int
    fields: tuple[str, ...]
    has_text_field: bool | None
    text: str | None

    @property
    def knows_all_fields(self) -> bool:
        """Whether `fields` are all that the records have which were looked at."""
        return self.has_text_field is not None and len(self.fields) < _MAX_FIELDS


def sample_fields(path: str, settings: ReadSettings, records: int = 20) -> FieldSample:
    """Looks at the first records of an input of any format.

    Raises:
        ConfigurationError: the name tells no format, or a Parquet column of texts holds none.
        OSError: the file can not be opened or read.
    """
    input_format = settings.input_format or detect_format(path)
    if input_format is InputFormat.PARQUET:
        return _sample_parquet(path, settings)
    with naming_place(path), RawInput(lambda: open_raw(path)) as raw:
        pieces = list(_first_bytes(decompress(raw, path, Coverage())))
    content = b"".join(pieces)
    if input_format is InputFormat.JSONL:
        return _sample_lines(content, settings, records)
    # The end of the sample is not the end of the input, so the last record is no document.
    batches = (
        read_plain_text(pieces, settings, path)
        if input_format is InputFormat.TEXT
        else read_web_archive(pieces, settings, input_format, Coverage())
    )
    count, text = _first_text(batches)
    return FieldSample(count, (), None, text)


def check_text_field(samples: Mapping[str, FieldSample], settings: ReadSettings) -> None:
    """Refuses settings whose text field is in none of the inputs sampled.

    Args:
        samples: of some of a job's inputs, by path.
        settings: those that the samples were taken with.

    Raises:
        ConfigurationError: some input lacks the field and none has it; names the fields there are.
    """
    found = {sample.has_text_field for sample in samples.values()}
    if True in found or False not in found:
        return
    path, sample = next(
        (path, sample) for path, sample in samples.items() if sample.has_text_field is False
    )
    fields = printable(", ".join(sample.fields)) or "none"
    raise ConfigurationError(
        f"{printable(path)}: expected the text in the field {settings.text_field!r}, which is the "
        f"text_field; its first records have no such field. Their fields are: {fields}. Set "
        "text_field to the one that holds the text"
    )


def _first_bytes(events: Iterable[bytes | Damage]) -> Iterator[bytes]:
    size = 0
    for event in events:
        if isinstance(event, Damage):
            return
        yield event[: SAMPLE_BYTES - size]
        size += len(event)
        if size >= SAMPLE_BYTES:
            return


def _first_text(batches: Iterable[RecordBatch]) -> tuple[int, str | None]:
    """How many records there are up to the first batch with a document, and its text."""
    count = 0
    for batch in batches:
        count += batch.records
        if len(batch.documents):
            text = batch.documents.text[0].as_buffer()[:_MAX_TEXT_BYTES]
            return count, text.to_pybytes().decode("utf-8", "replace")
    return count, None


def _sample_lines(content: bytes, settings: ReadSettings, records: int) -> FieldSample:
    lines = content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    whole = lines if len(content) < SAMPLE_BYTES else lines[:-1]
    # Of a first record that is longer than the sample, the fields that begin in it.
    looked_at = list(islice((line for line in whole or lines if line.strip()), records))
    wanted = tuple(settings.text_field.split("."))
    fields: dict[tuple[str, ...], None] = {}
    has_text_field = None
    for line in looked_at:
        found, is_complete = _fields_of(line)
        fields.update(dict.fromkeys(found))
        if wanted in found:
            has_text_field = True
        elif is_complete:
            has_text_field = has_text_field or False
    _, text = _first_text(read_json_lines([b"\n".join(looked_at if whole else [])], settings))
    names = tuple(".".join(names) for names in islice(fields, _MAX_FIELDS))
    return FieldSample(len(looked_at), names, has_text_field, text)


def _fields_of(line: bytes) -> tuple[list[tuple[str, ...]], bool]:
    """The fields of a line, or of the beginning of one; and whether these are all."""
    if is_too_deep(line):
        return [], False
    text = line.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        return list(_fields_that_begin(text)), False
    return list(_fields_in(value)), isinstance(value, dict)


def _fields_in(value: Any, outer: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """{"a": 1, "b": {"c": 2}} has a and b.c."""
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _fields_in(inner, (*outer, name))
        else:
            yield (*outer, name)


def _fields_that_begin(text: str) -> Iterator[tuple[str, ...]]:
    """{"a": 1, "b": "the beginning    has a and b."""
    decoder = json.JSONDecoder()
    begin = _FIELD.match(text, max(0, text.find("{")))
    while begin is not None:
        try:
            name, _ = decoder.raw_decode(begin[1])
        except ValueError:
            return
        try:
            value, end = decoder.raw_decode(text, begin.end())
        except ValueError:
            yield (name,)
            return
        yield from _fields_in({name: value})
        begin = _FIELD.match(text, _SPACE.match(text, end).end())  # type: ignore[union-attr]


def _sample_parquet(path: str, settings: ReadSettings) -> FieldSample:
    with naming_place(path), open_raw(path) as handle:
        source = WatchedFile(handle, settings.max_record_bytes, 2 * settings.batch_bytes)
        try:
            schema = open_parquet(source).schema_arrow
        except BAD_BYTES:
            source.raise_own_error()
            return FieldSample(0, (), None, None)
        columns = tuple(islice(_columns_in(schema), _MAX_FIELDS))
        if find_column(schema, settings.text_field) is None:
            return FieldSample(0, columns, False, None)
        find_text_column(schema, settings, path)
        few = dataclasses.replace(settings, batch_bytes=min(settings.batch_bytes, _MAX_TEXT_BYTES))
        batches = islice(read_parquet(handle, few, path, Coverage()), _MAX_BATCHES)
        count, text = _first_text(batches)
        return FieldSample(count, columns, True, text)


def _columns_in(fields: Iterable[pa.Field], outer: str = "") -> Iterator[str]:
    for field in fields:
        name = outer + field.name
        if pa.types.is_struct(field.type) and field.type.num_fields:
            yield from _columns_in(field.type, f"{name}.")
        else:
            yield name
