"""Checks what a build holds of one input: its files, its books, and every document in them.

    receipt ─► documents/<unit>.parquet   rows follow each other, sums are those of the books
            ─► tokens/<unit>.npy          ids ─ decode ─► text ─ encode ─► the same ids
            ─► rejects/<unit>.parquet     as many of each reason as in the books

Documents are checked in chunks of whole arrays: memory does not grow with the unit.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from tokenizer import Tokenizer
from transforms.errors import MismatchError
from transforms.passes.document_check import Chunk, DocumentCheck, chunks_of
from transforms.passes.findings import Findings, expect, expect_rows
from transforms.shards.build import Build
from transforms.shards.formats import shard_format
from transforms.shards.index import DOCUMENTS_SCHEMA, REJECTS_SCHEMA, read_rows
from transforms.shards.layout import receipt_path
from transforms.shards.receipt import IndexEntry, Receipt, ShardEntry
from transforms.shards.staged_file import digest_of


def check_unit(build: Build, receipt: Receipt, tokenizer: Tokenizer) -> list[str]:
    """Checks all files of a unit against its receipt, and each other; returns the differences.

    Of each shard the first difference is named.
    """
    findings = Findings()
    record_sum = 0
    with findings.collect(), build.local_copy(receipt.documents.path) as index:
        index_is_sound = False
        with findings.collect():
            _check_digest(index, receipt.documents)
            record_sum = _check_index(index, receipt)
            index_is_sound = True
        _check_shards(build, receipt, tokenizer, index if index_is_sound else None, findings)
    with findings.collect():
        if receipt.rejects is not None:
            record_sum += _check_rejects(build, receipt, receipt.rejects)
        elif receipt.input.rejects:
            raise MismatchError(f"{receipt_path(receipt.unit)}: rejects without a file")
    records = receipt.input.records
    if not findings.messages and record_sum != records * (records - 1) // 2:
        findings.messages.append(
            f"documents and rejects of {receipt.input.path}: expected each record from 0 to "
            f"{records - 1} once, found some twice and others never"
        )
    return findings.messages


def _check_size(local_path: str, entry: ShardEntry | IndexEntry) -> None:
    size = os.path.getsize(local_path)
    if size != entry.bytes:
        raise MismatchError(f"{entry.path}: expected {entry.bytes} bytes, found {size}")


def _check_digest(local_path: str, entry: ShardEntry | IndexEntry) -> None:
    _check_size(local_path, entry)
    found = digest_of(local_path).sha256
    if found != entry.sha256:
        raise MismatchError(f"{entry.path}: expected SHA-256 {entry.sha256}, found {found}")


def _check_index(index: str, receipt: Receipt) -> int:
    """Documents lie one after the other, shard by shard; returns the sum of record numbers."""
    place, books = receipt.documents.path, receipt.input
    tokens = np.zeros(len(receipt.shards), np.int64)
    documents = np.zeros(len(receipt.shards), np.int64)
    rows = text_bytes = record_sum = 0
    previous = {"record": -1, "shard": -1, "end": 0}
    names = ("record", "shard", "start", "length", "text_bytes")
    for batch in read_rows(index, place, DOCUMENTS_SCHEMA, names):
        columns = {name: batch.column(name).to_numpy() for name in names}
        numbers = range(rows, rows + len(batch))
        _check_order(place, numbers, columns, previous, books.records, len(receipt.shards))
        np.add.at(tokens, columns["shard"], columns["length"])
        np.add.at(documents, columns["shard"], 1)
        rows += len(batch)
        text_bytes += int(columns["text_bytes"].sum())
        record_sum += int(columns["record"].sum())
    expect(place, "rows", receipt.documents.rows, rows)
    expect(place, "documents", books.documents, rows)
    expect(place, "sum of text_bytes", books.text_bytes, text_bytes)
    limit = receipt.settings["shards"]["max_tokens"]
    for number, shard in enumerate(receipt.shards):
        expect(place, f"documents in {shard.path}", shard.documents, int(documents[number]))
        expect(place, f"tokens in {shard.path}", shard.tokens, int(tokens[number]))
        if limit is not None and shard.tokens > limit and shard.documents > 1:
            raise MismatchError(f"{shard.path}: {shard.tokens} tokens, more than {limit}")
    expect(place, "tokens of the unit", books.tokens, int(tokens.sum()))
    return record_sum


def _check_order(
    place: str,
    rows: range,
    columns: Mapping[str, npt.NDArray[Any]],
    previous: dict[str, int],
    records: int,
    shards: int,
) -> None:
    """Rows continue those before them; `previous` is moved on to the last one."""
    place = f"{place}: row"
    record, shard, start = columns["record"], columns["shard"], columns["start"]
    ends = start + columns["length"]
    before = np.concatenate([[previous["shard"]], shard[:-1]])
    follows = (shard == before) | (shard == before + 1)
    expect_rows(place, rows, "shard", np.where(follows, shard, before), shard)
    expect_rows(place, rows, "shard", np.minimum(shard, shards - 1), shard)
    reached = np.concatenate([[previous["end"]], ends[:-1]])
    expect_rows(place, rows, "start", np.where(shard == before, reached, 0), start)
    lowest = np.concatenate([[previous["record"]], record[:-1]]) + 1
    expected = np.clip(record, lowest, np.maximum(lowest, records - 1))
    expect_rows(place, rows, "record", expected, record)
    previous.update(record=int(record[-1]), shard=int(shard[-1]), end=int(ends[-1]))


def _check_shards(
    build: Build, receipt: Receipt, tokenizer: Tokenizer, index: str | None, findings: Findings
) -> None:
    """Checks each shard, and its documents where the index can be trusted."""
    if index is None:
        groups: Iterator[tuple[int, Iterator[Chunk]]] = iter(())
    else:
        place = receipt.documents.path
        groups = groupby(chunks_of(index, place), key=lambda chunk: chunk.shard)
    content = DocumentCheck(receipt, tokenizer)
    for entry in receipt.shards:
        _, chunks = next(groups, (0, iter(())))
        with findings.collect(), build.local_copy(entry.path) as local_path:
            _check_size(local_path, entry)
            with findings.collect():
                _check_digest(local_path, entry)
            expect(entry.path, "dtype", tokenizer.dtype.str, entry.dtype)
            shard = shard_format(entry.format).open(local_path, entry)
            for chunk in chunks:
                content.check(shard, entry.path, chunk)
    # Special tokens' texts are counted where the texts are those of the documents.
    counted = content.special_token_texts is not None
    if index is not None and counted and not findings.messages:
        with findings.collect():
            expect(
                receipt_path(receipt.unit),
                "special_token_texts",
                content.special_token_texts,
                receipt.input.special_token_texts,
            )


def _check_rejects(build: Build, receipt: Receipt, entry: IndexEntry) -> int:
    """As many rejects of each reason as the books say; returns the sum of record numbers."""
    with build.local_copy(entry.path) as local_path:
        _check_digest(local_path, entry)
        counts: Counter[str] = Counter()
        rows = record_sum = lost_bytes = 0
        lowest = 0
        for batch in read_rows(
            local_path, entry.path, REJECTS_SCHEMA, ("record", "reason", "lost_bytes")
        ):
            lost_bytes += pc.sum(batch.column("lost_bytes")).as_py() or 0
            record = batch.column("record").to_numpy()
            expected = np.maximum(record, np.concatenate([[lowest], record[:-1] + 1]))
            expect_rows(
                f"{entry.path}: row", range(rows, rows + len(batch)), "record", expected, record
            )
            lowest = int(record[-1]) + 1
            for value in batch.column("reason").value_counts().to_pylist():
                counts[value["values"]] += value["counts"]
            rows += len(batch)
            record_sum += int(record.sum())
    expect(entry.path, "rows", entry.rows, rows)
    expect(entry.path, "sum of lost_bytes", receipt.input.lost_bytes, lost_bytes)
    expect(
        entry.path, "rejects by reason", dict(receipt.input.rejects), dict(sorted(counts.items()))
    )
    return record_sum
