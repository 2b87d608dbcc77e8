"""A look at a few records of a few inputs, before any worker starts.

check_fields   a text field that is nowhere is refused, and the fields there are are named
preview        `--dry-run`: what was found, and what the whole will take
"""

import dataclasses
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.config import BuildConfig
from pipeline.inputs import common_root, list_units, split_units
from pipeline.progress import size_text
from pipeline.quantities import counted
from pipeline.suggestions import did_you_mean
from pipeline.terminal import escaped, say
from pipeline.token_text import SEPARATOR, token_texts
from tokenizer import ConfigurationError, Tokenizer
from transforms.documents import RecordBatch
from transforms.filesystem import is_local, open_raw
from transforms.passes.work_pass import WorkUnit
from transforms.reading import InputFormat, Reader, ReadSettings, detect_format, open_reader
from transforms.reading.field_sample import FieldSample, check_text_field, sample_fields

_LOOKED_AT = 3  # inputs
# Of text, an input: most are read whole; what a reader has in its buffers matters little then.
_SAMPLE_BYTES = 32 << 20
_SAMPLE_SECONDS = 2.0
_SHOWN_TOKENS = 24
# Measured: bench/results/growth.json, and the start of the command.
_COMMAND_BYTES, _USUAL_WORKER_BYTES = 150 << 20, 200 << 20
_START_SECONDS = 1.0
_INDEX_BYTES = 60  # of documents/*.parquet, a document


def check_fields(units: Sequence[WorkUnit], read: ReadSettings) -> None:
    """Reads the first records of a few inputs; says which id or URL was asked for and is not there.

    Raises:
        ConfigurationError: none of them has the text field; the message names those they have.
    """
    samples = {unit.path: sample_fields(unit.path, read) for unit in _some(units)}
    try:
        check_text_field(samples, read)
    except ConfigurationError as error:
        fields = {name for sample in samples.values() for name in sample.fields}
        hint = did_you_mean(read.text_field, sorted(fields))
        message = str(error).removeprefix(f"{error.setting}: ")
        raise ConfigurationError(f"{message}{hint}", setting="text_field") from None
    _tell_missing(list(samples.values()), read)


def _tell_missing(samples: Sequence[FieldSample], read: ReadSettings) -> None:
    """Says that a field which was asked for is nowhere; it may be rare, so that is no error."""
    if not all(sample.knows_all_fields for sample in samples):
        return
    fields = {name for sample in samples for name in sample.fields}
    usual = ReadSettings()
    for setting, what in (("id_field", "id"), ("url_field", "URL")):
        name = getattr(read, setting)
        if fields and name != getattr(usual, setting) and name not in fields:
            hint = did_you_mean(name, sorted(fields))
            say(
                "tokenmill: the records that were looked at have no field "
                f"{escaped(name)}, which is to be the {what}{hint}"
            )


def _some(units: Sequence[WorkUnit]) -> list[WorkUnit]:
    """The first, the last, and those between them: evenly spread, the same ones each time."""
    at = np.linspace(0, len(units) - 1, min(_LOOKED_AT, len(units))).astype(int)
    return [units[index] for index in at]


def _format_of(unit: WorkUnit, read: ReadSettings) -> InputFormat:
    return read.input_format or detect_format(unit.path)


@dataclass(frozen=True)
class InputSample:
    """What was found at the beginning of one input.

    Attributes:
        unit, path, input_format: which input. fields: that its records have.
        records, documents, rejects: that were read, and what became of them.
        raw_bytes, text_bytes, tokens, seconds: of the part that was read.
        first: the first document: its id, or None, and its tokens; None where there is none.
    """

    unit: str
    path: str
    input_format: str
    fields: tuple[str, ...]
    records: int
    documents: int
    rejects: Mapping[str, int]
    raw_bytes: int
    text_bytes: int
    tokens: int
    seconds: float
    first: tuple[str | None, tuple[int, ...], tuple[str, ...]] | None


