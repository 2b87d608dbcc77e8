"""The global shuffle: documents in the order of a hash, by two passes over files.

    hash of (seed, unit, record), 64 bits: where a document belongs among all of its split

    0 ─────────────────────────────── hash ────────────────────────────── 2^64
    │     shard 0     │     shard 1     │     shard 2     │     shard 3    │
    │ part │ part │...│ part │ part │...│                        a part: about block_tokens ids

    build ─ blocks of documents ─► scatter: sorted by part ─► shuffle/tokens/blocks/000007.bin
                                                              shuffle/documents/blocks/000007.arrow
    part k of every block ─► gather: sorted by hash ─► the shard, part after part

Every document's place follows from (seed, document): inputs in another order, more workers or
another block size give the same bytes. Memory: one block, or one part, of about `block_tokens`.
A block's rows are an Arrow file with one record batch a part, so that gathering reads of each block
one batch and one range of ids, however many parts there are.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.exports.hashes import Hashes, mixed
from transforms.exports.source import DocumentChunk
from transforms.filesystem import open_raw
from transforms.shards.build import Build
from transforms.shards.layout import block_paths

BLOCK_TOKENS = 1 << 25
"""Ids of a block, and about of a part: 128 MiB as uint32, twice that while they are sorted."""

ROWS_SCHEMA = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # first id in the block's file
        pa.field("length", pa.int64(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("text_xxh3", pa.uint64(), nullable=False),
    ]
)


def document_hashes(seed: int, unit: str, record: npt.NDArray[np.int64]) -> Hashes:
    """Where the documents of a unit belong: a function of seed, unit and record alone."""
    digest = hashlib.sha256(f"shuffle\0{seed}\0{unit}".encode()).digest()
    return mixed(record.astype(np.uint64), int.from_bytes(digest[:8], "little"))


def copy_hashes(hashes: Hashes, copies: npt.NDArray[np.int64]) -> Hashes:
    """Where each copy of documents belongs: the first where the document does, others elsewhere."""
    every = np.repeat(hashes, copies)
    number = np.arange(len(every)) - np.repeat(np.cumsum(copies) - copies, copies)
    return np.where(number == 0, every, mixed(every, 1) + mixed(number.astype(np.uint64), 2))


@dataclass(frozen=True, slots=True)
class Grid:
    """How the hashes of each split are shared out to shards, and those of a shard to parts.

    Attributes:
        shards: of each split, by its number. parts: of each of its shards. block_tokens: of a
            block.
    """

    shards: tuple[int, ...]
    parts: tuple[int, ...]
    block_tokens: int = BLOCK_TOKENS

    @property
    def total(self) -> int:
        """Parts of all splits."""
        return sum(s * p for s, p in zip(self.shards, self.parts, strict=True))

    def parts_of(self, codes: npt.NDArray[np.int8], hashes: Hashes) -> npt.NDArray[np.int64]:
        """The part that each document is in, among those of all splits."""
        counts = np.array(self.shards, np.int64) * np.array(self.parts, np.int64)
        firsts = np.cumsum(counts) - counts
        # The upper half of the hash times the count, without a fraction: it ascends with the hash.
        inside = (hashes >> np.uint64(32)) * counts[codes].astype(np.uint64) >> np.uint64(32)
        found: npt.NDArray[np.int64] = firsts[codes] + inside.astype(np.int64)
        return found

    def parts_of_shard(self, code: int, number: int) -> range:
        """The parts of one shard, in order."""
        before = sum(s * p for s, p in zip(self.shards[:code], self.parts[:code], strict=True))
        first = before + number * self.parts[code]
        return range(first, first + self.parts[code])


def make_grid(tokens: Sequence[int], max_tokens: int | None, block_tokens: int) -> Grid:
    """Shards of about max_tokens, parts of about block_tokens.

    Args:
        tokens: of each split. max_tokens: of a shard; None: one a split.
    """
    shards = [max(1, -(-count // max_tokens)) if max_tokens else 1 for count in tokens]
    parts = [
        max(1, -(-count // (n * block_tokens))) for count, n in zip(tokens, shards, strict=True)
    ]
    return Grid(tuple(shards), tuple(parts), block_tokens)


def block_name(number: int) -> str:
    """What a block's files are called after."""
    return f"blocks/{number:06d}"


