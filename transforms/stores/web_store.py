"""Web servers: https://host/path, as inputs; read by ranges where the server has them."""

import io
from collections.abc import Iterator, Mapping
from tempfile import TemporaryFile
from typing import BinaryIO

from tokenizer import ConfigurationError
from transforms.stores.object_reader import ObjectReader
from transforms.stores.read_only import ReadOnlyStore
from transforms.stores.store import FoundFile
from transforms.stores.web_client import Answer, request


class WebStore(ReadOnlyStore):
    """Files that a web server gives. `?` and what follows belong to the address: no wild cards."""

    def find(self, pattern: str) -> list[FoundFile]:
        """The file itself: a web server has no listing."""
        if "*" in pattern:
            raise ConfigurationError(
                f"{pattern}: a web server gives no listing, so wild cards match nothing there: "
                "name each file"
            )
        found = self.look_up(pattern)
        return [found] if found else []

    def list(self, folder: str) -> Iterator[FoundFile]:
        """Refused: a web server has no listing."""
        raise ConfigurationError(f"{folder}: a web server gives no listing: name each file")

    def exists(self, path: str) -> bool:
        """One request."""
        return self.look_up(path) is not None

    def look_up(self, path: str) -> FoundFile | None:
        """One request."""
        try:
            answer = request(path, path, "HEAD", {"Accept-Encoding": "identity"})
        except FileNotFoundError:
            return None
        size = answer.headers.get("Content-Length")
        if size is None:
            raise OSError(f"{path}: the server does not tell the file's size")
        return FoundFile(path, int(size), _version_of(answer))

    def open(self, path: str) -> BinaryIO:
        """Kept in a temporary file where the server gives no ranges."""
        return open_url(path, path)

    def read(self, path: str) -> tuple[bytes, str]:
        """One request."""
        answer = request(path, path)
        return answer.body, _version_of(answer)


def open_url(url: str, place: str, secret_headers: Mapping[str, str] | None = None) -> BinaryIO:
    """A file on a web server. `place`: what messages call it."""

    def get(start: int, stop: int, version: str | None) -> tuple[bytes, int, str]:
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        answer = request(url, place, "GET", headers, secret_headers)
        if answer.status != 206:
            raise _NoRangesError(answer.body)
        now = _version_of(answer)
        if version is not None and now != version:
            raise OSError(f"{place}: it was replaced while it was read; run again")
        return answer.body, int(answer.headers["Content-Range"].rpartition("/")[2]), now

    try:
        return io.BufferedReader(ObjectReader(get), 1 << 16)
    except _NoRangesError as error:
        file = TemporaryFile()  # noqa: SIM115
        file.write(error.body)
        file.seek(0)
        return file
    except OSError as error:
        if "status 416" not in str(error):
            raise
        return io.BytesIO()  # an empty file has no range


class _NoRangesError(OSError):
    """The server answers a range with the whole file."""

    def __init__(self, body: bytes) -> None:
        super().__init__("the server gives no ranges any more")
        self.body = body


def _version_of(answer: Answer) -> str:
    headers = answer.headers
    return (headers.get("ETag") or headers.get("Last-Modified") or "").strip('"')
