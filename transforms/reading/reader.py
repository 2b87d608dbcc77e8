"""Opening an input: format, codec and record reader put together."""

import hashlib
from collections.abc import Generator, Iterator
from typing import BinaryIO

from transforms.documents import RecordBatch
from transforms.filesystem import naming_place, open_raw
from transforms.reading.byte_stream import (
    HEAD_BYTES,
    decompress,
    decompress_members,
    decompress_part,
)
from transforms.reading.coverage import Coverage
from transforms.reading.formats import InputFormat, Part, ReadSettings, detect_format
from transforms.reading.json_lines import read_json_lines
from transforms.reading.parquet import read_parquet
from transforms.reading.part_lines import read_part_lines
from transforms.reading.plain_text import read_plain_text
from transforms.reading.raw_input import RawInput
from transforms.reading.web_archive import read_web_archive


class Reader:
    """Iterates over the RecordBatches of one input; also a context manager.

    After the last batch these tell about the whole input (before, about what
    was read so far):

    Attributes:
        part: start and stop of the part of the file that is read; None: all of it.
        records: records counted.
        input_bytes: size of the raw file, or of the part.
        input_sha256: hex digest of those bytes.
        decoded_bytes, undecoded_bytes, is_truncated: as in Coverage.
        lost_bytes: the sum of the rejects' own.
    """

    def __init__(self, path: str, settings: ReadSettings, part: Part | None = None) -> None:
        self.path = path
        self.part = part
        self.input_format = settings.input_format or detect_format(path)
        self.records = 0
        self.input_bytes = 0
        self.input_sha256 = hashlib.sha256().hexdigest()
        self.lost_bytes = 0
        self._coverage = Coverage()
        self._settings = settings
        self._batches = self._read()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; what was not read of the input stays unread."""
        self._batches.close()

    def __iter__(self) -> "Reader":
        return self

    def __next__(self) -> RecordBatch:
        batch = next(self._batches)
        self.records += batch.records
        self.lost_bytes += sum(reject.lost_bytes for reject in batch.rejects)
        return batch

    @property
    def decoded_bytes(self) -> int:
        return self._coverage.decoded_bytes

    @property
    def undecoded_bytes(self) -> int:
        return self._coverage.undecoded_bytes

    @property
    def is_truncated(self) -> bool:
        return self._coverage.is_truncated

    def _read(self) -> Generator[RecordBatch, None, None]:
        with naming_place(self.path), RawInput(self._open, *(self.part or ())) as raw:
            if self.input_format is InputFormat.PARQUET:
                # Parquet is read from its end; a pass of its own counts and hashes it.
                with self._open() as handle:
                    yield from read_parquet(
                        handle, self._settings, self.path, self._coverage, self.part
                    )
                raw.drain()
            else:
                for batch in self._records_of(raw):
                    self._note(raw)
                    yield batch
            self._note(raw)

    def _records_of(self, raw: RawInput) -> Iterator[RecordBatch]:
        head = self._head()
        if self.input_format in (InputFormat.WET, InputFormat.WARC):
            members = decompress_members(raw, self.path, self._coverage, head)
            return read_web_archive(
                members,
                self._settings,
                self.input_format,
                self._coverage,
                is_first=head is None,
            )
        if self.part is not None:  # of JSON lines: no other format comes here in parts
            events = decompress_part(raw, self.path, self._coverage, head)
            return read_part_lines(events, self._settings, is_first=head is None)
        pieces = decompress(raw, self.path, self._coverage)
        if self.input_format is InputFormat.JSONL:
            return read_json_lines(pieces, self._settings)
        return read_plain_text(pieces, self._settings, self.path)

    def _head(self) -> bytes | None:
        """The first bytes of the file, where those of the part are others."""
        if self.part is None or self.part[0] == 0:
            return None
        with RawInput(self._open, 0, HEAD_BYTES) as raw:
            return raw.peek(HEAD_BYTES)

    def _open(self) -> BinaryIO:
        return open_raw(self.path)

    def _note(self, raw: RawInput) -> None:
        self.input_bytes = raw.size - (self.part[0] if self.part else 0)
        self.input_sha256 = raw.sha256


def open_reader(path: str, settings: ReadSettings, part: Part | None = None) -> Reader:
    """Opens an input of any format, on any filesystem Beam knows, or one of the parts it has.

        with open_reader("gs://bucket/part-0.jsonl.zst", ReadSettings()) as reader:
            for batch in reader:
                ...

    Raises, at once or from the first batch on:
      ConfigurationError: the name or the columns do not fit the settings.
      OSError: the file can not be opened or read. What is wrong inside the
        file is no exception but a reject with its reason.
    """
    return Reader(path, settings, part)
