"""Does a unit again, beside the build, and compares: books, indexes, rejects, every id.

    input ─ tokenize_unit ─► a scratch build ─┐
                                              ├ the same books, rows and ids?
    the build that is checked ────────────────┘

Which units are done again is a function of (fingerprint, unit), so that a check can be repeated.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import BooksError, MismatchError, UnitFailedError
from transforms.filesystem import look_up
from transforms.passes.findings import expect
from transforms.passes.tokenize import tokenize_unit
from transforms.passes.work_pass import WorkUnit, is_fatal
from transforms.settings import read_settings_of, shard_settings_of
from transforms.shards.build import Build
from transforms.shards.index import DOCUMENTS_SCHEMA, REJECTS_SCHEMA, read_rows
from transforms.shards.receipt import IndexEntry, Receipt, ShardEntry
from transforms.stores.scratch import scratch_folder

_CHUNK_TOKENS = 1 << 20


def chosen_units(fingerprint: str, units: Sequence[str], fraction: float) -> set[str]:
    """A share of the units, at least one where `fraction` is above 0; a larger share holds it.

    Args:
        fingerprint: of the build. fraction: 0 to 1.
    """

    def place(unit: str) -> bytes:
        return hashlib.sha256(f"{fingerprint}\0{unit}".encode()).digest()

    return set(sorted(units, key=place)[: math.ceil(fraction * len(units))])


def retokenize_unit(source: Build, receipt: Receipt, path: str, tokenizer: Tokenizer) -> None:
    """Does the unit again from its input and compares all of it.

    Memory: a few batches; room among the temporary files: what the unit's own files take.

    Raises:
        MismatchError: the first difference; the input can not be read, or is another.
    """
    place = f"{path}: not the input that was tokenized"
    part = receipt.input.part
    found = look_up(path)
    if found is not None and part is None:
        expect(place, "bytes", receipt.input.bytes, found.size_bytes)
    with scratch_folder() as folder:
        scratch = Build.at(str(folder), "again")
        unit = WorkUnit(receipt.unit, path, receipt.input.bytes, part=part)
        try:
            again = tokenize_unit(
                unit,
                scratch,
                tokenizer,
                receipt.settings,
                read_settings_of(receipt.settings),
                shard_settings_of(receipt.settings),
            )
        except (UnitFailedError, BooksError) as error:
            raise MismatchError(f"{path}: {error}") from error
        except (OSError, ConfigurationError) as error:
            if is_fatal(error):  # the scratch folder is full: that says nothing of the build
                raise
            raise MismatchError(
                f"{path}: can not read the input again: {error}. "
                "Say where the inputs are now as input_root"
            ) from error
        # A difference in a document means little where another file lies in the input's place.
        expect(place, "SHA-256", again.input.sha256, receipt.input.sha256)
        made_with = f"{path}: made by another version, so that its text may differ"
        expect(
            made_with, "html_extractor", receipt.input.html_extractor, again.input.html_extractor
        )
        _compare_indexes(source, receipt, scratch, again)
        _compare_shards(source, receipt, scratch, again)
        expect(f"books of {receipt.unit}", "input", again.input, receipt.input)


def _compare_indexes(source: Build, receipt: Receipt, scratch: Build, again: Receipt) -> None:
    _compare_rows(source, receipt.documents, scratch, again.documents, DOCUMENTS_SCHEMA)
    if receipt.rejects is not None and again.rejects is not None:
        _compare_rows(source, receipt.rejects, scratch, again.rejects, REJECTS_SCHEMA)
    else:
        expect(f"rejects of {receipt.unit}", "file", again.rejects, receipt.rejects)


def _compare_rows(
    source: Build, entry: IndexEntry, scratch: Build, again: IndexEntry, schema: pa.Schema
) -> None:
    """The same rows; not the same bytes, which another version of pyarrow writes otherwise."""
    if entry.sha256 == again.sha256:
        return
    with source.local_copy(entry.path) as held, scratch.local_copy(again.path) as anew:
        pairs = zip(_rows(held, entry.path, schema), _rows(anew, again.path, schema), strict=False)
        for found, expected in pairs:
            if found != expected:
                number = expected["record"]
                for name in schema.names:
                    expect(f"{entry.path}: record {number}", name, expected[name], found[name])
    expect(entry.path, "rows", again.rows, entry.rows)


def _rows(local_path: str, path: str, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    for batch in read_rows(local_path, path, schema, schema.names):
        yield from batch.to_pylist()


def _compare_shards(source: Build, receipt: Receipt, scratch: Build, again: Receipt) -> None:
    expect(f"shards of {receipt.unit}", "number", len(again.shards), len(receipt.shards))
    for held, anew in zip(receipt.shards, again.shards, strict=True):
        if held.sha256 == anew.sha256:
            continue
        pairs = zip(_tokens(source, held), _tokens(scratch, anew), strict=False)
        for first, (found, expected) in enumerate(pairs):
            shorter = min(len(found), len(expected))
            wrong = np.flatnonzero(found[:shorter] != expected[:shorter])
            if len(wrong):
                at = int(wrong[0])
                place = f"{held.path}: token {first * _CHUNK_TOKENS + at}"
                expect(place, "id", int(expected[at]), int(found[at]))
        expect(held.path, "tokens", anew.tokens, held.tokens)


def _tokens(build: Build, entry: ShardEntry) -> Iterator[npt.NDArray[np.int64]]:
    with build.open_shard(entry) as shard:
        for start in range(0, entry.tokens, _CHUNK_TOKENS):
            yield shard.read(start, min(start + _CHUNK_TOKENS, entry.tokens)).astype(np.int64)
