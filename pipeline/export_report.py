"""What `tokenmill export` says when it ends: what each split holds, for people or as JSON."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import exit_codes
from pipeline.tables import aligned, terminal_cells
from pipeline.terminal import escaped
from transforms.exports.mixtures import SourceTotals
from transforms.exports.records import ExportManifest


@dataclass(frozen=True)
class ExportResult:
    """How an export ended.

    Attributes:
        manifest: of the whole. path: where it is. seconds: this run took.
        shards_done: in this run. shards_kept: found done.
    """

    manifest: ExportManifest
    path: str
    seconds: float
    shards_done: int
    shards_kept: int

    @property
    def exit_code(self) -> int:
        """COMPLETE: all else is an error."""
        return exit_codes.COMPLETE

    def text(self) -> str:
        """All of it for people, several lines."""
        cells = terminal_cells()
        tables = [_split_rows(self.manifest)]
        if self.manifest.sources:
            tables.insert(0, _source_rows(self.manifest.sources))
        lines = [aligned(rows, cells) for rows in tables]
        return "\n".join([*lines, f"complete: {escaped(self.path)}"])

    def to_json(self) -> dict[str, Any]:
        """All of it for scripts, as plain values."""
        return {
            "complete": True,
            "manifest": self.path,
            "splits": [dataclasses.asdict(split) for split in self.manifest.splits],
            "sources": [dataclasses.asdict(source) for source in self.manifest.sources],
            "shards_done": self.shards_done,
            "shards_kept": self.shards_kept,
            "seconds": round(self.seconds, 3),
        }

    def empty_splits(self) -> Iterator[str]:
        """The names of splits that no document is in."""
        yield from (split.name for split in self.manifest.splits if not split.documents)


def _split_rows(manifest: ExportManifest) -> list[list[str]]:
    """What each split holds."""
    rows = [["split", "shards", "documents", "tokens"]]
    rows += [
        [split.name, f"{split.shards:,}", f"{split.documents:,}", f"{split.tokens:,}"]
        for split in manifest.splits
    ]
    if any(split.sequences for split in manifest.splits):
        rows[0] += ["sequences", "padding", "dropped", "carried", "cut documents"]
    for row, split in zip(rows[1:], manifest.splits, strict=True):
        if (books := split.sequences) is not None:
            padding = books.padding / split.tokens if split.tokens else 0.0
            counts = (books.dropped, books.carried, books.cut_documents)
            row += [f"{books.sequences:,}", f"{padding:.3%}", *(f"{count:,}" for count in counts)]
    return rows


def _source_rows(sources: Sequence[SourceTotals]) -> list[list[str]]:
    """The share of each source in the build, as asked for, and as reached."""
    tokens = sum(source.tokens for source in sources) or 1
    asked = sum(source.tokens * source.weight for source in sources) or 1
    reached = sum(source.exported_tokens for source in sources) or 1
    rows = [["source", "weight", "build", "asked", "reached", "tokens"]]
    rows += [
        [
            source.name,
            f"{source.weight:g}",
            f"{source.tokens / tokens:.2%}",
            f"{source.tokens * source.weight / asked:.2%}",
            f"{source.exported_tokens / reached:.2%}",
            f"{source.exported_tokens:,}",
        ]
        for source in sources
    ]
    return rows
