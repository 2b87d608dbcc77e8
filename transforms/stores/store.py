"""What every store can do, whatever it is made of."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol


class FoundFile(NamedTuple):
    """A file as it was listed.

    Attributes:
        path: as it can be opened.
        size_bytes: of the file as it is stored, compressed or not.
        version: changes whenever the content does: the time of modification in nanoseconds on a
            local disk, the ETag or what the store has like it elsewhere; empty where a store
            has nothing.
    """

    path: str
    size_bytes: int
    version: str = ""


class UnfinishedUpload(NamedTuple):
    """Parts of a file that is not there. path: its path. name: what the store calls the upload."""

    path: str
    name: str


class Store(Protocol):
    """The files of one scheme. Paths are whole ones, with their scheme.

    Every method raises OSError where the store can not do what it is asked for, FileNotFoundError
    where there is no such file. What it writes appears whole or not at all, and a file of the same
    name gives way to it in that moment, unless the method says otherwise.
    """

    def find(self, pattern: str) -> list[FoundFile]:
        """The files that a pattern stands for."""
        ...

    def list(self, folder: str) -> Iterator[FoundFile]:
        """Every file below a folder, at any depth; none when there is no such folder."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file of that name."""
        ...

    def look_up(self, path: str) -> FoundFile | None:
        """The file of that name, or None."""
        ...

    def open(self, path: str) -> BinaryIO:
        """The bytes of a file, to be read in order or by seeking."""
        ...

    def create(self, path: str) -> BinaryIO:
        """A new file; it may be seen before it is closed."""
        ...

    def read(self, path: str) -> tuple[bytes, str]:
        """Content of a small file, and what `write_over` takes as its version."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Writes a small file."""
        ...

    def put(self, local_path: str, path: str) -> None:
        """Moves or copies a local file, of any size."""
        ...

    def write_new(self, path: str, content: bytes) -> bool:
        """Writes a small file if there is none of that name; False when there is one."""
        ...

    def write_over(self, path: str, content: bytes, version: str) -> bool:
        """Writes a small file if the present one is of that version; False when it is not."""
        ...

    def delete(self, paths: Sequence[str]) -> None:
        """Deletes files; those that are gone already are none of its business."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Gives a file another name."""
        ...
