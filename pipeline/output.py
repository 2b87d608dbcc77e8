"""A build read back: its manifest, its tokenizer, and its files, wherever they are."""

import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer import BUNDLED_NAMES, ConfigurationError, Tokenizer
from tokenizer.errors import MismatchError
from transforms import filesystem
from transforms.filesystem import exists, find_files, is_local, open_raw
from transforms.receipt import Receipt, ShardEntry
from transforms.settings import FORMAT
from transforms.writing.staged_file import read_whole

MANIFEST = "manifest.json"
FOLDERS = ("tokens", "documents", "rejects", "receipts")

_KEYS = ("fingerprint", "tokenizer", "settings", "totals", "inputs", "shards")
_SETTINGS = (
    "tokenizer",
    "tokenizer_fingerprint",
    "begin_of_text",
    "end_of_text",
    "max_shard_tokens",
)
_ROWS = 1 << 16


def read_manifest(directory: str) -> dict[str, Any]:
    """The manifest of a complete build. Raises MismatchError when there is none of our format."""
    path = f"{directory.rstrip('/')}/{MANIFEST}"
    if not exists(path):
        raise MismatchError(
            f"{path} does not exist: this is no build, or not a complete one; "
            "run `tokenmill build` again to complete it"
        )
    try:
        manifest = json.loads(read_whole(path))
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ValueError(f"expected an object of the format {FORMAT}")
        if missing := [key for key in _KEYS if key not in manifest]:
            raise ValueError(f"it has no {missing[0]!r}")
        if missing := [key for key in _SETTINGS if key not in manifest["settings"]]:
            raise ValueError(f"its settings have no {missing[0]!r}")
        for entry in (*manifest["inputs"], *manifest["shards"]):
            if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
                raise ValueError(f"an entry without a path: {entry}")
    except (ValueError, TypeError) as error:
        raise MismatchError(f"{path}: not a manifest of {FORMAT}: {error}") from error
    return manifest


def tokenizer_of(manifest: dict[str, Any], given: Tokenizer | None) -> Tokenizer:
    """The tokenizer the build was made with: the one given, or a bundled one by its name.

    Raises ConfigurationError when the vocabulary came from a file and none is given,
    MismatchError when it would not give the same ids.
    """
    settings = manifest["settings"]
    name, expected = settings["tokenizer"], settings["tokenizer_fingerprint"]
    if given is None and name not in BUNDLED_NAMES:
        raise ConfigurationError(
            f"the build was made with a vocabulary from a file ({name!r}): name it with "
            "--tokenizer, --split-pattern and --special-tokens"
        )
    tokenizer = given or Tokenizer.load(name)
    if tokenizer.fingerprint != expected:
        raise MismatchError(
            f"{MANIFEST}: settings.tokenizer_fingerprint: expected {tokenizer.fingerprint}, that "
            f"of {tokenizer.vocabulary.name}, found {expected}: the build was made with another "
            "vocabulary, split pattern, special tokens or Unicode version; a vocabulary from a "
            "file is named with --tokenizer, --split-pattern and --special-tokens"
        )
    return tokenizer


def list_files(directory: str) -> dict[str, int]:
    """Every file below the folders a build writes: path relative to `directory`, and bytes."""
    base = directory.rstrip("/") + "/"
    found: dict[str, int] = {}
    for folder in FOLDERS:
        if is_local(base):
            for place, _, names in os.walk(base + folder):
                for name in names:
                    path = os.path.join(place, name)
                    found[path.replace(os.sep, "/")] = os.path.getsize(path)
        else:
            found.update(file[:2] for file in find_files(f"{base}{folder}/**"))
    return {path.removeprefix(base): size for path, size in found.items()}


def read_receipts(directory: str, files: Iterable[str]) -> dict[str, Receipt]:
    """The receipts among the files of a build, by unit name. MismatchError for a broken one."""
    receipts = {}
    for name in files:
        if name.startswith("receipts/") and name.endswith(".json"):
            path = f"{directory.rstrip('/')}/{name}"
            receipt = Receipt.from_json(read_whole(path), path)
            receipts[receipt.input.path] = receipt
    return receipts


def files_of(receipt: Receipt) -> dict[str, int]:
    """The files a receipt stands for, itself not among them: path and bytes."""
    files = {shard.path: shard.bytes for shard in receipt.shards}
    for index in (receipt.documents, receipt.rejects):
        if index is not None:
            files[index.path] = index.bytes
    return files


def delete_files(directory: str, paths: Iterable[str]) -> None:
    """Deletes files of a build, named relative to its folder."""
    filesystem.delete_files(f"{directory.rstrip('/')}/{path}" for path in paths)


@contextmanager
def local_copy(directory: str, path: str) -> Iterator[str]:
    """A name under which plain file calls reach a file of the build; a copy where they can not.

    Raises MismatchError when it does not exist.
    """
    source = f"{directory.rstrip('/')}/{path}"
    if not exists(source):
        raise MismatchError(f"{path}: the file is missing")
    if is_local(source):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="tokenmill-") as folder:
        copy = Path(folder, "copy")
        with (
            open_raw(source) as remote,
            copy.open("wb") as file,
        ):
            shutil.copyfileobj(remote, file, 1 << 20)
        yield str(copy)


@dataclass(frozen=True, slots=True)
class Shard:
    """A token shard on a local disk, read in pieces, so that memory is what is asked for.

    Plain reads, not a memory map: pages of a map count as memory of the process.
    """

    local_path: str
    entry: ShardEntry
    data_offset: int

    @classmethod
    def open(cls, local_path: str, entry: ShardEntry) -> "Shard":
        """Raises MismatchError when header or size are not those of the entry."""
        with open(local_path, "rb") as file:
            try:
                if np.lib.format.read_magic(file) != (1, 0):
                    raise ValueError("expected version 1.0 of the format")
                shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
            except ValueError as error:
                raise MismatchError(f"{entry.path}: no .npy header: {error}") from error
            data_offset = file.tell()
            size = file.seek(0, os.SEEK_END)
        found = (dtype.str, shape, fortran_order)
        expected = (entry.dtype, (entry.tokens,), False)
        if found != expected:
            raise MismatchError(
                f"{entry.path}: header: expected (dtype, shape, Fortran order) {expected}, "
                f"found {found}"
            )
        if size != data_offset + entry.tokens * dtype.itemsize:
            raise MismatchError(
                f"{entry.path}: {size} bytes can not hold the {entry.tokens} tokens of its header"
            )
        return cls(local_path, entry, data_offset)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The tokens from start to stop, both within the shard."""
        dtype = np.dtype(self.entry.dtype)
        return np.fromfile(
            self.local_path,
            dtype,
            count=stop - start,
            offset=self.data_offset + start * dtype.itemsize,
        )


def read_rows(
    local_path: str, path: str, schema: pa.Schema, columns: Sequence[str]
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of an index file in order, so many at a time.

    Raises MismatchError, naming `path`, when it is no Parquet file of that schema.
    """
    try:
        with pq.ParquetFile(local_path) as file:
            found = file.schema_arrow
            if not found.equals(schema):
                raise MismatchError(f"{path}: columns: expected\n{schema}\nfound\n{found}")
            yield from file.iter_batches(_ROWS, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise MismatchError(f"{path}: not a readable Parquet file: {error}") from error
