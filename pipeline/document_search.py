"""Finding a document of a build: by its id, by its place in a shard, or just the first."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.layout import documents_path
from transforms.shards.manifest import Manifest


def find_first(source: Build, manifest: Manifest) -> tuple[str, dict[str, Any]]:
    """Unit and index row of the first document of a build.

    Raises:
        MismatchError: it has none.
    """
    for book in manifest.inputs:
        if book.documents:
            return book.path, _row(source, book.path, 0)
    raise MismatchError(f"{source.root}: the build has no document")


def find_by_id(
    source: Build, manifest: Manifest, document_id: str
) -> tuple[str, dict[str, Any], int]:
    """Unit and index row of the first document of that id, and how many there are.

    Raises:
        MismatchError: there is none.
    """
    first: tuple[str, int] | None = None
    count = 0
    for unit in manifest.units:
        row = 0
        for batch in _index_rows(source, unit, ["id"]):
            same = pc.equal(batch.column("id"), document_id)
            if first is None and (at := pc.index(same, True).as_py()) >= 0:
                first = unit, row + at
            count += pc.sum(same).as_py() or 0
            row += len(batch)
    if first is None:
        raise MismatchError(
            f"{source.root}: no document has the id {document_id!r}: look one up in documents/, "
            "or name it by its shard and its index"
        )
    return first[0], _row(source, *first), count


def find_by_place(
    source: Build, manifest: Manifest, shard: str, index: int
) -> tuple[str, dict[str, Any]]:
    """Unit and index row of document number `index`, from 0, of a shard.

    Raises:
        MismatchError: there is none.
    """
    if not any(entry.path == shard for entry in manifest.shards):
        example = manifest.shards[0].path if manifest.shards else "none at all"
        raise MismatchError(f"{source.root}: no shard {shard!r}: there is for example {example}")
    for unit in manifest.units:
        earlier = 0
        for entry in source.receipt(unit).shards:
            if entry.path == shard:
                if index >= entry.documents:
                    raise MismatchError(
                        f"{shard}: no document {index}: it holds {entry.documents}, counted from 0"
                    )
                return unit, _row(source, unit, earlier + index)
            earlier += entry.documents
    raise MismatchError(f"{shard}: no receipt names it")


def _index_rows(
    source: Build, unit: str, columns: Sequence[str] = DOCUMENTS_SCHEMA.names
) -> Iterator[pa.RecordBatch]:
    path = documents_path(unit)
    with source.local_copy(path) as local_path:
        yield from read_rows(local_path, path, DOCUMENTS_SCHEMA, columns)


def _row(source: Build, unit: str, number: int) -> dict[str, Any]:
    for batch in _index_rows(source, unit):
        if number < len(batch):
            row: dict[str, Any] = batch.slice(number, 1).to_pylist()[0]
            return row
        number -= len(batch)
    raise MismatchError(f"{documents_path(unit)}: {number + 1} rows less than expected")
