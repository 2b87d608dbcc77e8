"""Object stores: s3://, gs://, az://, through Rust's object_store (the package obstore).

    read whole      1 GET             list        1 LIST a thousand files
    write, put      1 PUT             exists      1 HEAD
    put, > 16 MiB   1 PUT a part + 2  delete      1 POST a thousand files (s3://)

A put is atomic: nobody sees a part of an object, and a multipart upload that fails is aborted. What
a killed process leaves of one is for unfinished_uploads.py.
Requests that fail with 5xx, lose their connection or stall are repeated with a growing pause until
RETRY_SECONDS have passed; what fails after that is an OSError.
"""

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from transforms.stores import object_settings
from transforms.stores.object_errors import CutOffError, ObjectErrors, first_line
from transforms.stores.object_reader import ObjectReader
from transforms.stores.packages import needed_package
from transforms.stores.patterns import find_by_listing
from transforms.stores.store import FoundFile
from transforms.stores.upload import Upload

# An outage of a minute must not end a job; more than 5 minutes outlive a signature.
RETRY_SECONDS = 180.0
# For one request with its body: a part of PART_BYTES at 150 KB/s, while 3 others are sent.
REQUEST_SECONDS = 60.0
# Without a byte for so long a connection is given up, and the request repeated.
STALL_SECONDS = 30.0
PART_BYTES = 8 << 20
MAX_WHOLE_BYTES = 2 * PART_BYTES  # what is larger is sent in parts
_MAX_PARTS = 9_000  # S3 allows 10,000
_PARTS_AT_ONCE = 4
_PAGE_FILES = 1_000  # what S3 gives in an answer

_CLASSES = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}
_EXTRAS = {"s3": "aws", "gs": "gcs", "az": "azure"}


