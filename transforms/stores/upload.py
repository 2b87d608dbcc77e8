"""A file to write to, for stores that take a whole one."""

import io
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any, BinaryIO


class Upload(io.BufferedRandom):
    """A temporary local file that is handed to `upload` when it is closed."""

    def __init__(self, upload: Callable[[BinaryIO], None]) -> None:
        file = TemporaryFile(buffering=0)  # noqa: SIM115
        super().__init__(file)
        self._upload = upload

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            super().close()
        self.close()

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.seek(0)
            self._upload(self)
        finally:
            super().close()
