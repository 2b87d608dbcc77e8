"""The pass that checks an export: each shard read back, against the build that it was made of.

    export ─ receipt ─ sizes, SHA-256 ─ the format's own reader ─┐
                                        index of the shard ──────┼─ equal, id by id, row by row?
    build ── the same documents, through the same framing ───────┘

It writes nothing into the export that it checks: its receipts go to a place of their own.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.errors import MismatchError
from transforms.exports.index import EXPORT_SCHEMA
from transforms.exports.records import ExportReceipt, FileEntry
from transforms.exports.shard_cutter import ExportUnit
from transforms.passes.export import ExportedDocuments, ExportPass
from transforms.passes.findings import Findings, expect, expect_rows
from transforms.passes.verify import VerifyReceipt
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.index import read_rows
from transforms.shards.json_records import fingerprint_of, parse_record
from transforms.shards.layout import receipt_path
from transforms.shards.receipt import IndexEntry
from transforms.shards.staged_file import digest_of


@dataclass(frozen=True, eq=False)
class VerifyExportPass:
    """Checks shards of an export. export: where they are. made_by: the pass that wrote them."""

    export: Build
    made_by: ExportPass

    def described(self) -> Mapping[str, Any]:
        return {"pass": "verify-export", "export": self.made_by.fingerprint}

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(self.described())

    def prepare(self) -> None:
        self.made_by.prepare()

    def run(self, unit: WorkUnit, build: Build) -> VerifyReceipt:
        """Checks one shard."""
        assert isinstance(unit, ExportUnit)
        findings = Findings()
        with findings.collect():
            self._check(unit)
        return VerifyReceipt(
            self.fingerprint,
            unit.name,
            tuple(findings.messages),
            unit.documents,
            bool(findings.messages),
        )

    def read_receipt(self, content: bytes, place: str) -> VerifyReceipt:
        return parse_record(content, VerifyReceipt, place, "remove it")

    def _check(self, unit: ExportUnit) -> None:
        receipt = self._receipt(unit)
        shard = receipt.shard
        with ExitStack() as stack:
            paths = []
            for entry in shard.entries():
                path = stack.enter_context(self.export.local_copy(entry.path))
                _check_digest(path, entry)
                paths.append(path)
            _check_content(self.made_by, unit, receipt, paths)

    def _receipt(self, unit: ExportUnit) -> ExportReceipt:
        path = receipt_path(unit.name)
        content = self.export.read(path)
        receipt = self.made_by.read_receipt(content, path)
        if receipt.to_json() != content:
            raise MismatchError(
                f"{path}: not canonical JSON, or with fields that do not belong there"
            )
        shard = receipt.shard
        expect(path, "fingerprint", self.made_by.fingerprint, receipt.fingerprint)
        expect(path, "unit", unit.name, receipt.unit)
        expect(path, "documents", unit.documents, shard.documents)
        books = self.made_by.books(unit)
        expect(path, "sequences", books, shard.sequences)
        expect(path, "tokens", self.made_by.shape(unit, books).tokens, shard.tokens)
        return receipt


def _check_digest(local_path: str, entry: FileEntry | IndexEntry) -> None:
    found = digest_of(local_path)
    if found.bytes != entry.bytes:
        raise MismatchError(f"{entry.path}: expected {entry.bytes} bytes, found {found.bytes}")
    if found.sha256 != entry.sha256:
        raise MismatchError(f"{entry.path}: expected SHA-256 {entry.sha256}, found {found.sha256}")


def _check_content(
    made_by: ExportPass, unit: ExportUnit, receipt: ExportReceipt, paths: list[str]
) -> None:
    """Ids, documents and index rows are those that the build gives."""
    file, index = receipt.shard.files[0].path, receipt.shard.index.path
    try:
        found = made_by.format.read(paths[:-1], made_by.shape(unit, receipt.shard.sequences))
        ids = _Ids(file, found, made_by.format.has_documents)
        rows = _Rows(index, paths[-1])
        for documents in made_by.read(unit):
            ids.expect(documents)
            rows.expect(documents)
        ids.expect_end()
        rows.expect_end()
    except MismatchError as error:
        if str(error).startswith((file, index)):
            raise
        raise MismatchError(f"{file}: {error}") from error


class _Ids:
    """What a format's reader gives, held against what the build gives."""

    def __init__(
        self, path: str, chunks: Iterator[tuple[npt.NDArray[Any], Any]], has_documents: bool
    ) -> None:
        self._path = path
        self._chunks = chunks
        self._has_documents = has_documents
        self._ids: npt.NDArray[Any] = np.zeros(0, np.uint32)
        self._lengths: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._token = self._document = 0

    def expect(self, documents: ExportedDocuments) -> None:
        """The next ids are those of the documents, and so are their lengths."""
        wanted, lengths = documents.ids, documents.lengths
        while len(self._ids) < len(wanted) and self._next():
            pass
        found, self._ids = self._ids[: len(wanted)], self._ids[len(wanted) :]
        if len(found) < len(wanted):
            raise MismatchError(f"{self._path}: ends at token {self._token + len(found)}")
        numbers = range(self._token, self._token + len(wanted))
        expect_rows(f"{self._path}: token", numbers, "id", wanted, found)
        self._token += len(wanted)
        if self._has_documents:
            own, self._lengths = self._lengths[: len(lengths)], self._lengths[len(lengths) :]
            if len(own) < len(lengths):
                raise MismatchError(f"{self._path}: ends at document {self._document + len(own)}")
            numbers = range(self._document, self._document + len(lengths))
            expect_rows(f"{self._path}: document", numbers, "length", lengths, own)
        self._document += len(lengths)

    def expect_end(self) -> None:
        """There is nothing else."""
        while self._next():
            pass
        if len(self._ids) or len(self._lengths):
            raise MismatchError(f"{self._path}: goes on after token {self._token}")

    def _next(self) -> bool:
        for ids, lengths in self._chunks:
            self._ids = np.concatenate([self._ids, ids]) if len(self._ids) else ids
            if self._has_documents:
                self._lengths = np.concatenate([self._lengths, lengths])
            return True
        return False


class _Rows:
    """The index of a shard, held against what the build gives."""

    def __init__(self, path: str, local_path: str) -> None:
        self._path = path
        names = EXPORT_SCHEMA.names
        self._batches = read_rows(local_path, path, EXPORT_SCHEMA, names)
        self._rest: Any = EXPORT_SCHEMA.empty_table()
        self._row = 0

    def expect(self, documents: ExportedDocuments) -> None:
        """The next rows are those of the documents."""
        wanted = pa.Table.from_batches([documents.rows])
        while len(self._rest) < len(wanted) and (batch := next(self._batches, None)) is not None:
            self._rest = pa.concat_tables([self._rest, pa.Table.from_batches([batch])])
        found, self._rest = self._rest.slice(0, len(wanted)), self._rest.slice(len(wanted))
        if not found.equals(wanted):
            for number, (one, other) in enumerate(
                zip(wanted.to_pylist(), found.to_pylist(), strict=False)
            ):
                expect(f"{self._path}: row", str(self._row + number), one, other)
            raise MismatchError(f"{self._path}: ends at row {self._row + len(found)}")
        self._row += len(wanted)

    def expect_end(self) -> None:
        """There is nothing else."""
        if len(self._rest) or next(self._batches, None) is not None:
            raise MismatchError(f"{self._path}: goes on after row {self._row}")
