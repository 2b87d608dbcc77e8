"""How much of a damaged input was read: decoded, undecoded, lost, truncated."""

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from transforms.documents import Reason
from transforms.reading import Reader, ReadSettings, open_reader


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


CODECS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": _zstd,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def wet_record(number: int, text_bytes: int = 3000) -> bytes:
    draw = random.Random(number)
    text = bytes(draw.choices(b"abcdefgh \n", k=text_bytes))
    head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <urn:{number}>\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text + b"\r\n\r\n"


def read(path: Path) -> Reader:
    """The reader after the last batch; its lost bytes are those of its rejects."""
    with open_reader(str(path), ReadSettings()) as reader:
        rejects = [reject for batch in reader for reject in batch.rejects]
    assert reader.lost_bytes == sum(reject.lost_bytes for reject in rejects)
    faults = (Reason.DAMAGED_RECORD, Reason.DAMAGED_STREAM)
    assert not any(reject.lost_bytes for reject in rejects if reject.reason not in faults)
    return reader


@pytest.mark.parametrize("ending", ["", *CODECS])
def test_a_whole_archive_is_decoded_and_nothing_of_it_lost(tmp_path: Path, ending: str) -> None:
    data = b"".join(map(wet_record, range(30)))
    path = tmp_path / f"a.warc.wet{ending}"
    path.write_bytes(CODECS[ending](data) if ending else data)
    reader = read(path)
    assert reader.decoded_bytes == len(data)
    assert (reader.lost_bytes, reader.undecoded_bytes) == (0, 0)
    assert not reader.is_truncated


@pytest.mark.parametrize("share", [0.4, 0.99])
@pytest.mark.parametrize("ending", ["", *CODECS])
def test_a_truncated_archive_says_so(tmp_path: Path, ending: str, share: float) -> None:
    data = b"".join(wet_record(i) for i in range(40))
    compressed = CODECS[ending](data) if ending else data
    cut = compressed[: int(share * len(compressed))]
    path = tmp_path / f"a.warc.wet{ending}"
    path.write_bytes(cut)
    reader = read(path)
    assert reader.is_truncated
    assert reader.input_bytes == len(cut)
    assert reader.decoded_bytes < len(data)
    assert reader.undecoded_bytes <= 128 << 10, "at most the block that was cut"


@pytest.mark.parametrize("ending", CODECS)
def test_bytes_between_members_that_were_never_decoded_are_counted(
    tmp_path: Path, ending: str
) -> None:
    members = [CODECS[ending](wet_record(i)) for i in range(3)]
    path = tmp_path / f"a.warc.wet{ending}"
    path.write_bytes(members[0] + b"\x01" * 700 + members[1] + members[2])
    reader = read(path)
    assert reader.undecoded_bytes == 700
    assert not reader.is_truncated
    assert reader.records == 4  # three documents and the gap
    path.write_bytes(members[0] + members[1] + b"\x01" * 700)
    reader = read(path)
    assert reader.undecoded_bytes == 700
    assert not reader.is_truncated, "junk, not a member that was cut"
