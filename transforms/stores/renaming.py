"""Stores without an atomic put: a file is written beside its place under another name, and renamed.

<staging>/.<name>.<attempt>.tmp ─ rename ─► <folder>/<name>

Staging is a folder of the run where one is given, so that what a killed process leaves is known to
be the run's; else the file's own.
"""

import io
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

from transforms.stores.local_store import TEMPORARY_SUFFIX


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

    def write(self, path: str, content: bytes, staging: str = "") -> None:
        """By way of a temporary name."""
        with self._written_aside(path, io.BytesIO(content), staging) as temporary:
            self.rename(temporary, path)

    def put(self, local_path: str, path: str, staging: str = "") -> None:
        """By way of a temporary name."""
        with (
            open(local_path, "rb") as source,
            self._written_aside(path, source, staging) as temporary,
        ):
            self.rename(temporary, path)

    @contextmanager
    def _written_aside(self, path: str, source: BinaryIO, staging: str = "") -> Iterator[str]:
        """The content in a file of another name, which goes where the block fails."""
        folder, _, name = path.rpartition("/")
        temporary = f"{staging or folder}/.{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        try:
            with self.create(temporary) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            yield temporary
        except BaseException:
            with suppress(OSError):
                self.delete([temporary])
            raise
