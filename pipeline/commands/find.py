"""`tokenmill find`: where a token came from, and where a document is, in builds and exports.

--at train/000003.bin:4711 ─► the shard's index ─► unit, record, id, URL
--id, --url                ─► every index       ─► shards and positions
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import exit_codes
from pipeline.options import add_common
from pipeline.report import as_json
from pipeline.terminal import escaped, say, show
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.exports.index import EXPORT_SCHEMA
from transforms.exports.records import read_export_manifest
from transforms.shards.build import Build
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.json_records import is_export
from transforms.shards.layout import TOKENS
from transforms.shards.mark import read_mark

HELP = "Find where a token came from, or where a document is."
EXAMPLES = """\
  tokenmill find shards --id en-0010996
  tokenmill find train --at train/000003.bin:4711
  tokenmill find train --url https://example.org/ --json"""
TAKES_BEAM_FLAGS = False


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds every option of the command."""
    command.add_argument("directory", metavar="DIR", help="a complete build or export")
    add = command.add_argument_group("what to find, one of them").add_argument
    add(
        "--at",
        metavar="SHARD:POSITION",
        help="the document at a position of a shard, in ids, from 0 (default: go by --id or --url)",
    )
    add("--id", metavar="ID", help="all documents of that id (default: go by --at or --url)")
    add("--url", metavar="URL", help="all documents of that URL (default: go by --at or --id)")
    add_common(command)


def run(options: argparse.Namespace, _: object) -> int:
    """The command; returns its exit code."""
    return find(
        options.directory,
        at=options.at,
        document=options.id,
        url=options.url,
        json=options.json,
    )


@dataclass(frozen=True, slots=True)
class Place:
    """A document and where it is.

    Attributes:
        shard: the path of its file, below the folder. index: its number among the shard's
            documents, from 0. start, length: in ids of the shard; offset: the first id of
            the document that is there: 0, but where sequences cut it.
        token: the number of the id that was asked for, from the document's first; None: no id was.
        unit, record: of the build, and the record in it, from 0. Where an input was read in parts,
            a unit is a part, `a.jsonl/part-00001`, and records count from where that begins.
        input: the name of the whole input; None in an export, which does not tell what is a part.
        id, url: of the document, where it has any.
    """

    shard: str
    index: int
    start: int
    length: int
    offset: int
    token: int | None
    unit: str
    record: int
    input: str | None
    id: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class _Index:
    """An index of documents. unit, input: of all its rows; None: a column says the unit. shards: by
    number."""

    path: str
    schema: pa.Schema
    unit: str | None
    input: str | None
    shards: tuple[str, ...]


def find(
    directory: str,
    *,
    at: str | None = None,
    document: str | None = None,
    url: str | None = None,
    json: bool = False,
) -> int:
    """Prints the places that are asked for; returns 0, or 1 when there is none.

    Args:
        directory: a complete build or export.
        at: a shard and a position in it, `SHARD:POSITION`. document: an id. url: a URL.
        json: print one JSON object, whose `places` are all of them.

    Raises:
        ConfigurationError: not one of the three is asked for.
        MismatchError: there is no such shard or position.
    """
    if sum(one is not None for one in (at, document, url)) != 1:
        raise ConfigurationError("name one: a place, an id, or a URL", setting="at")
    build = Build.at(directory)
    if at is not None:
        places: Iterator[Place] = iter([place_of_token(build, at)])
    elif document is not None:
        places = places_of(build, "id", document)
    else:
        places = places_of(build, "url", str(url))
    count = 0
    if json:
        every = [asdict(place) for place in places]
        show(as_json({"places": every}))
        count = len(every)
    else:
        for place in places:
            count += 1
            show(_text(place))
    if not count:
        what = "id" if document is not None else "URL"
        say(f"tokenmill: {escaped(directory)}: no document has that {what}")
        return exit_codes.FAILED
    return exit_codes.COMPLETE


def place_of_token(build: Build, at: str) -> Place:
    """The document that a token of a shard is of.

    Args:
        build: a build or an export.
        at: `SHARD:POSITION`; the shard as manifest and receipts name it, with or without
            `tokens/`; positions count ids from 0, without whatever header its file has.

    Raises:
        ConfigurationError: it is not of that form.
        MismatchError: there is no such shard or position.
    """
    name, colon, digits = at.rpartition(":")
    if not colon or not digits.isascii() or not digits.isdigit():
        raise ConfigurationError(f"expected SHARD:POSITION, found {at!r}", setting="at")
    position = int(digits)
    wanted = {name, f"{TOKENS}/{name}"}
    for index in _indexes(build):
        for number, shard in enumerate(index.shards):
            if shard in wanted:
                return _place_in(build, index, number, position)
    raise MismatchError(f"{build.root}: no shard {name!r}: its manifest lists those there are")


def places_of(build: Build, column: str, value: str) -> Iterator[Place]:
    """Every document whose id or URL that is, in the order of shards."""
    for index in _indexes(build):
        seen = np.zeros(len(index.shards), np.int64)
        for rows in _rows(build, index):
            shard = _shard_numbers(rows, index)
            for row in np.flatnonzero(
                pc.fill_null(pc.equal(rows.column(column), value), False).to_numpy(
                    zero_copy_only=False
                )
            ):
                number = int(shard[row])
                earlier = int(seen[number]) + int((shard[:row] == number).sum())
                yield _place(index, rows.slice(row, 1).to_pylist()[0], number, earlier, None)
            np.add.at(seen, shard, 1)


def _indexes(build: Build) -> Iterator[_Index]:
    mark = read_mark(build)
    if mark is not None and is_export(mark.settings):
        for shard in read_export_manifest(build).shards:
            yield _Index(shard.index.path, EXPORT_SCHEMA, None, None, (shard.files[0].path,))
        return
    for unit in build.manifest().units:
        receipt = build.receipt(unit)
        shards = tuple(entry.path for entry in receipt.shards)
        yield _Index(receipt.documents.path, DOCUMENTS_SCHEMA, unit, receipt.input.input, shards)


def _rows(build: Build, index: _Index) -> Iterator[pa.RecordBatch]:
    with build.local_copy(index.path) as local_path:
        yield from read_rows(local_path, index.path, index.schema, index.schema.names)


def _shard_numbers(rows: pa.RecordBatch, index: _Index) -> Any:
    if index.unit is None:
        return np.zeros(len(rows), np.int64)
    return rows.column("shard").to_numpy()


def _place_in(build: Build, index: _Index, number: int, position: int) -> Place:
    """The document at a position of the index's shard number so and so."""
    earlier = end = 0
    for rows in _rows(build, index):
        kept = rows.filter(pa.array(_shard_numbers(rows, index) == number))
        if not len(kept):
            continue
        starts = kept.column("start").to_numpy()
        end = int(starts[-1]) + kept.column("length")[-1].as_py()
        if position < end:
            row = int(np.searchsorted(starts, position, side="right")) - 1
            found = kept.slice(row, 1).to_pylist()[0]
            if position >= found["start"] + found["length"]:
                break
            return _place(index, found, number, earlier + row, position - found["start"])
        earlier += len(kept)
    what = "is padding" if position < end else f"is not there: documents end before {end}"
    raise MismatchError(f"{index.shards[number]}: token {position} {what}")


