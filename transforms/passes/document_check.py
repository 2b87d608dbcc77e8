"""Checks the tokens of documents, as far as they can be checked without the input.

    ids ─ each below the vocabulary size; begin and end of text where they belong, nowhere else
     ├► lossless tokenizer ─► decode ─► text ─ UTF-8, of the size and hash in the index
     │                                    └► encode ─► the same ids
     └► any other ─► what they spell ─► model ─► the same ids

A tokenizer that normalizes text, or puts something before it, does not give it back: then the ids
must be those of the text that they spell, which need not be that of the document. Only reading the
input again shows more (`retokenize`). `tokenizer.route` has the argument, and which documents of
some vocabularies not even this decides.

All of it on whole arrays, a chunk of documents at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer import Tokenizer, text_hashes
from transforms.errors import MismatchError
from transforms.passes.findings import expect_rows
from transforms.shards.formats import ShardReader
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.receipt import Receipt

_CHUNK_TOKENS = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive documents of one shard: their rows in the index."""

    shard: int
    rows: range
    columns: Mapping[str, npt.NDArray[Any]]


def chunks_of(index: str, place: str) -> Iterator[Chunk]:
    """The documents in order, about _CHUNK_TOKENS tokens at a time, never of two shards."""
    names = ("shard", "start", "length", "text_bytes", "text_xxh3")
    rows = 0
    for batch in read_rows(index, place, DOCUMENTS_SCHEMA, names):
        columns = {name: batch.column(name).to_numpy() for name in names}
        ends = np.cumsum(columns["length"])
        first = 0
        while first < len(batch):
            shard = columns["shard"][first]
            before = int(ends[first - 1]) if first else 0
            full = int(np.searchsorted(ends, before + _CHUNK_TOKENS, side="right"))
            other = int(np.searchsorted(columns["shard"], shard, side="right"))
            last = max(min(full, other), first + 1)
            part = {name: column[first:last] for name, column in columns.items()}
            yield Chunk(int(shard), range(rows + first, rows + last), part)
            first = last
        rows += len(batch)


