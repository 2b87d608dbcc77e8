"""`python -m pipeline.sample`: real text, in the three forms the job reads."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import pyarrow.parquet as pq
import pytest
import zstandard
from warcio.archiveiterator import ArchiveIterator

from pipeline.sample import write_sample
from transforms.reading import ReadSettings, open_reader


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_sample(tmp_path_factory.mktemp("sample"))


def test_the_inputs_together_hold_every_topic_once(sample: list[Path]) -> None:
    texts = []
    for path in sample:
        with open_reader(str(path), ReadSettings()) as reader:
            texts += [text for batch in reader for text in batch.documents.text.to_pylist()]
    # A conversion record's text may end in a newline more or less; nothing else may differ.
    assert sorted(text.strip() for text in texts) == sorted(
        text.strip() for text in topics.values()
    )


def test_another_library_reads_the_wet_archive(sample: list[Path]) -> None:
    with sample[0].open("rb") as file:
        records = [
            (record.rec_type, record.rec_headers, record.content_stream().read())
            for record in ArchiveIterator(file, check_digests="raise")
        ]
    assert [kind for kind, _, _ in records[:2]] == ["warcinfo", "conversion"]
    for _, headers, content in records[1:]:
        name = headers.get_header("WARC-Target-URI").removeprefix("pydoc:")
        assert content.decode() == topics[name]
    identities = {headers.get_header("WARC-Record-ID") for _, headers, _ in records}
    assert len(identities) == len(records)


def test_each_record_of_the_wet_archive_is_a_gzip_member(sample: list[Path]) -> None:
    content = sample[0].read_bytes()
    record_count = gzip.decompress(content).count(b"WARC/1.0\r\n")
    assert record_count > 20
    assert content.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == record_count


def test_the_other_inputs_name_their_documents(sample: list[Path]) -> None:
    lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(sample[1].read_bytes())).read()
    for line in lines.splitlines():
        document = json.loads(line)
        assert document["text"] == topics[document["id"]]
    for row in pq.read_table(sample[2]).to_pylist():
        assert row["text"] == topics[row["id"]]
        assert row["url"] == f"pydoc:{row['id']}"


def test_writing_it_again_gives_the_same_bytes(sample: list[Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.sample", str(tmp_path / "deep" / "sample")]
    subprocess.run(command, check=True, capture_output=True)
    for path in sample:
        assert (tmp_path / "deep" / "sample" / path.name).read_bytes() == path.read_bytes()


def test_a_wrong_call_ends_with_usage() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline.sample"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: ")