def _place(
    index: _Index, row: dict[str, Any], number: int, document: int, token: int | None
) -> Place:
    return Place(
        shard=index.shards[number],
        index=document,
        start=row["start"],
        length=row["length"],
        offset=row.get("offset", 0),
        token=None if token is None else row.get("offset", 0) + token,
        unit=row["unit"] if index.unit is None else index.unit,
        record=row["record"],
        input=index.input,
        id=row["id"],
        url=row["url"],
    )


def _text(place: Place) -> str:
    lines = [
        f"shard     {escaped(place.shard)}",
        f"document  {place.index:,}, tokens {place.start:,} to {place.start + place.length - 1:,}",
        f"id        {'none' if place.id is None else escaped(place.id)}",
        f"url       {'none' if place.url is None else escaped(place.url)}",
        f"unit      {escaped(place.unit)}, record {place.record:,} of it",
    ]
    if place.input not in (None, place.unit):
        part = place.unit.rpartition("/")[2]
        lines[-1:] = [
            f"input     {escaped(str(place.input))}",
            f"part      {part}, record {place.record:,} of it",
        ]
    if place.token is not None:
        at = place.start + place.token - place.offset
        lines.insert(0, f"token     {at:,}, number {place.token:,} of its document")
    return "\n".join(lines) + "\n"
