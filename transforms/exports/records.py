"""What an export writes of itself: the receipt of each shard, and the manifest of all."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenizer.errors import ConfigurationError
from transforms.errors import MismatchError
from transforms.exports.formats import ExportFormat, export_format
from transforms.exports.formats.interface import ShardShape, WrittenShard
from transforms.exports.mixtures import SourceTotals
from transforms.exports.sequences import SequenceBooks, total_books
from transforms.exports.shard_cutter import unit_name_of
from transforms.shards.build import Build
from transforms.shards.json_records import (
    FORMAT,
    Count,
    Sha256,
    canonical_json,
    check_settings,
    parse_record,
)
from transforms.shards.layout import MANIFEST, documents_path, export_file_name, export_file_path
from transforms.shards.receipt import IndexEntry, is_safe

_REMEDY = "remove it and run `tokenmill export` again"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the export: its path below the export's folder, its bytes, their SHA-256."""

    path: str
    bytes: Count
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class ExportShard:
    """One shard: what it holds, its files in the order of its format, and its index.

    Attributes:
        documents: of the build.
        tokens: ids in its files, padding among them.
        sequences: their books, where it is of sequences.
    """

    split: str
    number: Count
    documents: Count
    tokens: Count
    sequences: SequenceBooks | None
    files: tuple[FileEntry, ...]
    index: IndexEntry

    @property
    def unit(self) -> str:
        """The name of the receipt and of the index."""
        return unit_name_of(self.split, self.number)

    def entries(self) -> Iterator[FileEntry | IndexEntry]:
        """Every file of the shard, its index last."""
        yield from self.files
        yield self.index

    @property
    def written(self) -> WrittenShard:
        """What the files beside the shards are made of."""
        return WrittenShard(
            names=tuple(export_file_name(file.path) for file in self.files),
            sizes=tuple(file.bytes for file in self.files),
            documents=self.items,
            tokens=self.tokens,
        )

    @property
    def items(self) -> int:
        """Documents, or sequences."""
        return self.documents if self.sequences is None else self.sequences.sequences


@dataclass(frozen=True, slots=True)
class ExportReceipt:
    """Proof that a shard is done."""

    fingerprint: Sha256
    shard: ExportShard

    @property
    def unit(self) -> str:
        """The name of the unit."""
        return self.shard.unit

    def is_of(self, size_bytes: int, part: tuple[int, int] | None) -> bool:
        """Yes: what a shard holds follows from the settings, which pin the build."""
        return True

    def sizes(self) -> dict[str, int]:
        """Path and bytes of every file."""
        return {entry.path: entry.bytes for entry in self.shard.entries()}

    def counts(self) -> Iterator[tuple[str, int]]:
        """What to add up while an export runs."""
        yield "documents", self.shard.documents
        yield "tokens", self.shard.tokens

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, content: bytes, place: str, one: ExportFormat) -> "ExportReceipt":
        """Reads what to_json wrote, for an export of that format.

        Raises:
            MismatchError: anything else, or a receipt that names files of another shard.
        """
        receipt = parse_record(content, cls, place, _REMEDY)
        _check_paths(receipt.shard, one, place)
        return receipt


