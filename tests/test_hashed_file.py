"""A file that is hashed while it is written: its digest is that of what is on the disk."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_export import exported, make_source

from transforms.exports.formats import EXPORT_FORMATS
from transforms.shards import staged_file
from transforms.shards.hashed_file import HashedFile, digests_of, write_all
from transforms.shards.staged_file import digest_of

# Their tables stand before what they are made of, or their package writes them.
READ_AGAIN = {"mds", "litdata", "arrayrecord"}


def test_bytes_arrays_and_what_arrow_and_gzip_write_are_hashed(tmp_path: Path) -> None:
    plain, table, packed = (HashedFile(str(tmp_path / name), b"") for name in "abc")
    plain.write(b"head")
    plain.write(np.arange(70_000, dtype="<u4"))
    plain.write(np.zeros(0, "<u2"))
    with pq.ParquetWriter(table, pa.schema([("n", pa.int64())])) as writer:
        writer.write_table(pa.table({"n": range(100_000)}))
    with gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as file:
        file.write(bytes(100_000))
    for one in (plain, table, packed):
        assert not one.closed
        one.close()
        one.close()
        assert one.digest == digest_of(one.path)
    assert (tmp_path / "a").read_bytes() == b"head" + np.arange(70_000, dtype="<u4").tobytes()
    assert pq.read_table(tmp_path / "b").num_rows == 100_000
    assert digests_of(plain, packed) == {one.path: digest_of(one.path) for one in (plain, packed)}


def test_a_short_write_goes_on_where_it_ended() -> None:
    class Disk:
        def __init__(self) -> None:
            self.content = b""

        def write(self, content: memoryview) -> int:
            self.content += bytes(content[:3])
            return min(3, len(content))

    disk = Disk()
    assert bytes(write_all(disk, b"0123456789")) == disk.content == b"0123456789"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(EXPORT_FORMATS.keys() - READ_AGAIN))
def test_an_export_reads_no_file_again_to_know_its_digest(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path)

    def refuse(path: str) -> None:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(staged_file, "digest_of", refuse)
    more = {"sequence_length": 64} if name == "npy" else {}
    output = exported(source, tmp_path / "out", name, shuffle=1, **more)
    assert (output / "manifest.json").exists()
