"""The pass that makes an export: one shard of it out of the documents of a build.

build ─ spans of documents ─► the unit's split ─► framing ─► dtype ─► ExportWriter ─► files
                                                       └─► index: where each is from
"""

import functools
import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.errors import BooksError
from transforms.exports.carry import last_ids
from transforms.exports.formats import ExportFormat, export_format
from transforms.exports.formats.interface import ShardShape
from transforms.exports.framing import Framing, framing_of_settings
from transforms.exports.index import EXPORT_SCHEMA, index_rows
from transforms.exports.mixtures import mixture_of
from transforms.exports.records import (
    ExportReceipt,
    ExportShard,
    FileEntry,
    paths_of,
    shape_of,
)
from transforms.exports.sequences import (
    SequenceBooks,
    SequencePacker,
    SequenceSettings,
    sequence_settings_of,
)
from transforms.exports.shard_cutter import ExportUnit
from transforms.exports.shuffle import gathered
from transforms.exports.source import Chooser, DocumentChunk, Span, read_spans
from transforms.exports.splits import Splitter
from transforms.passes.work_pass import WorkUnit, report_progress
from transforms.shards.build import Build
from transforms.shards.index import ParquetLog
from transforms.shards.json_records import fingerprint_of
from transforms.shards.layout import documents_path
from transforms.shards.staged_file import FileDigest, StagedFile

# Documents that are read at a time to find the last ids of a shard.
_ROWS_BACKWARDS = 4096

Documents = tuple[npt.NDArray[Any], npt.NDArray[np.int64], pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class ExportedDocuments:
    """What goes into a file next: documents or sequences; as ExportWriter.append takes it."""

    ids: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]
    rows: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Blocks:
    """What a ScatterPass has written: where, how many, and the dtype of the ids."""

    place: Build
    count: int
    dtype: str