@dataclass(frozen=True, slots=True)
class SplitTotals:
    """What a split holds."""

    name: str
    shards: Count
    documents: Count
    tokens: Count
    sequences: SequenceBooks | None


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """All of an export; shards in the order of splits and numbers.

    Attributes:
        sources: what became of each source of a mixture.
        folder_files: those that a trainer wants beside the shards.
    """

    fingerprint: Sha256
    settings: Mapping[str, Any]
    splits: tuple[SplitTotals, ...]
    sources: tuple[SourceTotals, ...]
    shards: tuple[ExportShard, ...]
    folder_files: tuple[FileEntry, ...]

    def to_json(self) -> bytes:
        """Canonical JSON; see docs/formats.md."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, content: bytes, place: str) -> "ExportManifest":
        """Reads what to_json wrote.

        Raises:
            MismatchError: anything else, or files elsewhere; the message names `place`.
        """
        manifest = parse_record(content, cls, place, _REMEDY)
        check_settings(manifest.settings, place, _REMEDY)
        try:
            one = export_format(manifest.settings["format"]["name"])
        except ConfigurationError as error:
            raise MismatchError(f"{place}: settings.format.name: {error}: {_REMEDY}") from error
        for shard in manifest.shards:
            _check_paths(shard, one, place)
        return manifest

    @property
    def documents(self) -> int:
        """Of all splits."""
        return sum(split.documents for split in self.splits)

    @property
    def tokens(self) -> int:
        """Of all splits."""
        return sum(split.tokens for split in self.splits)


def read_export_manifest(export: Build) -> ExportManifest:
    """The manifest of a complete export.

    Raises:
        MismatchError: there is none.
    """
    if not export.exists(MANIFEST):
        raise MismatchError(
            f"{export.path(MANIFEST)} does not exist: the export is not complete; run `tokenmill "
            "export` again to complete it"
        )
    return ExportManifest.from_json(export.read(MANIFEST), export.path(MANIFEST))


def paths_of(one: ExportFormat, split: str, number: int) -> list[str]:
    """Where the files of a shard are, relative to the export."""
    return [export_file_path(name) for name in one.file_names(split, number)]


def _check_paths(shard: ExportShard, one: ExportFormat, place: str) -> None:
    """Every file is named as the format names it: none is believed to be elsewhere.

    Raises:
        MismatchError: naming `place`.
    """
    expected = [*paths_of(one, shard.split, shard.number), documents_path(shard.unit)]
    found = [entry.path for entry in shard.entries()]
    if found != expected or not is_safe(shard.unit):
        raise MismatchError(f"{place}: files: expected {expected}, found {found}: {_REMEDY}")


def shape_of(settings: Mapping[str, Any], documents: int, tokens: int) -> ShardShape:
    """The shape of a shard, or of a whole split, of an export with those settings."""
    return ShardShape(
        dtype=np.dtype(settings["format"]["dtype"]),
        documents=documents,
        tokens=tokens,
        tokenizer=settings["tokenizer"]["name"],
    )


def folder_contents(
    settings: Mapping[str, Any], names: Sequence[str], shards: Sequence[ExportShard]
) -> dict[str, bytes]:
    """The files beside the shards: path relative to the export, and content.

    Args:
        settings: of the export. names: of its splits. shards: all of them.
    """
    one = export_format(settings["format"]["name"])
    splits = {name: [shard.written for shard in shards if shard.split == name] for name in names}
    files: dict[str, bytes] = {}
    for name, written in splits.items():
        if written:
            documents = sum(shard.documents for shard in written)
            tokens = sum(shard.tokens for shard in written)
            files.update(one.folder_files(name, shape_of(settings, documents, tokens), written))
    files.update(one.export_files(splits))
    return {export_file_path(name): files[name] for name in sorted(files)}


def make_export_manifest(
    settings: Mapping[str, Any],
    fingerprint: str,
    names: Sequence[str],
    shards: Sequence[ExportShard],
    folder_files: Sequence[FileEntry],
    sources: Sequence[SourceTotals],
) -> ExportManifest:
    """The manifest of an export from what was written."""
    splits = []
    for name in names:
        ours = [shard for shard in shards if shard.split == name]
        documents = sum(shard.documents for shard in ours)
        tokens = sum(shard.tokens for shard in ours)
        books = [shard.sequences for shard in ours if shard.sequences is not None]
        sequences = None if settings["sequences"] is None else total_books(books)
        splits.append(SplitTotals(name, len(ours), documents, tokens, sequences))
    return ExportManifest(
        fingerprint,
        dict(settings),
        tuple(splits),
        tuple(sources),
        tuple(shards),
        tuple(folder_files),
    )
