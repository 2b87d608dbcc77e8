"""What `tokenmill verify` found: for people, or as JSON."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.quantities import counted
from pipeline.terminal import escaped
from transforms.exports.records import ExportManifest
from transforms.shards.manifest import Totals

_SHOWN = 50


@dataclass(frozen=True)
class VerifyResult:
    """What `verify` found.

    Attributes:
        root: the build. differences: a line each, none where all is as it should be.
        is_repairable: whether `tokenmill build --repair` would mend some of it.
        totals: of the manifest. files: that were checked.
        tokenizer_name: of the build. is_lossless: whether it gives back any text as it was.
        input_root: where the inputs of some units were read again, or None.
        compared: how many documents were compared with them.
        version, version_sha256: of a build that grows, the one that was asked for; else None.
    """

    root: str
    differences: tuple[str, ...]
    is_repairable: bool
    totals: Totals
    vocabulary_size: int
    tokenizer_name: str
    is_lossless: bool
    files: int
    input_root: str | None
    compared: int
    version: int | None = None
    version_sha256: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether there is no difference."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """All of it for scripts, as plain values."""
        return {"sound": self.is_sound, **dataclasses.asdict(self)}

    def text(self) -> str:
        """What was checked, or each difference with its place; several lines."""
        return "\n".join(self._checked() if self.is_sound else self._differences())

    def _differences(self) -> Iterator[str]:
        yield from _listed(self.differences)
        if self.is_repairable:
            yield (
                "tokenmill: to rewrite the units whose files no longer are what their receipts "
                "say, run `tokenmill build --repair` with the options that made the build"
            )

    def _checked(self) -> Iterator[str]:
        totals = self.totals
        which = "" if self.version is None else f", version {self.version}, {self.version_sha256}"
        yield f"verified: {escaped(self.root)}{which}"
        yield (
            f"  {counted(totals.inputs, 'input')}, {counted(self.files, 'file')}: sizes, SHA-256, "
            "sums; the manifest is what the receipts add up to"
        )
        checked = (
            "each document decodes to its text, and the text encodes to the same tokens"
            if self.is_lossless
            else f"{self.tokenizer_name} changes text before it is encoded, so tokens were "
            "compared with those of the text that they spell: only making units again from their "
            "inputs compares them with these"
        )
        yield (
            f"  {counted(totals.documents, 'document')}, {counted(totals.tokens, 'token')}: ids "
            f"below {self.vocabulary_size}, begin and end of text in place; {checked}"
        )
        rejects = sum(totals.rejects.values())
        yield f"  {counted(rejects, 'record')} rejected: as many for each reason as in the books"
        if self.input_root is not None:
            yield (
                f"made again from {escaped(self.input_root)}: {self.compared:,} of "
                f"{counted(totals.documents, 'document')}, token by token"
            )


@dataclass(frozen=True)
class VerifyExportResult:
    """What `verify` found in an export.

    Attributes:
        root: the export. differences: a line each, none where all is as it should be.
        manifest: of the export.
    """

    root: str
    differences: tuple[str, ...]
    manifest: ExportManifest

    @property
    def is_sound(self) -> bool:
        """Whether there is no difference."""
        return not self.differences

    @property
    def files(self) -> int:
        """How many were checked."""
        shards = self.manifest.shards
        return sum(len(shard.files) + 2 for shard in shards) + len(self.manifest.folder_files)

    def to_json(self) -> dict[str, Any]:
        """All of it for scripts, as plain values."""
        return {
            "sound": self.is_sound,
            "root": self.root,
            "differences": list(self.differences),
            "format": self.manifest.settings["format"]["name"],
            "files": self.files,
            "splits": [dataclasses.asdict(split) for split in self.manifest.splits],
        }

    def text(self) -> str:
        """What was checked, or each difference with its place; several lines."""
        return "\n".join(self._checked() if self.is_sound else _listed(self.differences))

    def _checked(self) -> Iterator[str]:
        manifest = self.manifest
        yield f"verified: {escaped(self.root)}"
        yield (
            f"  {counted(len(manifest.shards), 'shard')}, {counted(self.files, 'file')}: sizes, "
            "SHA-256, sums; the manifest is what the receipts add up to"
        )
        yield (
            f"  {counted(manifest.documents, 'document')}, {counted(manifest.tokens, 'token')}: "
            f"read back through the reader of {manifest.settings['format']['name']}, "
            "equal to the build"
        )


def _listed(differences: Sequence[str]) -> Iterator[str]:
    for message in differences[:_SHOWN]:
        yield f"difference: {escaped(message)}"
    count = len(differences)
    if count > _SHOWN:
        yield f"... and {count - _SHOWN} more"
    yield f"tokenmill: not what the manifest says: {counted(count, 'difference')}"
