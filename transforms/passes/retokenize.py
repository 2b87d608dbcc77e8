"""Reads an input again and compares a share of its documents with what the build holds.

Which documents is a function of (fingerprint, unit, record), so that a check can be repeated.
"""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer import ConfigurationError, Tokenizer
from transforms.documents import DocumentColumns
from transforms.errors import MismatchError
from transforms.passes.findings import expect, expect_rows
from transforms.reading import open_reader
from transforms.settings import read_settings_of
from transforms.shards.build import Build
from transforms.shards.formats import ShardReader, shard_format
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.receipt import Receipt


def is_chosen(
    fingerprint: str, unit: str, record: npt.NDArray[np.int64], fraction: float
) -> npt.NDArray[np.bool_]:
    """Which records are among the share `fraction`, 0 to 1, of this unit's.

    The finalizer of SplitMix64 (Steele, Lea, Flood 2014) over record and a seed of the two names.
    """
    if fraction >= 1:
        return np.ones(len(record), np.bool_)
    digest = hashlib.sha256(f"{fingerprint}\0{unit}".encode()).digest()
    mixed = record.astype(np.uint64) + np.frombuffer(digest, "<u8", count=1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    chosen: npt.NDArray[np.bool_] = mixed < np.uint64(int(fraction * 2**64))
    return chosen


def retokenize_unit(
    build: Build, receipt: Receipt, path: str, fraction: float, tokenizer: Tokenizer
) -> int:
    """Compares a share of the input's documents token by token; returns how many.

    Checks the input's size, SHA-256 and records too. Memory: one batch. Raises MismatchError for
    the first difference, or where the input can not be read.
    """
    with _UnitComparison(build, receipt, fraction, tokenizer) as comparison:
        try:
            with open_reader(path, read_settings_of(receipt.settings)) as reader:
                for batch in reader:
                    comparison.take(batch.documents)
        except (OSError, ConfigurationError) as error:
            raise MismatchError(
                f"{path}: can not read the input again: {error}. "
                "say where the inputs are now as input_root"
            ) from error
        comparison.finish()
    # A difference in a document means little where another file lies in the input's place.
    place = f"{path}: not the input that was tokenized"
    expect(place, "bytes", receipt.input.bytes, reader.input_bytes)
    expect(place, "SHA-256", receipt.input.sha256, reader.input_sha256)
    if comparison.difference is not None:
        raise comparison.difference
    for name in ("records", "decoded_bytes", "lost_bytes", "undecoded_bytes", "is_truncated"):
        expect(path, name, getattr(receipt.input, name), getattr(reader, name))
    return comparison.compared


class _UnitComparison:
    """Goes through input and documents index side by side; both are in the order of records."""

    def __init__(
        self, build: Build, receipt: Receipt, fraction: float, tokenizer: Tokenizer
    ) -> None:
        self.compared = 0
        self.difference: MismatchError | None = None
        self._build = build
        self._receipt = receipt
        self._fraction = fraction
        self._tokenizer = tokenizer
        self._place = f"{receipt.documents.path}: record"
        self._stack = ExitStack()
        self._shard_stack = ExitStack()
        self._open: tuple[int, ShardReader] | None = None
        self._rest: pa.RecordBatch | None = None

    def __enter__(self) -> "_UnitComparison":
        path = self._receipt.documents.path
        local_path = self._stack.enter_context(self._build.local_copy(path))
        self._batches = read_rows(local_path, path, DOCUMENTS_SCHEMA, DOCUMENTS_SCHEMA.names)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._batches.close()
        self._shard_stack.close()
        self._stack.close()

    def take(self, documents: DocumentColumns) -> None:
        """Compares the next documents of the input; keeps the first difference there is."""
        if self.difference is None and len(documents):
            try:
                self._compare(documents)
            except MismatchError as error:
                self.difference = error

    def finish(self) -> None:
        """To be called when the input is at its end: then the index must be too."""
        if self.difference is None and len(rest := self._rows_until(1 << 62)):
            record = rest.column("record")[0].as_py()
            self.difference = MismatchError(
                f"{self._place} {record}: the input has no such document"
            )

    def _compare(self, documents: DocumentColumns) -> None:
        chosen = self._is_chosen(documents.record)
        encoded = self._tokenizer.encode_documents(
            documents.text.filter(pa.array(chosen)),
            begin_of_text=self._receipt.settings["tokenizer"]["begin_of_text"],
            end_of_text=self._receipt.settings["tokenizer"]["end_of_text"],
            dtype=self._tokenizer.dtype,
        )
        lengths = np.diff(encoded.offsets)
        kept = lengths > 0  # the others are rejects: empty, or not UTF-8
        record = documents.record[chosen][kept]
        rows = self._rows_until(int(documents.record[-1]))
        rows = rows.filter(pa.array(self._is_chosen(rows.column("record").to_numpy())))
        found = {name: rows.column(name).combine_chunks() for name in DOCUMENTS_SCHEMA.names}
        if len(odd := np.setxor1d(record, found["record"].to_numpy())):
            raise MismatchError(
                f"{self._place} {odd[0]}: a document in only one of input and build"
            )
        for name, column in (("id", documents.id), ("url", documents.url)):
            expected = column.filter(pa.array(chosen)).filter(pa.array(kept))
            self._expect_texts(record, name, expected, found[name])
        numbers = {name: found[name].to_numpy() for name in ("shard", "start", "length")}
        expect_rows(self._place, record, "tokens", lengths[kept], numbers["length"])
        hashes = encoded.text_xxh3[kept]
        expect_rows(self._place, record, "text_xxh3", hashes, found["text_xxh3"].to_numpy())
        self._compare_tokens(record, numbers, encoded.tokens)
        self.compared += len(record)

    def _compare_tokens(
        self,
        record: npt.NDArray[np.int64],
        rows: Mapping[str, npt.NDArray[Any]],
        tokens: npt.NDArray[Any],
    ) -> None:
        done = 0
        for number in np.unique(rows["shard"]).tolist():
            here = rows["shard"] == number
            starts, lengths = rows["start"][here], rows["length"][here]
            first = int(starts[0])
            held = self._shard(number).read(first, int(starts[-1] + lengths[-1]))
            offsets = np.cumsum(lengths) - lengths
            at = np.arange(int(lengths.sum())) + np.repeat(starts - first - offsets, lengths)
            expected = tokens[done : done + len(at)]
            expect_rows(self._place, np.repeat(record[here], lengths), "id", expected, held[at])
            done += len(at)

    def _expect_texts(
        self, record: npt.NDArray[np.int64], what: str, expected: pa.Array, found: pa.Array
    ) -> None:
        if not expected.equals(found):
            pairs = zip(record, expected.to_pylist(), found.to_pylist(), strict=True)
            for number, value, other in pairs:
                expect(f"{self._place} {number}", what, value, other)

    def _is_chosen(self, record: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        unit = self._receipt.input.path
        return is_chosen(self._receipt.fingerprint, unit, record, self._fraction)

    def _rows_until(self, record: int) -> pa.Table:
        """The next rows of the index, up to that record."""
        parts = []
        while (batch := self._rest or next(self._batches, None)) is not None:
            count = int(np.searchsorted(batch.column("record").to_numpy(), record, side="right"))
            parts.append(batch.slice(0, count))
            self._rest = batch.slice(count) if count < len(batch) else None
            if self._rest is not None:
                break
        return pa.Table.from_batches(parts, schema=DOCUMENTS_SCHEMA)

    def _shard(self, number: int) -> ShardReader:
        if self._open is None or self._open[0] != number:
            self._shard_stack.close()
            entry = self._receipt.shards[number]
            local_path = self._shard_stack.enter_context(self._build.local_copy(entry.path))
            self._open = (number, shard_format(entry.format).open(local_path, entry))
        return self._open[1]