@dataclass(frozen=True)
class Preview:
    """What a build would find, and what it would take; estimates are of the samples' averages."""

    inputs: int
    input_bytes: int
    formats: Mapping[str, int]
    samples: tuple[InputSample, ...]
    tokenizer: str
    bytes_a_token: float | None
    tokens: int
    seconds: float
    workers: int
    memory_bytes: int
    disk_bytes: int
    free_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        """All of it for scripts, as plain values."""
        return dataclasses.asdict(self)

    def table(self) -> str:
        """All of it for people, several lines."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        kinds = ", ".join(f"{count:,} {name}" for name, count in self.formats.items())
        yield f"inputs      {counted(self.inputs, 'file')}, {size_text(self.input_bytes)}: {kinds}"
        for number, sample in enumerate(self.samples):
            yield from _lines_of(sample, with_document=number == 0)
        yield f"tokenizer   {escaped(self.tokenizer)}"
        if not self.tokens:
            yield "tokens      none: no document was found in what was looked at"
            return
        yield f"tokens      about {self.tokens:,}, {self.bytes_a_token:.2f} bytes of text a token"
        yield f"time        about {self.seconds:,.0f} s with {counted(self.workers, 'worker')}"
        yield f"memory      about {size_text(self.memory_bytes)}"
        free = "" if self.free_bytes is None else f"; {size_text(self.free_bytes)} are free"
        yield f"disk        about {size_text(self.disk_bytes)}{free}"
        yield "Nothing was written. Estimates are of what was looked at, not of the whole."


def _lines_of(sample: InputSample, *, with_document: bool) -> Iterator[str]:
    yield (
        f"looked at   {escaped(sample.unit)} ({sample.input_format}): "
        f"{counted(sample.records, 'record')}, {counted(sample.documents, 'document')}"
    )
    for reason, count in sample.rejects.items():
        yield f"  rejected  {count:,} {reason}"
    if sample.fields:
        yield f"  fields    {', '.join(map(escaped, sample.fields[:30]))}"
    if with_document and sample.first is not None:
        name, ids, texts = sample.first
        more = f" ... {len(ids) - len(texts):,} more" if len(ids) > len(texts) else ""
        label = "" if name is None else f"{escaped(name)}: "
        yield f"  document  {label}{counted(len(ids), 'token')}"
        yield f"            {SEPARATOR.join(texts)}{more}"
        yield f"            {' '.join(map(str, ids[: len(texts)]))}{more}"


def preview(config: BuildConfig) -> Preview:
    """Looks at a few inputs of a build. Writes nothing.

    Raises:
        ConfigurationError: as `build` would.
    """
    if config.inputs == ("-",):
        raise ConfigurationError("standard input can not be looked at twice", setting="dry_run")
    root = config.input_root or common_root(config.inputs)
    read = config.settings.read
    units = list_units(config.inputs, root, config.output, read)
    check_fields(units, read)
    tokenizer = config.settings.load_tokenizer()
    config.settings.described(tokenizer)  # begin and end of text, or it raises
    samples = tuple(_sample(unit, config, tokenizer) for unit in _some(units))
    raw = sum(sample.raw_bytes for sample in samples)
    tokens = sum(sample.tokens for sample in samples)
    text = sum(sample.text_bytes for sample in samples)
    total = sum(unit.size_bytes for unit in units)
    scale = total / raw if raw else 0.0
    workers = min(max(1, config.running(total).workers), len(split_units(units, read)))
    documents = sum(sample.documents for sample in samples)
    disk = scale * (tokens * tokenizer.dtype.itemsize + documents * _INDEX_BYTES)
    return Preview(
        inputs=len(units),
        input_bytes=total,
        formats=dict(Counter(_format_of(unit, read).value for unit in units)),
        samples=samples,
        tokenizer=tokenizer.vocabulary.name,
        bytes_a_token=round(text / tokens, 3) if tokens else None,
        tokens=round(scale * tokens),
        seconds=_START_SECONDS + scale * sum(sample.seconds for sample in samples) / workers,
        workers=workers,
        memory_bytes=_COMMAND_BYTES + workers * _USUAL_WORKER_BYTES,
        disk_bytes=round(disk),
        free_bytes=_free_bytes(config.output),
    )


def _sample(unit: WorkUnit, config: BuildConfig, tokenizer: Tokenizer) -> InputSample:
    read = config.settings.read
    records = documents = text_bytes = tokens = 0
    rejects: Counter[str] = Counter()
    first = None
    started = time.perf_counter()
    with open_reader(unit.path, dataclasses.replace(read, batch_bytes=1 << 20)) as reader:
        for batch in reader:
            encoded = tokenizer.encode_documents(
                batch.documents.text,
                begin_of_text=config.settings.begin_of_text_id(tokenizer),
                end_of_text=config.settings.end_of_text_id(tokenizer),
            )
            if first is None and len(batch.documents):
                first = _first_document(batch, encoded.tokens[: encoded.offsets[1]], tokenizer)
            records += batch.records
            documents += len(batch.documents)
            rejects.update(reject.reason.value for reject in batch.rejects)
            text_bytes += batch.documents.text.nbytes
            tokens += len(encoded.tokens)
            if text_bytes > _SAMPLE_BYTES or time.perf_counter() - started > _SAMPLE_SECONDS:
                raw_bytes = _raw_bytes_read(reader, unit, records)
                break
        else:
            raw_bytes = unit.size_bytes
    return InputSample(
        unit=unit.name,
        path=unit.path,
        input_format=reader.input_format.value,
        fields=sample_fields(unit.path, read).fields,
        records=records,
        documents=documents,
        rejects=dict(rejects),
        raw_bytes=raw_bytes,
        text_bytes=text_bytes,
        tokens=tokens,
        seconds=time.perf_counter() - started,
        first=first,
    )


def _raw_bytes_read(reader: Reader, unit: WorkUnit, records: int) -> int:
    """About how much of the input was read; of Parquet, by the share of its rows."""
    if reader.input_format is not InputFormat.PARQUET:
        return min(reader.input_bytes, unit.size_bytes)
    with open_raw(unit.path) as file:
        rows = int(pq.read_metadata(file).num_rows)
    return min(unit.size_bytes, unit.size_bytes * records // max(rows, 1))


def _first_document(
    batch: RecordBatch, ids: Any, tokenizer: Tokenizer
) -> tuple[str | None, tuple[int, ...], tuple[str, ...]]:
    name = batch.documents.id[0].as_py()
    return name, tuple(ids.tolist()), tuple(token_texts(tokenizer, ids[:_SHOWN_TOKENS].tolist()))


def _free_bytes(output: str) -> int | None:
    """What is free where the output is, or will be; None where nobody can tell."""
    if not is_local(output):
        return None
    folder = Path(output).absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