@dataclass(frozen=True, eq=False)
class ExportPass:
    """Writes the shards of an export. Memory: about 1 Mi ids, and some bytes a document; of a
    shuffle a part, of sequences 16 Mi ids (packing.py), each a few times over, and of best-fit
    the index rows of a shard.

    Attributes:
        source: the build. settings: as ExportSettings.described gives them.
        splitter: as the plan has made it.
        blocks: where documents are to be gathered from; None: they come in order.
    """

    source: Build
    settings: Mapping[str, Any]
    splitter: Splitter
    blocks: Blocks | None = None

    def described(self) -> Mapping[str, Any]:
        return self.settings

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(self.settings)

    @property
    def format(self) -> ExportFormat:
        """Of the files."""
        return export_format(self.settings["format"]["name"])

    @property
    def framing(self) -> Framing:
        """What happens at the ends of documents."""
        return framing_of_settings(self.settings)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the ids in files."""
        dtype: np.dtype[Any] = np.dtype(self.settings["format"]["dtype"])
        return dtype

    def prepare(self) -> None:
        self.format.check_available()

    @property
    def sequences(self) -> SequenceSettings | None:
        """How documents are packed; None: they are not."""
        return sequence_settings_of(self.settings)

    def shape(self, unit: ExportUnit, books: SequenceBooks | None) -> ShardShape:
        """Of one shard; books: of its sequences, if it is of sequences."""
        if books is None or self.sequences is None:
            return shape_of(self.settings, unit.documents, unit.tokens)
        tokens = books.sequences * self.sequences.length
        return shape_of(self.settings, books.sequences, tokens)

    def books(self, unit: ExportUnit) -> SequenceBooks | None:
        """How many sequences a shard has: lengths alone tell. None without sequences."""
        if self.sequences is None:
            return None
        packer, documents = self._packer(unit, self.sequences, has_ids=False)
        for _ in packer.pack(documents):
            pass
        return packer.books

    def read(self, unit: ExportUnit) -> Iterator[ExportedDocuments]:
        """The documents, or the sequences, of a shard in order, from the build.

        Raises:
            BooksError: they are not as many as were planned: the build has changed.
        """
        if self.sequences is None:
            return self._documents(unit)
        return self._packed(unit, self.sequences)

    def _packed(self, unit: ExportUnit, how: SequenceSettings) -> Iterator[ExportedDocuments]:
        packer, documents = self._packer(unit, how)
        for chunk in packer.pack(documents):
            lengths = np.full(len(chunk.ids) // packer.length, packer.length)
            if self.format.has_segments:
                lengths = chunk.segments
            yield ExportedDocuments(chunk.ids, lengths, chunk.rows)

    def _packer(
        self, unit: ExportUnit, how: SequenceSettings, *, has_ids: bool = True
    ) -> tuple[SequencePacker, Iterator[Documents]]:
        """What packs a shard, and the documents to pack, those that are carried into it first."""
        own = ((one.ids, one.lengths, one.rows) for one in self._documents(unit, has_ids=has_ids))
        if not unit.carried:
            return SequencePacker(how, is_last=unit.is_last, has_ids=has_ids), own
        *carried, skipped = self._carried(unit)
        packer = SequencePacker(how, skipped=skipped, is_last=unit.is_last, has_ids=has_ids)
        return packer, itertools.chain([tuple(carried)], own)

    def _carried(
        self, unit: ExportUnit
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], pa.RecordBatch, int]:
        """The last ids of the shards before this one, as `last_ids` gives them."""
        found: list[ExportedDocuments] = []
        backwards = (
            chunk for one in reversed(unit.earlier) for chunk in self._chunks_backwards(one)
        )
        while sum(len(one.ids) for one in found) < unit.carried:
            found.insert(0, self._framed(next(backwards), 0))
        ids, lengths = (
            np.concatenate([getattr(one, name) for one in found]) for name in ("ids", "lengths")
        )
        rows = pa.Table.from_batches([one.rows for one in found]).combine_chunks()
        return last_ids(ids, lengths, rows.to_batches()[0], unit.carried)

    def _framed(self, chunk: DocumentChunk, start: int) -> ExportedDocuments:
        ids, lengths = self.framing.apply(chunk.ids, chunk.lengths)
        rows = index_rows(start, lengths, chunk.units, chunk.rows)
        return ExportedDocuments(np.ascontiguousarray(ids, self.dtype), lengths, rows)

    def _documents(self, unit: ExportUnit, *, has_ids: bool = True) -> Iterator[ExportedDocuments]:
        documents = start = 0
        for chunk in self._chunks(unit, has_ids):
            framed = self._framed(chunk, start)
            yield framed
            documents += len(framed.lengths)
            start += len(framed.ids)
        if (documents, start) != (unit.documents, unit.tokens):
            raise BooksError(
                f"{unit.name}: planned {unit.documents} documents and {unit.tokens} tokens, "
                f"found {documents} and {start}: the build has changed"
            )

    def _chunks(self, unit: ExportUnit, has_ids: bool) -> Iterator[DocumentChunk]:
        if self.blocks is not None:
            return self._gathered(range(unit.first_part, unit.stop_part), has_ids=has_ids)
        is_wanted = self._is_wanted(unit.split)
        return read_spans(self.source, unit.spans, is_wanted, has_ids=has_ids)

    def _chunks_backwards(self, unit: ExportUnit) -> Iterator[DocumentChunk]:
        """The same documents from the end: chunks of them, each in its own order."""
        for part in reversed(range(unit.first_part, unit.stop_part)):
            yield from self._gathered(range(part, part + 1))
        is_wanted = self._is_wanted(unit.split)
        for span in reversed(unit.spans):
            for stop in range(span.stop, span.first, -_ROWS_BACKWARDS):
                piece = Span(span.unit, max(span.first, stop - _ROWS_BACKWARDS), stop)
                yield from reversed(list(read_spans(self.source, [piece], is_wanted)))

    def _gathered(self, parts: range, *, has_ids: bool = True) -> Iterator[DocumentChunk]:
        assert self.blocks is not None
        dtype: np.dtype[Any] = np.dtype(self.blocks.dtype)
        return gathered(self.blocks.place, self.blocks.count, parts, dtype, has_ids=has_ids)

    def _is_wanted(self, split: str) -> Chooser:
        code, mixture = self.splitter.names.index(split), mixture_of(self.settings)

        def is_wanted(name: str, rows: pa.RecordBatch) -> npt.NDArray[np.bool_]:
            codes = self.splitter.split_of(rows)
            copies = mixture.copies(name, rows.column("record").to_numpy(), codes)
            wanted: npt.NDArray[np.bool_] = (codes == code) & (copies > 0)
            return wanted

        return is_wanted

    def run(self, unit: WorkUnit, build: Build) -> ExportReceipt:
        """Writes one shard.

        Raises:
            MismatchError: a file of the build is not as its receipt says.
            OSError: it can not be read, or the shard not be written.
            BooksError: it does not hold what the plan has counted.
        """
        assert isinstance(unit, ExportUnit)
        index_path = documents_path(unit.name)
        paths = paths_of(self.format, unit.split, unit.number)
        with ExitStack() as stack:
            staged = [stack.enter_context(build.stage(path)) for path in paths]
            log = ParquetLog(stack.enter_context(build.stage(index_path)), EXPORT_SCHEMA)
            stack.callback(log.close)
            books = self.books(unit)
            shape = self.shape(unit, books)
            known = self._write(unit, shape, staged, log)
            files = []
            for path, file in zip(paths, staged, strict=True):
                digest = file.finish(known.get(file.local_path))
                files.append(FileEntry(path, digest.bytes, digest.sha256))
            index = log.finish(index_path)
            build.publish(unit.name, [*staged, log.staged])
        shard = ExportShard(
            unit.split, unit.number, unit.documents, shape.tokens, books, tuple(files), index
        )
        return ExportReceipt(self.fingerprint, shard)

    def _write(
        self, unit: ExportUnit, shape: ShardShape, staged: list[StagedFile], log: ParquetLog
    ) -> Mapping[str, FileDigest]:
        """Fills the files; returns what is known of them, as ExportWriter.digests does."""
        writer = self.format.create([file.local_path for file in staged], shape)
        try:
            for chunk in self.read(unit):
                writer.append(chunk.ids, chunk.lengths, chunk.rows)
                log.append({name: chunk.rows.column(name) for name in EXPORT_SCHEMA.names})
                report_progress(chunk.ids.nbytes)
            writer.finish()
            return writer.digests()
        finally:
            writer.close()

    def read_receipt(self, content: bytes, place: str) -> ExportReceipt:
        return ExportReceipt.from_json(content, place, self.format)
