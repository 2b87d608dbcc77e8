"""Parquet files that say what is not so: counts, sizes, and few bytes that decode to many."""

import contextlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import parquet_files
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parquet_files import TEXTS

from tokenizer.errors import ConfigurationError
from transforms.documents import Reason, RecordBatch
from transforms.reading import Reader, ReadSettings, open_reader
from transforms.reading.parquet_pages import ChunkPages, Page


def read(path: Path, **options: object) -> tuple[list[RecordBatch], Reader]:
    """All batches; asserts that every record is a document or a reject, once."""
    with open_reader(str(path), ReadSettings(**options)) as reader:  # type: ignore[arg-type]
        batches = list(reader)
    numbers = [n for batch in batches for n in batch.documents.record.tolist()]
    numbers += [reject.record for batch in batches for reject in batch.rejects]
    assert sorted(numbers) == list(range(reader.records))
    return batches, reader


def texts(batches: list[RecordBatch]) -> list[str]:
    return [text for batch in batches for text in batch.documents.text.to_pylist()]


def details(batches: list[RecordBatch]) -> list[str]:
    return [reject.detail for batch in batches for reject in batch.rejects]


@pytest.mark.parametrize("group", [0, 1, 4])
@pytest.mark.parametrize(("claimed", "readable"), [(0, 0), (-1, 0), (-200, 0), (100, 100)])
def test_rows_that_a_row_group_denies_are_rejects(
    tmp_path: Path, group: int, claimed: int, readable: int
) -> None:
    parquet_files.write_with_counts(tmp_path / "f.parquet", group, rows=claimed)
    batches, reader = read(tmp_path / "f.parquet")
    start = group * 200 + readable
    assert texts(batches) == TEXTS[:start] + TEXTS[group * 200 + 200 :]
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert [reject.record for reject in rejects] == list(range(start, group * 200 + 200))
    assert {reject.reason for reject in rejects} == {Reason.DAMAGED_RECORD}
    assert f"row group {group}" in rejects[0].detail
    assert reader.records == 1000
    assert reader.lost_bytes == sum(reject.lost_bytes for reject in rejects) > 2000
    assert reader.undecoded_bytes > 500
    assert reader.decoded_bytes + reader.lost_bytes > 11 * 1000


@pytest.mark.parametrize("claimed", [201, 300, 10**12, 2**62])
def test_rows_that_no_page_holds_are_one_reject(tmp_path: Path, claimed: int) -> None:
    parquet_files.write_with_counts(tmp_path / "f.parquet", 1, rows=claimed)
    batches, reader = read(tmp_path / "f.parquet")
    assert texts(batches) == TEXTS
    assert details(batches) == [f"row group 1 says that it has {claimed} rows, its pages hold 200"]
    assert (reader.lost_bytes, reader.undecoded_bytes) == (0, 0)


@pytest.mark.parametrize("values", [0, -1])
def test_a_column_that_denies_its_values_costs_its_row_group(tmp_path: Path, values: int) -> None:
    parquet_files.write_with_counts(tmp_path / "f.parquet", 2, rows=None, values=values)
    batches, _ = read(tmp_path / "f.parquet")
    assert texts(batches) == TEXTS[:400] + TEXTS[600:]
    assert set(details(batches)) == {"row group 2 says that it has 200 rows, 0 could be read"}
    assert len(details(batches)) == 200


@pytest.mark.parametrize("values", [100, 300, 10**12])
def test_a_column_that_miscounts_its_values_is_read_by_its_pages(
    tmp_path: Path, values: int
) -> None:
    parquet_files.write_with_counts(tmp_path / "f.parquet", 2, rows=None, values=values)
    batches, _ = read(tmp_path / "f.parquet")
    assert (texts(batches), details(batches)) == (TEXTS, [])


@pytest.mark.parametrize("total", [0, -1, 999, 10**12])
def test_a_total_that_the_row_groups_contradict_is_one_reject(tmp_path: Path, total: int) -> None:
    parquet_files.write_with_total(tmp_path / "f.parquet", total)
    batches, reader = read(tmp_path / "f.parquet")
    assert texts(batches) == TEXTS
    assert details(batches) == [
        f"the footer says the file has {total} rows, its row groups have 1000"
    ]
    assert reader.records == 1001


def test_a_file_without_row_groups_has_no_records(tmp_path: Path) -> None:
    with pq.ParquetWriter(tmp_path / "f.parquet", pa.schema({"text": pa.string()})):
        pass
    assert read(tmp_path / "f.parquet")[0] == []


# Not ru_maxrss: a child inherits that of the process which started it.
_PEAK = """
import sys
from transforms.reading import ReadSettings, open_reader

def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

before = peak_kib()
with open_reader(sys.argv[1], ReadSettings()) as reader:
    documents = sum(len(batch.documents) for batch in reader)
print(documents, reader.records, (peak_kib() - before) // 1024)
"""


def peak_of(path: Path) -> tuple[int, int, int]:
    """Documents, records and MiB of memory of a process that reads a file."""
    ran = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)], capture_output=True, text=True, check=True
    )
    documents, records, mebibytes = map(int, ran.stdout.split())
    return documents, records, mebibytes


@pytest.mark.parametrize("keeps_type", [False, True])
def test_one_value_named_by_many_rows_is_decoded_in_slices(
    tmp_path: Path, keeps_type: bool
) -> None:
    path = tmp_path / "f.parquet"
    parquet_files.write_repeated_value(path, keeps_type=keeps_type)
    assert path.stat().st_size < 600
    documents, records, mebibytes = peak_of(path)
    assert (documents, records) == (2142, 2500)
    assert mebibytes < 200  # decoded at once: 2,142


