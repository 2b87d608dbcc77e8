"""Local disks: a file is written beside its place, synced, and renamed into it.

<folder>/<name>.<attempt>.tmp ─ write ─ fsync ─ rename ─► <folder>/<name> ─ fsync of <folder>
"""

import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

from transforms.stores.durable import make_folder, sync, sync_folder_of
from transforms.stores.patterns import (
    compile_pattern,
    crosses_folders,
    has_wildcard,
    literal_folder,
)
from transforms.stores.store import FoundFile

TEMPORARY_SUFFIX = ".tmp"


# A manifest of a million inputs has about 1.2 GB.
_MAX_WHOLE_BYTES = 2 << 30


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe, too, at once: `_check_small` refuses it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_small(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is no regular file", path)
    if status.st_size > _MAX_WHOLE_BYTES:
        raise OSError(errno.EFBIG, f"is too large to be read whole: {status.st_size} bytes", path)


class LocalStore:
    """Files that plain calls reach."""

    def find(
        self, pattern: str, on_lost: Callable[[OSError], None] | None = None
    ) -> list[FoundFile]:
        """A path without wild cards may be a folder, and is listed as it is.

        Args:
            pattern: what to look for. on_lost: called for each file that can not be looked up, as a
                link to nothing; None: that is raised.
        """
        if not has_wildcard(pattern):
            found = self.look_up(pattern)
            return [found] if found else []
        folder = literal_folder(pattern)
        matches = compile_pattern(pattern).fullmatch
        paths = _paths_below(folder) if crosses_folders(pattern) else _paths_in(folder)
        files = []
        for path in filter(matches, paths):
            try:
                file = _stat(path)
            except OSError as error:
                if on_lost is None:
                    raise
                on_lost(error)
                continue
            files += [file] if file else []
        return files

    def list(self, folder: str) -> Iterator[FoundFile]:
        """Links to files and folders are followed, each folder once."""
        for path in _paths_below(os.path.join(folder, "") if folder else ""):
            if found := self.look_up(path):
                yield found

    def exists(self, path: str) -> bool:
        """True also for a folder."""
        return os.path.exists(path)

    def look_up(self, path: str) -> FoundFile | None:
        """None also for a link to nowhere."""
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FoundFile(path, status.st_size, _version_of(status))

    def open(self, path: str) -> BinaryIO:
        """Buffered."""
        return open(path, "rb")

    def create(self, path: str) -> BinaryIO:
        """Its folder is made."""
        make_folder(os.path.dirname(path))
        return open(path, "wb")

    def read(self, path: str) -> tuple[bytes, str]:
        """The version is that of the content, also while another process replaces the file."""
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            _check_small(path, status)
            return file.read(), _version_of(status)

    def write(self, path: str, content: bytes) -> None:
        """Returns when a power cut can not undo it."""
        with _written_beside(path, content) as temporary:
            os.replace(temporary, path)
            sync_folder_of(path)

    def put(self, local_path: str, path: str) -> None:
        """Moves the file where both lie on one disk."""
        make_folder(os.path.dirname(path))
        try:
            sync(local_path)
            os.replace(local_path, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(local_path, path)
        sync_folder_of(path)

    def write_new(self, path: str, content: bytes) -> bool:
        """By a hard link, which fails where the name is taken."""
        try:
            if not _link_unnamed(path, content):
                with _written_beside(path, content) as temporary:
                    os.link(temporary, path)
        except FileExistsError:
            return False
        sync_folder_of(path)
        return True

    def write_over(self, path: str, content: bytes, version: str) -> bool:
        """Under a lock on the present file, so that one of several writers wins."""
        try:
            present = open(path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            return False
        with present, _written_beside(path, content) as temporary:
            fcntl.flock(present, fcntl.LOCK_EX)
            # The one who had the lock before may have put another file in its place.
            if not _is_still(present, path) or _version_of(os.fstat(present.fileno())) != version:
                return False
            os.replace(temporary, path)
            sync_folder_of(path)
            return True

    def delete(self, paths: Sequence[str]) -> None:
        """One after the other."""
        for path in paths:
            _remove_if_there(path)

    def rename(self, source: str, target: str) -> None:
        """A file of the new name goes in the same moment."""
        os.replace(source, target)

    def _copy(self, source: str, target: str) -> None:
        temporary = _temporary_name(target)
        try:
            shutil.copyfile(source, temporary)
            sync(temporary)
            os.replace(temporary, target)
        finally:
            _remove_if_there(temporary)


def _paths_in(folder: str) -> Iterator[str]:
    """What lies in a folder and is none; pipes and devices too: to leave one out would lose it."""
    try:
        entries = os.scandir(folder or os.curdir)
    except (FileNotFoundError, NotADirectoryError):
        return  # it is not there, or not any more
    with entries:
        yield from (folder + entry.name for entry in entries if not _is_folder(entry))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever looks it up is told
        return False


def _paths_below(folder: str) -> Iterator[str]:
    """The same at any depth, by way of links as well, but into no folder twice.

    A folder that can not be read is an error, for what it holds would be missing without a word.
    """
    seen = {_identity(folder or os.curdir)}
    for place, folders, _ in os.walk(folder or os.curdir, onerror=_raise, followlinks=True):
        prefix = os.path.join(place, "") if folder else os.path.normpath(place) + "/"
        yield from _paths_in("" if prefix == "./" else prefix)
        # Of a folder and a link to it, the folder itself.
        folders.sort(key=lambda name: (os.path.islink(os.path.join(place, name)), name))
        for name in list(folders):
            identity = _identity(os.path.join(place, name))
            if identity in seen:
                folders.remove(name)
            seen.add(identity)


def _identity(folder: str) -> tuple[int, int] | None:
    """What tells a folder from all others, by whichever link it is reached."""
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # it has gone meanwhile
        raise error


def _stat(path: str) -> FoundFile | None:
    """A file that was listed; None when it has gone since. Raises for a link to nowhere."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            raise FileNotFoundError(errno.ENOENT, "a link to nothing", path) from None
        return None
    return FoundFile(path, status.st_size, _version_of(status))


def _is_still(file: BinaryIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _version_of(status: os.stat_result) -> str:
    return str(status.st_mtime_ns)


def _temporary_name(path: str) -> str:
    return f"{path}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"


@contextmanager
def _written_beside(path: str, content: bytes) -> Iterator[str]:
    """The content in a synced file of another name; what is left of that name goes at the end."""
    make_folder(os.path.dirname(path))
    temporary = _temporary_name(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        _remove_if_there(temporary)


def _link_unnamed(path: str, content: bytes) -> bool:
    """Gives a file without a name its first one; False where the system has no such files.

    Whoever is killed before that leaves nothing: nobody may remove a file of another name later.
    """
    folder = os.path.dirname(path) or os.curdir
    make_folder(folder)
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", None) in (None, errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return False
        raise
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        place = os.open(folder, os.O_RDONLY)
        try:  # with a folder given, Python asks for the link to be followed
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=place, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:
            return False  # without /proc there is no way to say which file
        finally:
            os.close(place)
    return True


def _remove_if_there(path: str) -> None:
    with suppress(FileNotFoundError):
        os.remove(path)
