"""Temporary folders that outlive no one: what a process that was killed left goes with the next.

$TMPDIR/tokenmill-scratch-x7/     its process lives: `lock` can not be locked by another
$TMPDIR/tokenmill-scratch-k2/     its process was killed: the system gave `lock` back; removed
"""

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "tokenmill-scratch-"
_LOCK = "lock"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in $TMPDIR: gone afterwards, or when a later process makes one.

    A unit that is encoded again takes as much room there as its files; without this, each `verify`
    that was killed would leave as much.
    """
    _remove_abandoned(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        # Locked before it has the name that others look at.
        unlocked = Path(name, "new")
        # A descriptor: a file object may be collected before the generator that would close it.
        lock = os.open(unlocked, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            with contextlib.suppress(OSError):  # no locks there: then nobody removes it but we
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unlocked.rename(Path(name, _LOCK))
            inner = Path(name, "files")
            inner.mkdir()
            yield inner
        finally:
            os.close(lock)


@functools.cache
def _remove_abandoned(folder: str) -> None:
    """Removes our user's scratch folders whose process is gone; looks once a process."""
    for path in Path(folder).glob(f"{_PREFIX}*"):
        # One that goes meanwhile, is of another user, or still in use.
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with Path(path, _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