@pytest.mark.parametrize("column", ["id", "url"])
def test_lists_of_values_that_are_named_again_are_not_decoded(column: str, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    parquet_files.write_repeated_lists(path, column)
    assert path.stat().st_size < 2000
    documents, _, mebibytes = peak_of(path)
    assert documents == 40
    assert mebibytes < 100  # decoded: 10 in a row, 400 in all
    batches, _ = read(path)
    assert {v for batch in batches for v in getattr(batch.documents, column).to_pylist()} == {None}


@pytest.mark.parametrize("page_version", ["1.0", "2.0"])
def test_values_that_share_beginnings_are_decoded_in_slices(
    page_version: str, tmp_path: Path
) -> None:
    path = tmp_path / "f.parquet"
    parquet_files.write_shared_beginnings(path, page_version)
    documents, _, mebibytes = peak_of(path)
    assert documents == 300
    assert mebibytes < 150  # decoded at once: 300, and copies


def test_a_page_above_max_record_bytes_is_never_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    parquet_files.write_large_page(path, 400 << 20)
    assert path.stat().st_size < 100_000
    assert peak_of(path)[:2] == (2, 3)
    assert peak_of(path)[2] < 50
    batches, reader = read(path)
    (reject,) = [reject for batch in batches for reject in batch.rejects]
    assert (reject.record, reject.reason) == (1, Reason.OVERSIZED_RECORD)
    assert "max_record_bytes" in reject.detail
    assert reader.lost_bytes == 0
    assert reader.undecoded_bytes > 10_000


@pytest.mark.parametrize("options", [{}, {"batch_bytes": 100_000}], ids=str)
def test_a_dictionary_of_large_values_changes_nothing(
    tmp_path: Path, options: dict[str, object]
) -> None:
    column = [f"{row % 40:03}" * (1 + row % 40 * 800) for row in range(3000)] + [None, "", "x"]
    table = pa.table(
        {"text": column, "id": list(range(3003)), "url": [str(n % 7) for n in range(3003)]}
    )
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=1100)
    batches, _ = read(tmp_path / "f.parquet", **options)
    assert texts(batches) == [text for text in column if text is not None]
    ids = [name for batch in batches for name in batch.documents.id.to_pylist()]
    assert ids == [str(row) for row in range(3003) if row != 3000]


def test_a_page_whose_checksum_is_wrong_costs_the_rows_from_there(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(
        pa.table({"text": TEXTS}), path, row_group_size=500, use_dictionary=False,
        compression="none", write_page_checksum=True,
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    at = data.index(b"row 0300")
    data[at : at + 3] = b"cow"
    path.write_bytes(data)
    batches, _ = read(path)
    assert texts(batches) == TEXTS[500:]
    assert len(details(batches)) == 500
    assert "crc" in details(batches)[0].lower()


def test_a_file_that_is_cut_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"text": TEXTS}), path)
    whole = path.read_bytes()
    for size in (5, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        batches, reader = read(path)
        (reject,) = [reject for batch in batches for reject in batch.rejects]
        assert (reject.reason, reject.lost_bytes) == (Reason.DAMAGED_STREAM, size)
        assert (reader.is_truncated, reader.undecoded_bytes) == (True, size)
    path.write_bytes(b"no Parquet")
    assert not read(path)[1].is_truncated


def test_a_sound_file_is_decoded_to_its_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"text": TEXTS, "x": TEXTS}), path, row_group_size=300)
    _, reader = read(path)
    metadata = pq.read_metadata(path)
    sizes = [
        metadata.row_group(group).column(0).total_uncompressed_size
        for group in range(metadata.num_row_groups)
    ]
    headers = 64 * 2 * len(sizes)  # the footer counts them, for headers are not compressed
    assert sum(sizes) - headers < reader.decoded_bytes <= sum(sizes)
    assert (reader.lost_bytes, reader.undecoded_bytes, reader.is_truncated) == (0, 0, False)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_page_header_or_none(data: bytes) -> None:
    chunk = ChunkPages(10, 1000)
    page = chunk.next_page(10, data, lambda offset, size: data)
    assert page is None or min(page.compressed_bytes, page.uncompressed_bytes, page.values) >= 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4
    )
)
def test_a_changed_footer_never_raises_and_the_books_balance(
    changes: list[tuple[float, int]],
) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS, "id": TEXTS}), sink, row_group_size=300)
    data, footer = parquet_files.split_footer(sink.getvalue())
    changed = bytearray(footer)
    for where, bits in changes:
        changed[int(where * len(changed))] ^= bits
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        Path(file.name).write_bytes(parquet_files.with_footer(data, bytes(changed)))
        with contextlib.suppress(ConfigurationError):  # it is the name of the column
            _, reader = read(Path(file.name))
            assert reader.records < 100_000


def test_lists_that_are_nested_without_end_are_no_page_header() -> None:
    deep = b"\x19" * 200_000
    assert ChunkPages(0, len(deep)).next_page(0, deep, lambda offset, size: b"") is None


def test_a_page_of_a_kind_that_holds_no_rows_is_passed_over() -> None:
    """An index page, in Thrift's compact protocol: kind 1, 9 bytes, 7 compressed, and the end."""
    header = bytes([0x15, 2, 0x15, 18, 0x15, 14, 0])
    chunk = ChunkPages(0, 100, holds_bytes=True)
    page = chunk.next_page(0, header + bytes(7), lambda at, size: b"")
    assert page == Page(1, len(header), 7, 9, 0, 0)
