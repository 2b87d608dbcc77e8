"""Receipts: what was made of one work unit, the commit record that is written last."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizer.errors import BooksError, MismatchError
from transforms.settings import FORMAT, canonical_json


def receipt_path(unit: str) -> str:
    """Where a unit's receipt is, relative to the build's folder."""
    return f"receipts/{unit}.json"


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A token shard as the manifest lists it; `tokens` counts ids, end-of-text included."""

    path: str
    dtype: str
    tokens: int
    documents: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A Parquet file beside the shards: the documents or the rejects of a unit."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class InputBooks:
    """The books of one input: `records == documents + sum(rejects.values())`.

    path: relative to the common root of the inputs. bytes, sha256: of the raw file.
    tokens: end-of-text included. text_bytes: UTF-8 bytes of the documents written.
    special_token_texts: occurrences of special-token text in them, all encoded as plain text.
    """

    path: str
    bytes: int
    sha256: str
    records: int
    documents: int
    rejects: Mapping[str, int]
    tokens: int
    text_bytes: int
    special_token_texts: int

    def check(self) -> None:
        """Raises BooksError when they do not balance."""
        accounted = self.documents + sum(self.rejects.values())
        if self.records != accounted:
            raise BooksError(
                f"{self.path}: {self.records} records read, but {self.documents} documents and "
                f"{dict(self.rejects)} rejects make {accounted}; nothing of it is committed. "
                "This is a bug in a reader: please report it with the file"
            )


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a unit is done: its books and every file that belongs to it."""

    fingerprint: str
    settings: Mapping[str, Any]
    input: InputBooks
    shards: tuple[ShardEntry, ...]
    documents: IndexEntry
    rejects: IndexEntry | None

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, content: bytes, place: str) -> "Receipt":
        """Reads what to_json wrote. Raises MismatchError, naming `place`, for anything else."""
        try:
            value = json.loads(content)
            if value.pop("format") != FORMAT:
                raise ValueError(f"expected format {FORMAT}")
            rejects = value.pop("rejects")
            return cls(
                fingerprint=value["fingerprint"],
                settings=value["settings"],
                input=InputBooks(**value["input"]),
                shards=tuple(ShardEntry(**shard) for shard in value["shards"]),
                documents=IndexEntry(**value["documents"]),
                rejects=None if rejects is None else IndexEntry(**rejects),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MismatchError(
                f"{place}: not a receipt of {FORMAT} ({error}): "
                "remove the file to redo its unit, or start over with --overwrite"
            ) from error
