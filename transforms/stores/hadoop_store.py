"""HDFS: hdfs://namenode:8020/path, through Arrow's binding of libhdfs.

    <folder>/<name> ◄─ rename ─ <staging>/.<name>.<attempt>.tmp

It needs Java, and what the Hadoop clients on every node of a cluster set: JAVA_HOME, HADOOP_HOME
and CLASSPATH=$(hadoop classpath --glob). A rename onto a name that is taken is refused by HDFS, so
the old file goes in the moment before; the new one is whole by then, under its temporary name.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, BinaryIO

from pyarrow import fs

from tokenizer import ConfigurationError
from transforms.stores.patterns import find_by_listing
from transforms.stores.renaming import RenamingStore
from transforms.stores.store import FoundFile


class HadoopStore(RenamingStore):
    """The files of every HDFS cluster.

    connect: gives Arrow's filesystem for what stands between hdfs:// and the path.
    """

    def __init__(self, connect: Callable[[str], Any] | None = None) -> None:
        self._connect = lru_cache(connect or _connect)

    def find(self, pattern: str) -> list[FoundFile]:
        """Lists the folder before the first wild card; subfolders where the pattern needs them."""
        return find_by_listing(pattern, self.look_up, self._list)

    def list(self, folder: str) -> Iterator[FoundFile]:
        """All at once: Arrow gives no pages."""
        return self._list(folder, True)

    def exists(self, path: str) -> bool:
        """One request."""
        return self.look_up(path) is not None

    def look_up(self, path: str) -> FoundFile | None:
        """One request."""
        system, inside = self._parts_of(path)
        info = system.get_file_info(inside)
        return _found(path, info) if info.type == fs.FileType.File else None

    def open(self, path: str) -> BinaryIO:
        """Reads by seeking. Two requests: libhdfs prints Java's stack where a file is missing."""
        if not self.exists(path):
            raise FileNotFoundError(f"{path}: no such file")
        system, inside = self._parts_of(path)
        handle: BinaryIO = system.open_input_file(inside)
        return handle

    def create(self, path: str) -> BinaryIO:
        """May be seen before it is closed, and in part."""
        system, inside = self._parts_of(path)
        system.create_dir(inside.rpartition("/")[0] or "/", recursive=True)
        handle: BinaryIO = system.open_output_stream(inside)
        return handle

    def read(self, path: str) -> tuple[bytes, str]:
        """Two requests. The version is of the content: Arrow gives times in whole seconds."""
        with self.open(path) as file:
            content = file.read()
        return content, hashlib.sha256(content).hexdigest()

    def write_new(self, path: str, content: bytes) -> bool:
        """HDFS refuses to rename onto a name that is taken: of several writers one wins."""
        if self.exists(path):
            return False
        try:
            with self._written_aside(path, io.BytesIO(content)) as temporary:
                system, inside = self._parts_of(temporary)
                system.move(inside, self._parts_of(path)[1])
        except OSError:
            if not self.exists(path):
                raise
            return False
        return True

    def write_over(self, path: str, content: bytes, version: str) -> bool:
        """Not safe from two writers in the same moment: HDFS has no conditional rename."""
        try:
            if self.read(path)[1] != version:
                return False
        except FileNotFoundError:
            return False
        self.write(path, content)
        return True

    def delete(self, paths: Sequence[str]) -> None:
        """One request a file."""
        for path in paths:
            system, inside = self._parts_of(path)
            with suppress(FileNotFoundError):
                if system.get_file_info(inside).type == fs.FileType.File:
                    system.delete_file(inside)

    def rename(self, source: str, target: str) -> None:
        """The target goes first, where there is one."""
        system, inside = self._parts_of(target)
        self.delete([target])
        system.create_dir(inside.rpartition("/")[0] or "/", recursive=True)
        system.move(self._parts_of(source)[1], inside)

    def _list(self, folder: str, is_deep: bool) -> Iterator[FoundFile]:
        system, inside = self._parts_of(folder)
        selector = fs.FileSelector(inside, recursive=is_deep, allow_not_found=True)
        authority = folder[: len(folder) - len(inside)] if inside != "/" else folder.rstrip("/")
        for info in system.get_file_info(selector):
            if info.type == fs.FileType.File:
                yield _found(authority + info.path, info)

    def _parts_of(self, path: str) -> tuple[Any, str]:
        host, slash, inside = path.strip().partition("://")[2].partition("/")
        return self._connect(host), slash + inside or "/"


def _connect(host: str) -> Any:
    _keep_signals()
    try:
        return fs.HadoopFileSystem.from_uri(f"hdfs://{host or 'default'}")
    except (OSError, ImportError) as error:
        reason = str(error).partition("\n")[0]  # a line for each place that was looked at
        raise ConfigurationError(
            f"hdfs://{host} needs a Hadoop client: set JAVA_HOME, HADOOP_HOME and "
            f"CLASSPATH=$(hadoop classpath --glob) here and on workers ({reason})"
        ) from error


def _keep_signals() -> None:
    """Has Java leave SIGINT and SIGTERM to us.

    Without -Xrs it takes them when libhdfs starts it, and ends the process at Ctrl-C: no handler of
    Python's runs, no `finally`, no message.
    """
    options = os.environ.get("LIBHDFS_OPTS", "").split()
    if "-Xrs" not in options:
        os.environ["LIBHDFS_OPTS"] = " ".join([*options, "-Xrs"])


def _found(path: str, info: Any) -> FoundFile:
    return FoundFile(path, info.size, str(info.mtime_ns))
