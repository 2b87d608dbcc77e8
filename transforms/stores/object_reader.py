"""A file over a store that hands out ranges.

    reads in order      |- 1 MiB -|-- 2 MiB --|---- 4 MiB ----|-------- 8 MiB --------|...
                                              └ is being read ┘└ fetched meanwhile ┘
    after a seek        begins again with 1 MiB, nothing fetched in advance

Memory: two ranges.
"""

import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_FIRST_BYTES = 1 << 20
_MAX_BYTES = 8 << 20

# get(start, stop, version) -> bytes, size of the whole, version. A version once seen must stay.
GetRange = Callable[[int, int, str | None], tuple[bytes, int, str]]


class ObjectReader(io.RawIOBase):
    """Opening reads the first range, so that a small file costs one request.

    Args:
        get: fetches a range; called from another thread too.
    """

    def __init__(self, get: GetRange) -> None:
        self._get = get
        self._position = 0
        self._start = 0  # of the buffer, in the file
        self._next: tuple[int, Future[tuple[bytes, int, str]]] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._buffer, self._size, self._version = get(0, _FIRST_BYTES, None)
        self._fetch_bytes = _FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"can not seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        if self._position >= self._size:
            return 0
        if not self._start <= self._position < self._start + len(self._buffer):
            self._load(len(target))
        offset = self._position - self._start
        count = min(len(target), len(self._buffer) - offset)
        target[:count] = memoryview(self._buffer)[offset : offset + count]
        self._position += count
        return count

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._next = None
        self._buffer = b""
        super().close()

    def _load(self, wanted: int) -> None:
        """Makes the buffer hold the byte at the position."""
        start = self._position
        if start != self._start + len(self._buffer):
            self._next = None
            self._fetch_bytes = _FIRST_BYTES
            self._take(start, self._fetch(start, max(wanted, _FIRST_BYTES)))
            return
        if self._next is not None and self._next[0] == start:
            fetched = self._next[1].result()
        else:
            self._fetch_bytes = min(2 * self._fetch_bytes, _MAX_BYTES)
            fetched = self._fetch(start, max(wanted, self._fetch_bytes))
        self._take(start, fetched)
        self._fetch_in_advance(start + len(self._buffer))

    def _take(self, start: int, fetched: tuple[bytes, int, str]) -> None:
        content, size, _ = fetched
        if size != self._size or not content:
            raise OSError(
                f"a range at byte {start} of {self._size}: found {len(content)} bytes of {size}"
            )
        self._buffer, self._start = content, start

    def _fetch(self, start: int, count: int) -> tuple[bytes, int, str]:
        return self._get(start, min(start + count, self._size), self._version)

    def _fetch_in_advance(self, start: int) -> None:
        self._next = None
        if start >= self._size:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._fetch_bytes = min(2 * self._fetch_bytes, _MAX_BYTES)
        self._next = (start, self._threads.submit(self._fetch, start, self._fetch_bytes))