class DocumentCheck:
    """Checks one unit's documents.

    Attributes:
        special_token_texts: how many are in their texts; None where the texts can not be had.
    """

    def __init__(self, receipt: Receipt, tokenizer: Tokenizer) -> None:
        self.special_token_texts: int | None = 0 if tokenizer.is_lossless else None
        self._index_path = receipt.documents.path
        self._tokenizer = tokenizer
        self._begin: int | None = receipt.settings["tokenizer"]["begin_of_text"]
        self._end: int | None = receipt.settings["tokenizer"]["end_of_text"]
        self._frame = (self._begin is not None) + (self._end is not None)

    def check(self, shard: ShardReader, shard_path: str, chunk: Chunk) -> None:
        """Raises MismatchError, naming the document, at the first difference."""
        columns = chunk.columns
        first, lengths = int(columns["start"][0]), columns["length"]
        ids = shard.read(first, first + int(lengths.sum()))
        ends = np.cumsum(lengths)
        place = f"{shard_path}: {self._index_path}: row"
        bounds = self._tokenizer.vocabulary_size
        self._expect_ids(place, chunk, ends, np.minimum(ids, bounds - 1), ids, f"an id < {bounds}")
        inside = self._inside(place, chunk, ids, ends)
        plain = ids[inside]
        is_ordinary = self._tokenizer.document_ids[plain]
        if not is_ordinary.all():
            at = int(np.flatnonzero(inside)[int((~is_ordinary).argmax())])
            self._differ(place, chunk, ends, at, "an ordinary token inside a document", ids[at])
        offsets = np.concatenate([[0], ends - self._frame * np.arange(1, len(ends) + 1)])
        if not self._tokenizer.is_lossless:
            self._check_spelling(place, chunk, ids, plain, offsets)
            return
        widths = self._tokenizer.decoded_lengths(plain)
        text_offsets = np.concatenate([[0], np.cumsum(widths)])[offsets]
        expect_rows(
            place,
            chunk.rows,
            "bytes of text in the tokens",
            columns["text_bytes"],
            np.diff(text_offsets),
        )
        self._check_text(place, chunk, ids, self._tokenizer.decode_bytes(plain), text_offsets)

    def _check_spelling(
        self,
        place: str,
        chunk: Chunk,
        ids: npt.NDArray[Any],
        plain: npt.NDArray[Any],
        offsets: npt.NDArray[np.int64],
    ) -> None:
        """The ids of each document are what the model gives for the text that they spell."""
        again = self._tokenizer.reencode(
            plain, offsets, begin_of_text=self._begin, end_of_text=self._end, dtype=ids.dtype
        )
        if np.array_equal(again.tokens, ids):
            return
        ends = np.cumsum(chunk.columns["length"])
        for row in np.flatnonzero(again.certain).tolist():
            first, last = int(ends[row] - chunk.columns["length"][row]), int(ends[row])
            expected = again.tokens[again.offsets[row] : again.offsets[row + 1]]
            shorter = min(last - first, len(expected))
            wrong = np.flatnonzero(expected[:shorter] != ids[first : first + shorter])
            if wrong.size:
                at = int(wrong[0])
                self._differ(place, chunk, ends, first + at, f"id {expected[at]}", ids[first + at])
            rows = range(chunk.rows[row], chunk.rows[row] + 1)
            lengths = np.array([len(expected)]), np.array([last - first])
            expect_rows(place, rows, "tokens of the text that they spell", *lengths)

    def _inside(
        self, place: str, chunk: Chunk, ids: npt.NDArray[Any], ends: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Which ids lie between begin and end of text; both must be where they belong."""
        lengths = chunk.columns["length"]
        shortest = np.maximum(lengths, self._frame + 1)
        expect_rows(place, chunk.rows, "length", shortest, lengths)
        inside = np.ones(len(ids), np.bool_)
        for name, token, at in (
            ("begin-of-text", self._begin, ends - lengths),
            ("end-of-text", self._end, ends - 1),
        ):
            if token is not None:
                expected = np.full(len(at), token, ids.dtype)
                expect_rows(place, chunk.rows, name, expected, ids[at])
                inside[at] = False
        return inside

    def _check_text(
        self,
        place: str,
        chunk: Chunk,
        ids: npt.NDArray[Any],
        text: bytes,
        text_offsets: npt.NDArray[np.int64],
    ) -> None:
        """The decoded texts are UTF-8, have their hash, and encode to the same ids."""
        documents = pa.LargeStringArray.from_buffers(
            len(text_offsets) - 1, pa.py_buffer(text_offsets), pa.py_buffer(text)
        )
        encoded = self._tokenizer.encode_documents(
            documents, begin_of_text=self._begin, end_of_text=self._end, dtype=ids.dtype
        )
        expect_rows(place, chunk.rows, "is UTF-8", np.ones_like(encoded.valid), encoded.valid)
        hashes = text_hashes(documents)
        expect_rows(place, chunk.rows, "text_xxh3", chunk.columns["text_xxh3"], hashes)
        lengths = np.diff(encoded.offsets)
        ends = np.cumsum(chunk.columns["length"])
        if not np.array_equal(encoded.tokens, ids):
            shorter = min(len(ids), len(encoded.tokens))
            self._expect_ids(place, chunk, ends, encoded.tokens[:shorter], ids[:shorter])
        expect_rows(place, chunk.rows, "tokens of the text", lengths, chunk.columns["length"])
        found = int(encoded.special_token_texts.sum())
        self.special_token_texts = (self.special_token_texts or 0) + found

    def _expect_ids(
        self,
        place: str,
        chunk: Chunk,
        ends: npt.NDArray[np.int64],
        expected: npt.NDArray[Any],
        found: npt.NDArray[Any],
        what: str | None = None,
    ) -> None:
        wrong = expected != found
        if wrong.any():
            at = int(wrong.argmax())
            self._differ(place, chunk, ends, at, what or f"id {expected[at]}", found[at])

    def _differ(
        self,
        place: str,
        chunk: Chunk,
        ends: npt.NDArray[np.int64],
        at: int,
        expected: str,
        found: Any,
    ) -> None:
        """Raises MismatchError for the chunk's token number `at`."""
        row = int(np.searchsorted(ends, at, side="right"))
        token = at - int(ends[row] - chunk.columns["length"][row])
        raise MismatchError(
            f"{place} {chunk.rows[row]}: token {token}: expected {expected}, found id {found}"
        )
