"""Receipts: what was made of one work unit, the commit record that is written last."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.documents import Reason
from transforms.errors import BooksError, MismatchError
from transforms.shards.formats import suffix_of
from transforms.shards.json_records import (
    FORMAT,
    Count,
    Sha256,
    canonical_json,
    check_settings,
    parse_record,
)
from transforms.shards.layout import documents_path, rejects_path, shard_path
from transforms.shards.unit_names import input_name

_REMEDY = "remove the file, and its unit is done again"


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A token shard as the manifest lists it.

    Attributes:
        path: relative to the build.
        format: a name in transforms/shards/formats.
        tokens: ids, begin and end of text included.
        bytes, sha256: of the file as it lies there.
    """

    path: str
    format: str
    dtype: str
    tokens: Count
    documents: Count
    bytes: Count
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A Parquet file beside the shards: the documents or the rejects of a unit."""

    path: str
    rows: Count
    bytes: Count
    sha256: Sha256


def lost_share(raw: int, undecoded: int, decoded: int, lost: int) -> float:
    """The share of bytes that were never read as records: of the raw ones, then of the others.

    >>> lost_share(raw=100, undecoded=50, decoded=400, lost=100)
    0.625
    """
    never_decoded = undecoded / raw if raw else 0.0
    skipped = lost / decoded if decoded else 0.0
    return min(1.0, never_decoded + (1 - never_decoded) * skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What a reader found of one input, apart from what became of its records; see InputBooks."""

    part: tuple[int, int] | None
    bytes: int
    sha256: str
    records: int
    decoded_bytes: int
    lost_bytes: int
    undecoded_bytes: int
    is_truncated: bool
    html_extractor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is counted of an input, and added up: `records == documents + sum(rejects.values())`.

    Attributes:
        rejects: by reason.
        tokens: begin and end of text included.
        text_bytes: UTF-8 bytes of the documents written.
        special_token_texts: occurrences of special-token text in them, all encoded as plain text.
        decoded_bytes: what decompressing gave.
        lost_bytes: those of them that were skipped where the container is broken.
        undecoded_bytes: raw bytes that could not be decompressed.
    """

    records: Count
    documents: Count
    rejects: Mapping[str, Count]
    tokens: Count
    text_bytes: Count
    special_token_texts: Count
    decoded_bytes: Count
    lost_bytes: Count
    undecoded_bytes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class InputBooks(Counts):
    """The books of one input.

    Attributes:
        path: the unit's name.
        part: start and stop of the part of the file that the unit is; None: all of it.
        bytes, sha256: of the raw file, or of that part.
        is_truncated: the file ends too early, nobody knows by how much.
        html_extractor: what turned pages into text, with its version; None where the input has no
            pages.
    """

    path: str
    part: tuple[Count, Count] | None
    bytes: Count
    sha256: Sha256
    is_truncated: bool
    html_extractor: str | None

    def check(self) -> None:
        """Raises BooksError when they do not balance."""
        accounted = self.documents + sum(self.rejects.values())
        if self.records != accounted:
            raise BooksError(
                f"{self.path}: {self.records} records read, but {self.documents} documents and "
                f"{dict(self.rejects)} rejects make {accounted}; nothing of it is committed. "
                "This is a bug in a reader: please report it with the file"
            )

    @property
    def input(self) -> str:
        """The name of the input; of a part, that of the whole."""
        return self.path if self.part is None else input_name(self.path)

    @property
    def lost_share(self) -> float:
        """The share of the input that was never read as records, 0 to 1; 1 when it is truncated."""
        if self.is_truncated:
            return 1.0
        return lost_share(self.bytes, self.undecoded_bytes, self.decoded_bytes, self.lost_bytes)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a unit is done: its books and every file that belongs to it."""

    fingerprint: Sha256
    settings: Mapping[str, Any]
    input: InputBooks
    shards: tuple[ShardEntry, ...]
    documents: IndexEntry
    rejects: IndexEntry | None

    @property
    def unit(self) -> str:
        """The name of the unit."""
        return self.input.path

    def files(self) -> Iterator[ShardEntry | IndexEntry]:
        """Every file the receipt stands for, itself not among them."""
        yield from self.shards
        yield self.documents
        if self.rejects is not None:
            yield self.rejects

    def is_of(self, size_bytes: int, part: tuple[int, int] | None) -> bool:
        """Whether it can be of an input of that size, or of that part of one."""
        return self.input.bytes == size_bytes and self.input.part == part

    def sizes(self) -> dict[str, int]:
        """Path and bytes of every file."""
        return {entry.path: entry.bytes for entry in self.files()}

    def counts(self) -> Iterator[tuple[str, int]]:
        """What to add up while a build runs: name and number."""
        for name in ("records", "documents", "tokens", "text_bytes"):
            yield name, getattr(self.input, name)
        for reason, count in self.input.rejects.items():
            yield f"rejects.{reason}", count

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, content: bytes, place: str) -> "Receipt":
        """Reads what to_json wrote.

        Raises:
            MismatchError: anything else, or a receipt that names files of another unit.
        """
        receipt = parse_record(content, cls, place, _REMEDY)
        check_settings(receipt.settings, place, _REMEDY)
        receipt.check_paths(place)
        if unknown := receipt.input.rejects.keys() - {reason.value for reason in Reason}:
            raise MismatchError(
                f"{place}: rejects: expected reasons that are known, found {min(unknown)!r:.40}: "
                f"{_REMEDY}"
            )
        return receipt

    def check_paths(self, place: str) -> None:
        """Every file is named as the layout names it for this unit.

        What a receipt names may be deleted: a path that leads elsewhere must never be believed.

        Raises:
            MismatchError: naming `place`.
        """
        numbered = self.settings["shards"]["max_tokens"] is not None
        try:
            suffixes = [suffix_of(shard.format) for shard in self.shards]
        except MismatchError as error:
            raise MismatchError(f"{place}: {error}: {_REMEDY}") from error
        expected = [
            shard_path(self.unit, suffix, number if numbered else None)
            for number, suffix in enumerate(suffixes)
        ]
        expected.append(documents_path(self.unit))
        if self.rejects is not None:
            expected.append(rejects_path(self.unit))
        found = [entry.path for entry in self.files()]
        if found != expected or not is_safe(self.unit):
            raise MismatchError(f"{place}: files: expected {expected}, found {found}: {_REMEDY}")


def is_safe(unit: str) -> bool:
    """Whether a unit's name stays inside the folders of a build.

    >>> is_safe("en/a.jsonl"), is_safe("../a"), is_safe("/etc/a"), is_safe("a//b")
    (True, False, False, False)
    """
    return all(part not in ("", ".", "..") for part in unit.split("/")) and "\0" not in unit
