"""The manifest: a whole build in one file, a function of inputs, settings and format alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.errors import MismatchError
from transforms.shards.json_records import (
    FORMAT,
    Count,
    Sha256,
    canonical_json,
    check_settings,
    is_export,
    parse_record,
)
from transforms.shards.receipt import Counts, IndexEntry, InputBooks, ShardEntry, is_safe

_REMEDY = "run `tokenmill build` again to write it anew"


@dataclass(frozen=True, slots=True)
class TokenizerEntry:
    """The vocabulary of a build.

    Attributes:
        name: as it was asked for, without folders.
        sha256: of the published file.
        file: its copy in the build; None for a bundled vocabulary.
        split_pattern, special_tokens: where the file is a .tiktoken one, which has neither.
        vocabulary_size: the largest id plus one.
        end_of_text: the vocabulary's own; whether the build used it is a setting.
    """

    name: str
    sha256: str
    file: str | None
    split_pattern: str | None
    special_tokens: Mapping[str, Count] | None
    vocabulary_size: Count
    end_of_text: Count | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Counts):
    """Sums over all inputs."""

    inputs: Count
    input_bytes: Count
    truncated_inputs: Count


@dataclass(frozen=True, slots=True)
class _Header:
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of a build. Entries are in the order of unit names, shards of a unit by number."""

    fingerprint: Sha256
    settings: Mapping[str, Any]
    tokenizer: TokenizerEntry
    totals: Totals
    inputs: tuple[InputBooks, ...]
    shards: tuple[ShardEntry, ...]
    indexes: tuple[IndexEntry, ...]

    def to_json(self) -> bytes:
        """Canonical JSON; see docs/formats.md."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, content: bytes, place: str) -> "Manifest":
        """Reads what to_json wrote.

        Raises:
            MismatchError: anything else; the message names `place`.
        """
        header = parse_record(content, _Header, place, _REMEDY)
        if is_export(header.settings):
            raise MismatchError(f"{place}: an export, and no build: name the build it was made of")
        manifest = parse_record(content, cls, place, _REMEDY)
        check_settings(manifest.settings, place, _REMEDY)
        paths = [entry.path for entry in manifest.shards] + [
            entry.path for entry in manifest.indexes
        ]
        for path in paths:
            if not is_safe(path):
                raise MismatchError(f"{place}: the file {path!r:.200} lies elsewhere: {_REMEDY}")
        return manifest

    @property
    def units(self) -> Sequence[str]:
        """The names of all units."""
        return [book.path for book in self.inputs]