def scattered(
    chunks: Sequence[DocumentChunk],
    documents: npt.NDArray[np.int64],
    parts: npt.NDArray[np.int64],
    hashes: Hashes,
    total: int,
) -> Iterator[tuple[npt.NDArray[Any], pa.RecordBatch]]:
    """The ids and rows of each part in turn, of a block that is in memory.

    Args:
        chunks: of the block. documents: the number in it of each that is wanted, one that is
            wanted twice twice. parts, hashes: of each of those. total: of all parts.
    """
    ids = np.concatenate([chunk.ids for chunk in chunks])
    lengths = np.concatenate([chunk.lengths for chunk in chunks])
    table = pa.Table.from_batches([chunk.rows for chunk in chunks])
    units = pa.concat_arrays([chunk.units for chunk in chunks])
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(parts, kind="stable")
    bounds = np.searchsorted(parts[order], np.arange(total + 1))
    written = 0
    for part in range(total):
        chosen = order[bounds[part] : bounds[part + 1]]
        rows = documents[chosen]
        own = take_documents(ids, starts[rows], lengths[rows])
        place = written + np.cumsum(lengths[rows]) - lengths[rows]
        picked = table.take(pa.array(rows)).combine_chunks()
        columns = [
            pa.array(hashes[chosen]),
            pa.array(place),
            pa.array(lengths[rows]),
            units.take(pa.array(rows)),
            *(_whole(picked.column(name)) for name in ("record", "id", "url", "text_xxh3")),
        ]
        yield own, pa.RecordBatch.from_arrays(columns, schema=ROWS_SCHEMA)
        written += len(own)


def gathered(
    place: Build, blocks: int, parts: range, dtype: np.dtype[Any], *, has_ids: bool = True
) -> Iterator[DocumentChunk]:
    """The documents of a shard in the order of their hashes, a part at a time.

    Args:
        place: the folder of the shuffle. blocks: how many there are. parts: of the shard.
        dtype: of the ids in the blocks. has_ids: as in read_spans.
    """
    read = _read_part if has_ids else _read_lengths
    for part in parts:
        found = [read(place, block_name(number), part, dtype) for number in range(blocks)]
        ids = np.concatenate([np.zeros(0, dtype), *(ids for ids, _ in found)])
        table = pa.Table.from_batches([rows for _, rows in found], ROWS_SCHEMA)
        lengths = _whole(table.column("length")).to_numpy()
        starts = np.cumsum(lengths) - lengths
        # Blocks follow each other in the order of documents, which is what decides between equals.
        order = np.argsort(_whole(table.column("hash")).to_numpy(), kind="stable")
        if len(order):
            rows = table.take(pa.array(order)).combine_chunks().to_batches()[0]
            own = take_documents(ids, starts[order], lengths[order])
            yield DocumentChunk(rows.column("unit"), own, lengths[order], rows)


def take_documents(
    ids: npt.NDArray[Any], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    """The ids of documents, one after the other, wherever each begins.

    >>> take_documents(np.array([1, 2, 3, 4]), np.array([2, 0]), np.array([2, 1])).tolist()
    [3, 4, 1]
    """
    result = np.empty(int(lengths.sum()), ids.dtype)
    at = 0
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        result[at : at + length] = ids[start : start + length]
        at += length
    return result


def _read_part(
    place: Build, name: str, part: int, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[Any], pa.RecordBatch]:
    ids_path, _ = block_paths(name)
    none, rows = _read_lengths(place, name, part, dtype)
    if not len(rows):
        return none, rows
    start = rows.column("start")[0].as_py()
    count = rows.column("start")[-1].as_py() + rows.column("length")[-1].as_py() - start
    with open_raw(place.path(ids_path)) as file:
        file.seek(start * dtype.itemsize)
        return np.frombuffer(file.read(count * dtype.itemsize), dtype), rows


def _read_lengths(
    place: Build, name: str, part: int, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[Any], pa.RecordBatch]:
    """The same with 0 for every id."""
    _, rows_path = block_paths(name)
    with open_raw(place.path(rows_path)) as file, pa.ipc.open_file(file) as reader:
        rows = reader.get_batch(part)
    return np.zeros(int(rows.column("length").to_numpy().sum()), dtype), rows


def _whole(column: Any) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