class ObjectStore:
    """The objects of every bucket of one scheme.

    Raises:
        ConfigurationError: obstore is not installed.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._obstore: Any = needed_package("obstore", f"{scheme}://", _EXTRAS[scheme])
        self._stores: Any = needed_package("obstore.store", f"{scheme}://", _EXTRAS[scheme])
        self._errors: Any = needed_package("obstore.exceptions", f"{scheme}://", _EXTRAS[scheme])
        self._named = ObjectErrors(self._errors, object_settings.HINTS[scheme]).named
        self._bucket_store: Callable[[str], Any] = lru_cache(self._open_bucket)

    def find(self, pattern: str) -> list[FoundFile]:
        """One listing of the folder before the first wild card; subfolders only where needed."""
        return find_by_listing(
            pattern,
            self.look_up,
            lambda folder, is_deep: self.list(folder) if is_deep else self._list_one(folder),
        )

    def list(self, folder: str) -> Iterator[FoundFile]:
        """A page of a thousand at a time."""
        bucket, prefix = self._parts_of(folder)
        store = self._bucket_store(bucket)
        pages: Any = None
        last: str | None = None

        def next_page() -> Any:
            nonlocal pages
            # A stream that fails is not asked again.
            stream = pages or self._obstore.list(
                store, prefix or None, offset=last, chunk_size=_PAGE_FILES
            )
            pages = None
            page = next(stream, None)
            pages = stream
            return page

        while page := self._until_whole(folder, next_page):
            last = page[-1]["path"]
            for meta in page:
                yield self._found(bucket, meta)

    def exists(self, path: str) -> bool:
        """False for what is only the beginning of other names."""
        return self.look_up(path) is not None

    def look_up(self, path: str) -> FoundFile | None:
        """One request."""
        bucket, key = self._parts_of(path)
        try:
            with self._named(path):
                return self._found(bucket, self._obstore.head(self._bucket_store(bucket), key))
        except FileNotFoundError:
            return None

    def open(self, path: str) -> BinaryIO:
        """Reads by ranges of one version; an object replaced meanwhile is an OSError."""
        bucket, key = self._parts_of(path)

        def get(start: int, stop: int, version: str | None) -> tuple[bytes, int, str]:
            return self._get_range(path, bucket, key, start, stop, version)

        return io.BufferedReader(ObjectReader(get), 1 << 16)

    def create(self, path: str) -> BinaryIO:
        """Uploaded when it is closed, and not at all when an exception ends its `with`."""
        return Upload(lambda file: self._put(path, file))

    def read(self, path: str) -> tuple[bytes, str]:
        """One request."""
        bucket, key = self._parts_of(path)
        with self._named(path):
            result = self._obstore.get(self._bucket_store(bucket), key)
            content, meta = bytes(result.bytes()), result.meta
        # Cloud Storage's conditions are on the generation, which obstore calls version.
        return content, str(meta["version"]) if self._scheme == "gs" else _etag_of(meta)

    def write(self, path: str, content: bytes) -> None:
        """One request."""
        self._put(path, content)

    def put(self, local_path: str, path: str) -> None:
        """In one request, or in parts."""
        size = os.path.getsize(local_path)
        if size <= MAX_WHOLE_BYTES:
            self._put(path, Path(local_path).read_bytes())
        else:
            part_bytes = max(PART_BYTES, -(-size // _MAX_PARTS))
            self._put(path, Path(local_path), chunk_size=part_bytes, use_multipart=True)

    def write_new(self, path: str, content: bytes) -> bool:
        """Needs a store with conditional puts: S3, Cloud Storage and Azure have them."""
        return self._put_if(path, content, "create")

    def write_over(self, path: str, content: bytes, version: str) -> bool:
        """Needs a store with conditional puts: S3, Cloud Storage and Azure have them."""
        mode = {"version": version} if self._scheme == "gs" else {"e_tag": f'"{version}"'}
        return self._put_if(path, content, mode)

    def delete(self, paths: Sequence[str]) -> None:
        """A thousand in a request, where the store has such requests."""
        by_bucket: dict[str, list[str]] = {}
        for path in paths:
            bucket, key = self._parts_of(path)
            by_bucket.setdefault(bucket, []).append(key)
        for bucket, keys in by_bucket.items():
            with self._named(f"{self._scheme}://{bucket}/{keys[0]}"):
                try:
                    self._obstore.delete(self._bucket_store(bucket), keys)
                except (self._errors.BaseError, FileNotFoundError):
                    self._delete_one_by_one(bucket, keys)

    def rename(self, source: str, target: str) -> None:
        """A copy, then a delete: the source is there until the target is whole."""
        bucket, old = self._parts_of(source)
        target_bucket, new = self._parts_of(target)
        if bucket != target_bucket:
            raise OSError(f"{source}: can not be renamed to {target}, in another bucket")
        with self._named(target):
            self._obstore.copy(self._bucket_store(bucket), old, new)
        self.delete([source])

    def _open_bucket(self, bucket: str) -> Any:
        seconds = timedelta(seconds=1)
        kind = getattr(self._stores, _CLASSES[self._scheme])
        options, client = object_settings.of_scheme(self._scheme)
        return kind(
            bucket,
            client_options={
                "timeout": REQUEST_SECONDS * seconds,
                "read_timeout": STALL_SECONDS * seconds,
                "connect_timeout": min(5.0, STALL_SECONDS) * seconds,
                **client,
            },
            retry_config={
                "max_retries": 1_000,  # the time is the bound
                "retry_timeout": RETRY_SECONDS * seconds,
                "backoff": {
                    "init_backoff": 0.05 * seconds,
                    "max_backoff": 5 * seconds,
                    "base": 2,
                },
            },
            **options,
        )

    def _parts_of(self, path: str) -> tuple[str, str]:
        bucket, _, key = path.strip().partition("://")[2].partition("/")
        return bucket, key.rstrip("/")

    def _found(self, bucket: str, meta: Any) -> FoundFile:
        path = f"{self._scheme}://{bucket}/{meta['path']}"
        return FoundFile(path, meta["size"], _etag_of(meta))

    def _list_one(self, folder: str) -> Iterator[FoundFile]:
        bucket, prefix = self._parts_of(folder)
        store = self._bucket_store(bucket)
        listed = self._until_whole(
            folder, lambda: self._obstore.list_with_delimiter(store, prefix or None)
        )
        for meta in listed["objects"]:
            yield self._found(bucket, meta)

    def _get_range(
        self, path: str, bucket: str, key: str, start: int, stop: int, version: str | None
    ) -> tuple[bytes, int, str]:
        """Bytes of a range, the size of the object, and its version."""
        options: dict[str, Any] = {"range": (start, stop)}
        if version:
            options["if_match"] = version
        store = self._bucket_store(bucket)
        with self._named(path):
            try:
                result = self._obstore.get(store, key, options=options)
            except self._errors.PreconditionError as error:
                raise OSError(f"{path}: it was replaced while it was read; run again") from error
            except self._errors.GenericError as error:
                if "416" not in first_line(error):
                    raise
                meta = self._obstore.head(store, key)  # an empty object has no range
                return b"", meta["size"], meta["e_tag"]
            return bytes(result.bytes()), result.meta["size"], result.meta["e_tag"]

    def _put(self, path: str, content: Any, **options: Any) -> None:
        bucket, key = self._parts_of(path)
        with self._named(path):
            self._obstore.put(
                self._bucket_store(bucket),
                key,
                content,
                **{"use_multipart": False, "max_concurrency": _PARTS_AT_ONCE, **options},
            )

    def _put_if(self, path: str, content: bytes, mode: Any) -> bool:
        """Whether the condition held."""
        give_up = time.monotonic() + RETRY_SECONDS
        while True:
            done = self._try_put_if(path, content, mode, time.monotonic() > give_up)
            if done is not None:
                return done

    def _try_put_if(self, path: str, content: bytes, mode: Any, is_last: bool) -> bool | None:
        """None when the answer did not come: obstore does not repeat such a request by itself."""
        refused = (self._errors.AlreadyExistsError, self._errors.PreconditionError)
        bucket, key = self._parts_of(path)
        with self._named(path):
            try:
                self._obstore.put(self._bucket_store(bucket), key, content, mode=mode)
            except refused:
                return self._is_there(path, content)
            except FileNotFoundError:
                return False
            except self._errors.GenericError as error:
                if self._is_there(path, content):
                    return True
                if is_last or "HTTP error" not in first_line(error):
                    raise
                return None
        return True

    def _is_there(self, path: str, content: bytes) -> bool:
        """Whether a refused request is one of ours that was done and repeated."""
        try:
            return self.read(path)[0] == content
        except FileNotFoundError:
            return False

    def _delete_one_by_one(self, bucket: str, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(FileNotFoundError):
                self._obstore.delete(self._bucket_store(bucket), key)

    def _until_whole(self, path: str, operation: Callable[[], Any]) -> Any:
        """Repeats a listing whose answer was cut off: obstore does not."""
        give_up = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < give_up:
            with suppress(CutOffError), self._named(path):
                return operation()
        raise OSError(f"{path}: for {RETRY_SECONDS:g} s each listing was cut off")


def _etag_of(meta: Any) -> str:
    # Azure gives ETags with quotation marks, and lists them without.
    return str(meta["e_tag"] or "").strip('"')
