"""Every other scheme that a Beam filesystem is registered for: what Beam's interface allows.

Beam has no atomic put, no conditional put and no versions. A file is written under a temporary name
and renamed; where that fails because the name is taken, the old file goes first.
"""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from transforms.stores.patterns import find_by_listing
from transforms.stores.renaming import RenamingStore
from transforms.stores.store import FoundFile


class BeamStore(RenamingStore):
    """Files of a scheme that Beam knows. Beam is imported when the first is made."""

    def __init__(self) -> None:
        from apache_beam.io.filesystems import FileSystems

        self._beam: Any = FileSystems

    def find(self, pattern: str) -> list[FoundFile]:
        """Lists the folder before the first wild card, at any depth."""
        return find_by_listing(pattern, self.look_up, lambda folder, _: self.list(folder))

    def list(self, folder: str) -> Iterator[FoundFile]:
        """All at once: Beam gives no pages."""
        matched = self._beam.match([f"{folder.rstrip('/')}/**"])[0].metadata_list
        for file in matched:
            yield FoundFile(file.path, file.size_in_bytes, str(file.last_updated_in_seconds or ""))

    def exists(self, path: str) -> bool:
        """One request."""
        return bool(self._beam.exists(path))

    def look_up(self, path: str) -> FoundFile | None:
        """Two requests."""
        if not self._beam.exists(path):
            return None
        matched = self._beam.match([path])[0].metadata_list
        return next((FoundFile(file.path, file.size_in_bytes) for file in matched), None)

    def open(self, path: str) -> BinaryIO:
        """As Beam buffers it."""
        if not self._beam.exists(path):
            raise FileNotFoundError(f"{path}: no such file")  # Beam has its own error for it
        return self._uncompressed(self._beam.open, path)

    def create(self, path: str) -> BinaryIO:
        """May be seen before it is closed, and in part."""
        return self._uncompressed(self._beam.create, path)

    def read(self, path: str) -> tuple[bytes, str]:
        """Without a version."""
        with self.open(path) as file:
            return file.read(), ""

    def write_new(self, path: str, content: bytes) -> bool:
        """Not safe from two writers in the same moment: Beam has nothing better."""
        if self._beam.exists(path):
            return False
        self.write(path, content)
        return True

    def write_over(self, path: str, content: bytes, version: str) -> bool:
        """Not safe from two writers in the same moment: Beam has nothing better."""
        if not self._beam.exists(path):
            return False
        self.write(path, content)
        return True

    def delete(self, paths: Sequence[str]) -> None:
        """In one call, of those that are there."""
        self._beam.delete([path for path in paths if self._beam.exists(path)])

    def rename(self, source: str, target: str) -> None:
        """Copy and delete on most stores."""
        if self._beam.exists(target):
            self._beam.delete([target])
        self._beam.rename([source], [target])

    def _uncompressed(self, opener: Any, path: str) -> BinaryIO:
        # Beam's own decompression accepts truncated files; we decode the bytes ourselves.
        from apache_beam.io.filesystem import CompressionTypes

        handle: BinaryIO = opener(path, compression_type=CompressionTypes.UNCOMPRESSED)
        return handle
