"""Stores without an atomic put: a file is written beside its place under another name, and renamed.

<folder>/.<name>.<attempt>.tmp ─ rename ─► <folder>/<name>
"""

import io
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO


class RenamingStore(ABC):
    """The half of a store that writes whole files, by way of `create` and `rename`."""

    @abstractmethod
    def create(self, path: str) -> BinaryIO:
        """A new file; it may be seen before it is closed, and in part."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Gives a file another name."""

    @abstractmethod
    def delete(self, paths: Sequence[str]) -> None:
        """Deletes files; those that are gone already are none of its business."""

    def write(self, path: str, content: bytes) -> None:
        """By way of a temporary name."""
        with self._written_beside(path, io.BytesIO(content)) as temporary:
            self.rename(temporary, path)

    def put(self, local_path: str, path: str) -> None:
        """By way of a temporary name."""
        with open(local_path, "rb") as source, self._written_beside(path, source) as temporary:
            self.rename(temporary, path)

    @contextmanager
    def _written_beside(self, path: str, source: BinaryIO) -> Iterator[str]:
        """The content in a file of another name, which goes where the block fails."""
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
        try:
            with self.create(temporary) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            yield temporary
        except BaseException:
            with suppress(OSError):
                self.delete([temporary])
            raise
