"""The raw bytes of one input: read once in order, counted, hashed, with a bounded look back."""

import hashlib
import sys
from collections.abc import Callable
from typing import BinaryIO

READ_BYTES = 2 << 20
LOOK_BACK_BYTES = 256 << 10
_TAIL_BYTES = 64 << 10  # read at a time where the bytes of a part have ended


class RawInput:
    """A window that moves over a file.

        |...look back...|<-- position -- unread, buffered ->|... still in the file

    Every byte of the file passes through `size` and `sha256` exactly once, in
    order, however the window is moved. Memory: READ_BYTES + LOOK_BACK_BYTES,
    or what `ensure` asks for if that is more.

    Of a part of a file, what stands before `start` is not read. What stands from `stop` on can be
    read, for a record may go on there, but is neither counted nor hashed: it is the next part's.
    """

    def __init__(
        self, opener: Callable[[], BinaryIO], start: int = 0, stop: int = sys.maxsize
    ) -> None:
        """Opens the file, or its part [start, stop)."""
        self._opener = opener
        self.stop = stop
        self._handle = opener()
        if start:
            self._handle.seek(start)
        self._buffer = b""
        self._cursor = 0  # of the next unread byte, in the buffer
        self._buffer_start = start  # of the buffer, in the file
        self._ended = False
        self._hash = hashlib.sha256()
        self.size = start

    def __enter__(self) -> "RawInput":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._handle.close()

    @property
    def position(self) -> int:
        """Offset in the file of the next unread byte."""
        return self._buffer_start + self._cursor

    @property
    def sha256(self) -> str:
        """Hex digest of what was read so far."""
        return self._hash.hexdigest()

    def reopen(self, start: int) -> "RawInput":
        """A second, independent pass over the same file from `start` on."""
        return RawInput(self._opener, start)

    def ensure(self, count: int) -> bool:
        """Buffers `count` unread bytes; False when the file has fewer (all are buffered then)."""
        while len(self._buffer) - self._cursor < count and not self._ended:
            left = self.stop - self._buffer_start - len(self._buffer)  # of what is to be hashed
            usual = min(READ_BYTES, left) if left > 0 else _TAIL_BYTES
            chunk = self._handle.read(max(usual, count - len(self._buffer) + self._cursor))
            if not chunk:
                self._ended = True
                break
            self._hash.update(chunk if len(chunk) <= left else chunk[: max(0, left)])
            self.size += max(0, min(len(chunk), left))
            drop = max(0, self._cursor - LOOK_BACK_BYTES)
            self._buffer = self._buffer[drop:] + chunk
            self._buffer_start += drop
            self._cursor -= drop
        return len(self._buffer) - self._cursor >= count

    def window(self, limit: int) -> memoryview:
        """The unread, buffered bytes, at most `limit` of them; does not move."""
        return memoryview(self._buffer)[self._cursor : self._cursor + limit]

    def peek(self, count: int, after: int = 0) -> bytes:
        """`count` bytes that follow `after` unread ones, or what the file has; does not move."""
        self.ensure(after + count)
        start = self._cursor + after
        return self._buffer[start : start + count]

    def advance(self, count: int) -> None:
        """Moves over `count` buffered bytes."""
        self._cursor += count

    def rewind(self, position: int) -> None:
        """Moves back to `position` in the file, or as near as the look back reaches."""
        self._cursor = max(0, position - self._buffer_start)

    def skip(self, count: int) -> bool:
        """Moves over `count` bytes, buffered or not; False when the file has fewer."""
        while count:
            if not self.ensure(1):
                return False
            step = min(count, len(self._buffer) - self._cursor)
            self._cursor += step
            count -= step
        return True

    def skip_zeros(self) -> None:
        """Moves over zero bytes."""
        while self.ensure(1) and not self._buffer[self._cursor]:
            unread = self._buffer[self._cursor : self._cursor + 4096]
            zeros = len(unread) - len(unread.lstrip(b"\0"))
            self._cursor += zeros

    def find(self, pattern: bytes, limit: int = sys.maxsize) -> bool:
        """Moves to the next occurrence of `pattern`, or to the end; True when there is one.

        One that begins at `limit` or after it counts as none; little more is read.
        """
        while True:
            at = self._buffer.find(pattern, self._cursor)
            if at >= 0:
                self._cursor = at
                return self.position < limit
            # The pattern may straddle the end of the buffer.
            self._cursor = max(self._cursor, len(self._buffer) - len(pattern) + 1)
            if self.position >= limit:
                return False
            if not self.ensure(len(self._buffer) - self._cursor + 1):
                self._cursor = len(self._buffer)
                return False

    def drain(self) -> None:
        """Reads to the end, so that `size` and `sha256` are those of the whole file or part."""
        while self._buffer_start + len(self._buffer) < self.stop and self.ensure(1):
            self._cursor = len(self._buffer)
