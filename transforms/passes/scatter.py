"""The first pass of a global shuffle: a block of documents in, its parts side by side out.

The second is ExportPass, which gathers a part of every block; transforms/exports/shuffle.py has
the picture. What is written here is of use to that pass alone and goes when the export is complete.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.exports.mixtures import mixture_of
from transforms.exports.records import FileEntry
from transforms.exports.shard_cutter import ExportUnit
from transforms.exports.shuffle import (
    ROWS_SCHEMA,
    Grid,
    copy_hashes,
    document_hashes,
    scattered,
)
from transforms.exports.source import DocumentChunk, read_spans
from transforms.exports.splits import Splitter
from transforms.passes.work_pass import WorkUnit, report_progress
from transforms.shards.build import Build
from transforms.shards.hashed_file import HashedFile
from transforms.shards.json_records import (
    FORMAT,
    Sha256,
    canonical_json,
    fingerprint_of,
    parse_record,
)
from transforms.shards.layout import block_paths
from transforms.shards.staged_file import FileDigest, StagedFile


@dataclass(frozen=True, slots=True)
class ScatterReceipt:
    """Proof that a block is written."""

    fingerprint: Sha256
    unit: str
    files: tuple[FileEntry, ...]

    def is_of(self, size_bytes: int, part: tuple[int, int] | None) -> bool:
        """Yes: what a block holds follows from the settings, which pin the build."""
        return True

    def sizes(self) -> dict[str, int]:
        return {entry.path: entry.bytes for entry in self.files}

    def counts(self) -> Iterator[tuple[str, int]]:
        yield "blocks", 1

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})


@dataclass(frozen=True, eq=False)
class ScatterPass:
    """Writes blocks. Memory: a block, three times over.

    Attributes:
        source: the build. settings: of the export. splitter: as the plan has made it.
        grid: where parts begin. blocks: how many there are.
    """

    source: Build
    settings: Mapping[str, Any]
    splitter: Splitter
    grid: Grid
    blocks: int

    def described(self) -> Mapping[str, Any]:
        grid = dataclasses.asdict(self.grid)
        return {"pass": "scatter", "export": self.settings, "grid": grid, "blocks": self.blocks}

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(self.described())

    def prepare(self) -> None:
        """Nothing: all that is needed came with the pass."""

    def run(self, unit: WorkUnit, build: Build) -> ScatterReceipt:
        """Writes one block.

        Raises:
            MismatchError: a file of the build is not as its receipt says.
            OSError: it can not be read, or the block not be written.
        """
        assert isinstance(unit, ExportUnit)
        chunks = list(read_spans(self.source, unit.spans, _every))
        paths = block_paths(unit.name)
        with ExitStack() as stack:
            staged = [stack.enter_context(build.stage(path)) for path in paths]
            known = self._write(chunks, staged)
            digests = [file.finish(own) for file, own in zip(staged, known, strict=True)]
            build.publish(unit.name, staged)
        files = tuple(
            FileEntry(path, digest.bytes, digest.sha256)
            for path, digest in zip(paths, digests, strict=True)
        )
        report_progress(files[0].bytes)
        return ScatterReceipt(self.fingerprint, unit.name, files)

    def read_receipt(self, content: bytes, place: str) -> ScatterReceipt:
        return parse_record(content, ScatterReceipt, place, "remove it")

    def _write(self, chunks: list[DocumentChunk], staged: list[StagedFile]) -> list[FileDigest]:
        seed, mixture = self.settings["shuffle"], mixture_of(self.settings)
        documents, parts, hashes = [], [], []
        first = 0
        for chunk in chunks:
            unit, record = chunk.units[0].as_py(), chunk.rows.column("record").to_numpy()
            codes = self.splitter.split_of(chunk.rows)
            copies = mixture.copies(unit, record, codes)
            own = copy_hashes(document_hashes(seed, unit, record), copies)
            documents.append(first + np.repeat(np.arange(len(record)), copies))
            parts.append(self.grid.parts_of(np.repeat(codes, copies), own))
            hashes.append(own)
            first += len(record)
        pieces = scattered(
            chunks,
            np.concatenate(documents),
            np.concatenate(parts),
            np.concatenate(hashes),
            self.grid.total,
        )
        with (
            closing(HashedFile(staged[0].local_path)) as ids_file,
            closing(HashedFile(staged[1].local_path)) as rows_sink,
        ):
            with pa.ipc.new_file(rows_sink, ROWS_SCHEMA) as rows_file:
                for ids, rows in pieces:
                    ids_file.write(ids)
                    rows_file.write_batch(rows)
            return [ids_file.digest, rows_sink.digest]


def _every(_: str, rows: pa.RecordBatch) -> Any:
    return np.ones(len(rows), np.bool_)
