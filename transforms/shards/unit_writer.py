"""Writes the files of one work unit: token shards, the index of its documents, its rejects.

All of it is staged and appears only when the whole unit is there. The receipt, which commits the
unit, is written by whoever runs the pass (passes/work_pass.py).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import EncodedDocuments, text_hashes
from transforms.documents import MAX_EXCERPT_BYTES, DocumentColumns, Reason, RecordBatch, Reject
from transforms.errors import BooksError
from transforms.shards.build import Build
from transforms.shards.formats import ShardFormat, ShardWriter, shard_format
from transforms.shards.index import DOCUMENTS_SCHEMA, REJECTS_SCHEMA, ParquetLog
from transforms.shards.layout import documents_path, rejects_path, shard_path
from transforms.shards.receipt import IndexEntry, InputBooks, InputFacts, Receipt, ShardEntry
from transforms.shards.settings import ShardSettings
from transforms.shards.staged_file import StagedFile


@dataclass(slots=True)
class _OpenShard:
    """A shard being written, and what went into it."""

    path: str
    staged: StagedFile
    writer: ShardWriter
    tokens: int = 0
    documents: int = 0


class UnitWriter:
    """Takes the batches of one unit in order; `publish` at the end. Memory does not grow with it.

    Args:
        build: where the files go. unit: the name that all of them share.
        dtype: of the ids, <u2 or <u4.
        settings: the shard format, and how many tokens a shard may have.
    """

    def __init__(
        self, build: Build, unit: str, dtype: np.dtype[Any], settings: ShardSettings
    ) -> None:
        self._build = build
        self._unit = unit
        self._dtype = dtype
        self._format: ShardFormat = shard_format(settings.format)
        self._max_shard_tokens = settings.max_tokens
        self._stack = ExitStack()
        self._documents = self._log(documents_path(unit), DOCUMENTS_SCHEMA)
        self._rejects: ParquetLog | None = None
        self._shard: _OpenShard | None = None
        self._finished: list[tuple[StagedFile, ShardEntry]] = []
        self._records = 0
        self._reject_counts: Counter[str] = Counter()
        self._lost_bytes = 0
        self._text_bytes = 0
        self._special_token_texts = 0

    def write(self, batch: RecordBatch, encoded: EncodedDocuments) -> None:
        """Adds the batch's documents as encoded, and its rejects.

        Documents that are empty or not UTF-8 become rejects here.

        Raises:
            BooksError: the batch does not account for each of its records.
        """
        lengths = np.diff(encoded.offsets)
        empty = lengths == 0
        rejects = list(batch.rejects)
        if empty.any():
            rejects += _rejects_of(batch.documents, empty, encoded.valid)
        if batch.records != len(batch.documents) + len(batch.rejects):
            raise BooksError(
                f"{self._unit}: a batch of {batch.records} records holds "
                f"{len(batch.documents)} documents and {len(batch.rejects)} rejects"
            )
        self._records += batch.records
        if rejects:
            self._write_rejects(sorted(rejects, key=lambda reject: reject.record))
        self._write_documents(batch.documents, encoded, lengths, ~empty)

    def publish(self, *, fingerprint: str, settings: dict[str, Any], source: InputFacts) -> Receipt:
        """Makes every file appear, durably, and returns the receipt that commits them.

        Args:
            fingerprint: of the settings. settings: as TokenizeSettings.described gives them.
            source: what the reader found by itself: its count of records among it.

        Raises:
            BooksError: the books do not balance; then nothing of the unit is published.
        """
        self._finish_shard()
        documents = self._documents.finish(documents_path(self._unit))
        rejects = None
        if self._rejects is not None:
            rejects = self._rejects.finish(rejects_path(self._unit))
        shards = tuple(entry for _, entry in self._finished)
        books = InputBooks(
            path=self._unit,
            part=source.part,
            bytes=source.bytes,
            sha256=source.sha256,
            records=source.records,
            documents=documents.rows,
            rejects=dict(sorted(self._reject_counts.items())),
            tokens=sum(shard.tokens for shard in shards),
            text_bytes=self._text_bytes,
            special_token_texts=self._special_token_texts,
            decoded_bytes=source.decoded_bytes,
            lost_bytes=source.lost_bytes,
            undecoded_bytes=source.undecoded_bytes,
            is_truncated=source.is_truncated,
            html_extractor=source.html_extractor,
        )
        self._check(books, shards, rejects)
        staged = [file for file, _ in self._finished]
        staged += [log.staged for log in (self._documents, self._rejects) if log is not None]
        self._build.publish(self._unit, staged)
        return Receipt(
            fingerprint=fingerprint,
            settings=settings,
            input=books,
            shards=shards,
            documents=documents,
            rejects=rejects,
        )

    def __enter__(self) -> "UnitWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _check(
        self, books: InputBooks, shards: Sequence[ShardEntry], rejects: IndexEntry | None
    ) -> None:
        books.check()
        counts = (
            ("records", books.records, self._records),
            ("documents", books.documents, sum(shard.documents for shard in shards)),
            ("rejects", sum(books.rejects.values()), rejects.rows if rejects else 0),
            ("lost bytes", books.lost_bytes, self._lost_bytes),
        )
        for what, expected, found in counts:
            if expected != found:
                raise BooksError(f"{self._unit}: {what}: expected {expected}, wrote {found}")

    def _log(self, path: str, schema: pa.Schema) -> ParquetLog:
        staged = self._stack.enter_context(self._build.stage(path))
        log = ParquetLog(staged, schema)
        self._stack.callback(log.close)
        return log

    def _write_rejects(self, rejects: Sequence[Reject]) -> None:
        if self._rejects is None:
            self._rejects = self._log(rejects_path(self._unit), REJECTS_SCHEMA)
        self._rejects.append(
            {
                "record": [reject.record for reject in rejects],
                "byte_offset": [reject.byte_offset for reject in rejects],
                "reason": [reject.reason.value for reject in rejects],
                "detail": [reject.detail for reject in rejects],
                "lost_bytes": [reject.lost_bytes for reject in rejects],
                "excerpt": [reject.excerpt for reject in rejects],
            }
        )
        self._lost_bytes += sum(reject.lost_bytes for reject in rejects)
        self._reject_counts.update(reject.reason.value for reject in rejects)

    def _write_documents(
        self,
        documents: DocumentColumns,
        encoded: EncodedDocuments,
        lengths: npt.NDArray[np.int64],
        kept: npt.NDArray[np.bool_],
    ) -> None:
        rows = {
            "id": documents.id,
            "url": documents.url,
            "record": documents.record,
            "length": lengths,
            "text_bytes": pc.binary_length(documents.text).to_numpy().astype(np.int64),
            "text_xxh3": text_hashes(documents.text),
        }
        specials = encoded.special_token_texts
        if not kept.all():
            mask = pa.array(kept)
            rows = {
                name: column.filter(mask) if isinstance(column, pa.Array) else column[kept]
                for name, column in rows.items()
            }
            specials = specials[kept]
        self._text_bytes += int(rows["text_bytes"].sum())
        self._special_token_texts += int(specials.sum())
        # A document without tokens takes no room among the tokens, so they need no filter.
        ends = np.cumsum(rows["length"])
        start = 0
        for first, last in self._cut(ends):
            begin_token = int(ends[first - 1]) if first else 0
            end_token = int(ends[last - 1])
            shard = self._open_shard()
            columns = {name: column[first:last] for name, column in rows.items()}
            columns["start"] = ends[first:last] - columns["length"] - begin_token + shard.tokens
            columns["shard"] = np.full(last - first, len(self._finished), np.int32)
            shard.writer.append(encoded.tokens[begin_token:end_token])
            shard.tokens += end_token - begin_token
            shard.documents += last - first
            self._documents.append(columns)
            start = end_token
        if start != len(encoded.tokens):
            raise BooksError(f"{self._unit}: {len(encoded.tokens)} tokens encoded, {start} written")

    def _cut(self, ends: npt.NDArray[np.int64]) -> Iterable[tuple[int, int]]:
        """Ranges of documents that go into one shard each; closes a shard when one is full."""
        first = 0
        while first < len(ends):
            if self._max_shard_tokens is None:
                last = len(ends)
            else:
                written = self._shard.tokens if self._shard else 0
                before = int(ends[first - 1]) if first else 0
                room = before + self._max_shard_tokens - written
                last = int(np.searchsorted(ends, room, side="right"))
                # Less than `first` where the document before is alone larger than a shard.
                if last <= first and written:
                    self._finish_shard()
                    continue
                last = max(last, first + 1)  # alone larger than a shard: it gets one of its own
            yield first, last
            first = last

    def _open_shard(self) -> _OpenShard:
        if self._shard is None:
            number = None if self._max_shard_tokens is None else len(self._finished)
            path = shard_path(self._unit, self._format.suffix, number)
            staged = self._stack.enter_context(self._build.stage(path))
            writer = self._format.create(staged.local_path, self._dtype)
            self._stack.callback(writer.close)
            self._shard = _OpenShard(path, staged, writer)
        return self._shard

    def _finish_shard(self) -> None:
        if self._shard is None:
            return
        shard, self._shard = self._shard, None
        shard.writer.finish()
        digest = shard.staged.finish()
        entry = ShardEntry(
            path=shard.path,
            format=self._format.name,
            dtype=self._dtype.str,
            tokens=shard.tokens,
            documents=shard.documents,
            bytes=digest.bytes,
            sha256=digest.sha256,
        )
        self._finished.append((shard.staged, entry))


def _rejects_of(
    documents: DocumentColumns, empty: npt.NDArray[np.bool_], valid: npt.NDArray[np.bool_]
) -> Iterable[Reject]:
    raw = documents.text.cast(pa.large_string()).view(pa.large_binary())
    for row in np.flatnonzero(empty).tolist():
        place = (int(documents.record[row]), int(documents.byte_offset[row]))
        text: bytes = raw[row].as_py()
        if valid[row]:
            detail = "the tokenizer removes all of it" if text else "the text has no characters"
            yield Reject(*place, Reason.EMPTY_DOCUMENT, detail, text[:MAX_EXCERPT_BYTES])
            continue
        try:
            text.decode()
            detail = "the text is not UTF-8"
        except UnicodeDecodeError as error:
            detail = f"the text is not UTF-8: {error.reason} at byte {error.start} of the text"
        yield Reject(*place, Reason.INVALID_UTF8, detail, text[:MAX_EXCERPT_BYTES])
