"""`TokenizeShards`: work units in, receipts out; the files are written on the way."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from tokenizer import Tokenizer
from transforms.reading import open_reader
from transforms.receipt import Receipt
from transforms.settings import TokenizeSettings, WorkUnit, fingerprint_of
from transforms.writing.unit_writer import UnitWriter


def tokenize_unit(
    unit: WorkUnit, output: str, settings: TokenizeSettings, tokenizer: Tokenizer
) -> Receipt:
    """Reads one input, writes all its files below `output`, and commits them with a receipt.

    Doing it again writes the same bytes. Memory is a few batches, however large the unit. Raises
    OSError where input or output can not be read or written, BooksError where counts disagree.
    """
    described = settings.described(tokenizer)
    begin_of_text = settings.begin_of_text_id(tokenizer)
    end_of_text = settings.end_of_text_id(tokenizer)
    with (
        open_reader(unit.path, settings.read) as reader,
        UnitWriter(output, unit.name, tokenizer.dtype, settings.max_shard_tokens) as writer,
    ):
        for batch in reader:
            encoded = tokenizer.encode_documents(
                batch.documents.text,
                begin_of_text=begin_of_text,
                end_of_text=end_of_text,
                dtype=tokenizer.dtype,
            )
            writer.write(batch, encoded)
        return writer.commit(
            fingerprint=fingerprint_of(described),
            settings=described,
            input_bytes=reader.input_bytes,
            input_sha256=reader.input_sha256,
            records=reader.records,
        )


class _TokenizeUnit(beam.DoFn):  # type: ignore[misc]
    """One call a unit. The tokenizer is loaded once a process and shared by its threads."""

    def __init__(self, output: str, settings: TokenizeSettings) -> None:
        self._output = output
        self._settings = settings
        self._tokenizer: Tokenizer | None = None

    def setup(self) -> None:
        self._tokenizer = self._settings.load_tokenizer()

    def process(self, unit: WorkUnit) -> Iterator[Receipt]:
        assert self._tokenizer is not None  # setup() ran
        receipt = tokenize_unit(unit, self._output, self._settings, self._tokenizer)
        for name, count in _counts(receipt):
            Metrics.counter("tokenmill", name).inc(count)
        yield receipt


def _counts(receipt: Receipt) -> Iterator[tuple[str, int]]:
    books = receipt.input
    for name in ("records", "documents", "tokens", "text_bytes"):
        yield name, getattr(books, name)
    for reason, count in books.rejects.items():
        yield f"rejects.{reason}", count


class TokenizeShards(beam.PTransform):  # type: ignore[misc]
    """Tokenizes each `WorkUnit` into files below `output`; gives a `Receipt` for each.

    Elements are whole units: documents never cross a stage boundary, memory stays flat, and a
    retry redoes one unit. The bytes written depend on units and settings alone.
    """

    def __init__(self, output: str, settings: TokenizeSettings) -> None:
        super().__init__()
        self._output = output
        self._settings = settings

    def expand(self, units: Any) -> Any:
        return units | "TokenizeUnit" >> beam.ParDo(
            _TokenizeUnit(self._output, self._settings)
        ).with_input_types(WorkUnit).with_output_types(Receipt)
