"""Writes one work unit: token shards, the index of its documents, its rejects, its receipt.

    OUT/tokens/<unit>.npy            or <unit>-00000.npy, -00001 ... with max_shard_tokens
    OUT/documents/<unit>.parquet
    OUT/rejects/<unit>.parquet       only where there are rejects
    OUT/receipts/<unit>.json         last: from then on the unit is done

All of it is staged and appears only when the whole unit is there. A killed attempt leaves nothing
but files with the suffix .tmp.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import EncodedDocuments
from tokenizer.errors import BooksError
from transforms.documents import MAX_EXCERPT_BYTES, DocumentColumns, Reason, RecordBatch, Reject
from transforms.receipt import IndexEntry, InputBooks, Receipt, ShardEntry, receipt_path
from transforms.writing.parquet_log import DOCUMENTS_SCHEMA, REJECTS_SCHEMA, ParquetLog
from transforms.writing.staged_file import StagedFile, write_whole
from transforms.writing.token_shard import TokenShard

# A row of documents is about 100 bytes; a reject's excerpt is up to 64 KiB.
_DOCUMENT_ROWS_PER_GROUP = 1 << 16
_REJECT_ROWS_PER_GROUP = 1 << 8


class UnitWriter:
    """Takes the batches of one unit in order; `commit` at the end. Memory does not grow with it.

    output: the build's folder. unit: the name all files of the unit share.
    max_shard_tokens: as in TokenizeSettings.
    """

    def __init__(
        self, output: str, unit: str, dtype: np.dtype[Any], max_shard_tokens: int | None
    ) -> None:
        self._output = output.rstrip("/")
        self._unit = unit
        self._dtype = dtype
        self._max_shard_tokens = max_shard_tokens
        self._documents = self._log("documents", DOCUMENTS_SCHEMA, _DOCUMENT_ROWS_PER_GROUP)
        self._rejects: ParquetLog | None = None
        self._shard: TokenShard | None = None
        self._finished: list[tuple[StagedFile, ShardEntry]] = []
        self._records = 0
        self._reject_counts: Counter[str] = Counter()
        self._text_bytes = 0
        self._special_token_texts = 0

    def write(self, batch: RecordBatch, encoded: EncodedDocuments) -> None:
        """Adds the batch's documents as encoded, and its rejects.

        Documents that are empty or not UTF-8 become rejects here. Raises BooksError when the
        batch does not account for each of its records.
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

    def commit(
        self,
        *,
        fingerprint: str,
        settings: dict[str, Any],
        input_bytes: int,
        input_sha256: str,
        records: int,
    ) -> Receipt:
        """Publishes every file, then the receipt; `records` is the reader's own count.

        Raises BooksError when the books do not balance; then nothing of the unit is published.
        """
        self._finish_shard()
        documents = self._documents.finish(f"documents/{self._unit}.parquet")
        rejects = None
        if self._rejects is not None:
            rejects = self._rejects.finish(f"rejects/{self._unit}.parquet")
        shards = tuple(entry for _, entry in self._finished)
        books = InputBooks(
            path=self._unit,
            bytes=input_bytes,
            sha256=input_sha256,
            records=records,
            documents=documents.rows,
            rejects=dict(sorted(self._reject_counts.items())),
            tokens=sum(shard.tokens for shard in shards),
            text_bytes=self._text_bytes,
            special_token_texts=self._special_token_texts,
        )
        self._check(books, shards, rejects)
        for staged, _ in self._finished:
            staged.publish()
        for log in (self._documents, self._rejects):
            if log is not None:
                log.staged.publish()
        receipt = Receipt(
            fingerprint=fingerprint,
            settings=settings,
            input=books,
            shards=shards,
            documents=documents,
            rejects=rejects,
        )
        write_whole(f"{self._output}/{receipt_path(self._unit)}", receipt.to_json())
        return receipt

    def __enter__(self) -> "UnitWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for part in (self._shard, self._documents, self._rejects):
            if part is not None:
                part.close()
                part.staged.__exit__(kind, error, trace)
        for staged, _ in self._finished:
            staged.__exit__(kind, error, trace)

    def _check(
        self, books: InputBooks, shards: Sequence[ShardEntry], rejects: IndexEntry | None
    ) -> None:
        books.check()
        counts = (
            ("records", books.records, self._records),
            ("documents", books.documents, sum(shard.documents for shard in shards)),
            ("rejects", sum(books.rejects.values()), rejects.rows if rejects else 0),
        )
        for what, expected, found in counts:
            if expected != found:
                raise BooksError(f"{self._unit}: {what}: expected {expected}, wrote {found}")

    def _log(self, kind: str, schema: pa.Schema, rows_per_group: int) -> ParquetLog:
        path = f"{self._output}/{kind}/{self._unit}.parquet"
        return ParquetLog(StagedFile(path), schema, rows_per_group)

    def _write_rejects(self, rejects: Sequence[Reject]) -> None:
        if self._rejects is None:
            self._rejects = self._log("rejects", REJECTS_SCHEMA, _REJECT_ROWS_PER_GROUP)
        self._rejects.append(
            {
                "record": [reject.record for reject in rejects],
                "byte_offset": [reject.byte_offset for reject in rejects],
                "reason": [reject.reason.value for reject in rejects],
                "detail": [reject.detail for reject in rejects],
                "excerpt": [reject.excerpt for reject in rejects],
            }
        )
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
            "text_xxh3": encoded.text_xxh3,
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
            shard.append(encoded.tokens[begin_token:end_token], last - first)
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
                if last == first and written:
                    self._finish_shard()
                    continue
                last = max(last, first + 1)  # alone larger than a shard: it gets one of its own
            yield first, last
            first = last

    def _open_shard(self) -> TokenShard:
        if self._shard is None:
            self._shard = TokenShard(StagedFile(self._shard_path()), self._dtype)
        return self._shard

    def _shard_path(self) -> str:
        part = "" if self._max_shard_tokens is None else f"-{len(self._finished):05d}"
        return f"{self._output}/tokens/{self._unit}{part}.npy"

    def _finish_shard(self) -> None:
        if self._shard is not None:
            path = self._shard.staged.final_path.removeprefix(f"{self._output}/")
            self._finished.append((self._shard.staged, self._shard.finish(path)))
            self._shard = None


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
