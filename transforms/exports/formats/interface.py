"""What an export format is: how one shard is written, read back, and what lies beside shards.

    ExportFormat ── create(paths, shape) ──► ExportWriter   append, append, ..., finish
                 ├─ read(paths, shape)   ──► (ids, lengths), (ids, lengths), ...
                 └─ folder_files(split, shape, shards)  what a trainer wants once a folder

A writer knows the shape of its shard before the first id: the plan has counted it, so headers and
tables before the ids are written where they belong, at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer import ConfigurationError
from transforms.errors import UnitFailedError
from transforms.shards.staged_file import FileDigest

Ids = npt.NDArray[Any]
Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardShape:
    """What is known of a shard before it is written.

    Attributes:
        dtype: of the ids in the file. documents, tokens: that it will hold. tokenizer: its name.
    """

    dtype: np.dtype[Any]
    documents: int
    tokens: int
    tokenizer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenShard:
    """What is known of a shard that is there: for the files beside it.

    Attributes:
        names, sizes: its files, relative to the export's `tokens` folder, and their bytes.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    documents: int
    tokens: int


class ExportWriter(ABC):
    """One shard being written."""

    @abstractmethod
    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        """Adds documents.

        Args:
            ids: of all of them, one after the other; contiguous, of the shard's dtype.
            lengths: of each; of sequences, their length as often; of a format that has segments,
                that of each segment.
            rows: of transforms/exports/index.py, one a document; of sequences, one a piece.
        """

    @abstractmethod
    def finish(self) -> None:
        """Completes the files. Nothing can be appended any more."""

    @abstractmethod
    def close(self) -> None:
        """Gives file handles back; harmless after `finish`."""

    def digests(self) -> Mapping[str, FileDigest]:
        """Of those files, by path, that were hashed while they were written; after `finish`.

        Those that are not here are read again for it.
        """
        return {}


class ExportFormat(ABC):
    """The files of a trainer.

    Attributes:
        name: as it is asked for.
        dtypes: of ids, the smallest first; the first that holds the vocabulary is taken.
        has_documents: whether the files tell where documents begin.
        has_segments: it is of sequences, and tells where segments of them begin.
        uses_rows: it writes what documents are called, and so can not hold sequences.
        end_of_text: where the format's own tools put it: `before`, `after`, or `as-built`.
        is_whole: a split is one file, however large.
        default_splits: where none are asked for.
        package: that reads and writes it, of the extra of the format's name; None: our own.
        max_shard_tokens: more of them can not be written to one shard; None: no limit.
    """

    name: str
    dtypes: tuple[str, ...] = ("<u2", "<u4")
    has_documents: bool = True
    has_segments: bool = False
    uses_rows: bool = False
    end_of_text: str = "after"
    is_whole: bool = False
    default_splits: tuple[tuple[str, float], ...] = ()
    max_shard_tokens: int | None = None
    package: str | None = None

    @abstractmethod
    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        """The files of a shard, relative to the export's `tokens` folder."""

    @abstractmethod
    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        """Begins new files, in the order of `file_names`."""

    @abstractmethod
    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        """All ids in order, some documents at a time; lengths: None where files do not tell.

        Raises:
            MismatchError: the files are not of this format, or not of this shape.
        """

    def ids_at(self, shape: ShardShape) -> int | None:
        """The byte of a shard's first file where its ids begin, up to the last with nothing
        between them; None: something is between them."""
        return None

    def folder_files(
        self, split: str, shape: ShardShape, shards: Sequence[WrittenShard]
    ) -> Mapping[str, bytes]:
        """Files that a trainer wants once a split, relative to `tokens`; shape: of all of it."""
        return {}

    def export_files(self, splits: Mapping[str, Sequence[WrittenShard]]) -> Mapping[str, bytes]:
        """Files that a trainer wants once an export, relative to `tokens`."""
        return {}

    def check_available(self) -> None:
        """Raises ConfigurationError where the format's package is missing."""
        if self.package is not None and find_spec(self.package) is None:
            raise ConfigurationError(
                f"{self.name} needs a package: pip install 'tokenmill[{self.name}]'",
                setting="format",
            )


def check_bytes(path: str, size: int, limit: int) -> None:
    """Raises UnitFailedError where a file is larger than its own offsets can say."""
    if size > limit:
        raise UnitFailedError(
            f"a shard of {size} bytes, but its offsets end at {limit}: ask for smaller shards"
        )
