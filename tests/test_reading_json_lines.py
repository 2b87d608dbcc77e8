"""JSON lines: every kind of line, alone and in company, at any block boundary."""

import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.documents import Reason, RecordBatch
from transforms.reading import ReadSettings, json_documents, open_reader
from transforms.reading.batching import encoded
from transforms.reading.json_line import LineDocument, LineFault, parse_line
from transforms.reading.json_lines import read_json_lines
from transforms.reading.json_objects import ObjectDecoder
from transforms.reading.members import Damage

GOOD = [
    b'{"text": "a", "id": "x", "url": "http://u"}',
    '{"text": "\u00e4\U0001f600", "id": "\u00df"}'.encode(),
    b'{"text": ""}',
    b'  {"text": "spaces around"} \t',
    b'{"text": "number", "id": 7}',
    b'{"text": "negative", "id": -0}',
    b'{"text": "big", "id": 123456789012345678901234567890}',
    b'{"text": "float id", "id": 1.5}',
    b'{"text": "list id", "id": [1, "b"]}',
    b'{"text": "bool id", "id": true}',
    b'{"text": "null id", "id": null, "url": null}',
    b'{"text": "url is no string", "url": 5}',
    b'{"text": "first", "text": "last"}',
    b'{"text": "nan", "x": NaN, "y": 1e400}',
    b'{"text": "lone surrogate elsewhere", "x": "\\ud800"}',
    b'{"text": "surrogate in id", "id": "\\ud800"}',
    b'{"text": "bad bytes in id", "id": "\xff"}',
    b'{"text": "bad bytes in text \xff"}',
    b'{"text": "first \xff", "text": "last \xe2\x82\\u00e4", "id": "\xe2\x82\\u00e4"}',
    b'{"text": "escaped \\u0000 \\n"}',
    b'{"te\\u0078t": "escaped key"}',
    b'{"a": {"text": "decoy"}, "text": "real"}',
    b'{"text": "ends in a brace }"}',
]
BAD = {
    b"null": Reason.INVALID_JSON,
    b"42": Reason.INVALID_JSON,
    b'"text"': Reason.INVALID_JSON,
    b"[]": Reason.INVALID_JSON,
    b"{": Reason.INVALID_JSON,
    b"}": Reason.INVALID_JSON,
    b"\x0c": Reason.INVALID_JSON,
    b'{"text": "a"}{"text": "b"}': Reason.INVALID_JSON,
    b'{"text": "a"} {"text": "b"}': Reason.INVALID_JSON,
    b'{"text": {}': Reason.INVALID_JSON,
    b'{"text": "open}': Reason.INVALID_JSON,
    b'{"text": "tab \t"}': Reason.INVALID_JSON,
    b'{"text": "a"}\0}': Reason.INVALID_JSON,
    b'{"text": "a\0"}': Reason.INVALID_JSON,
    b'{"text": "a",}': Reason.INVALID_JSON,
    b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b', "text": "a", "text": "b"}': Reason.INVALID_JSON,
    b'{"text": "\\ud800"}': Reason.INVALID_UTF8,
    b'{"id": "\xff"}': Reason.INVALID_UTF8,
    b"\xff": Reason.INVALID_UTF8,
    b'{"id": "x"}': Reason.MISSING_TEXT,
    b"{}": Reason.MISSING_TEXT,
    b'{"text": null}': Reason.NULL_TEXT,
    b'{"text": 5}': Reason.TEXT_NOT_A_STRING,
    b'{"text": ["a"]}': Reason.TEXT_NOT_A_STRING,
}
BLANK = [b"", b"  ", b"\t", b"\r", b" \r "]
OPTIONS = ReadSettings()


def rows(batches: list[RecordBatch]) -> tuple[list[object], list[object]]:
    """Documents and rejects as comparable tuples; asserts the books of each batch."""
    documents: list[object] = []
    rejects: list[object] = []
    records = 0
    for batch in batches:
        columns = batch.documents
        assert batch.records == len(columns) + len(batch.rejects)
        assert columns.text.null_count == columns.text.offset == 0
        documents += zip(
            columns.record.tolist(),
            columns.byte_offset.tolist(),
            columns.text.view("binary").to_pylist(),
            columns.id.to_pylist(),
            columns.url.to_pylist(),
            strict=True,
        )
        rejects += [(r.record, r.byte_offset, r.reason, r.detail, r.excerpt) for r in batch.rejects]
        indices = [*columns.record.tolist(), *(r.record for r in batch.rejects)]
        assert sorted(indices) == list(range(records, records + batch.records))
        records += batch.records
    return documents, rejects


def parse(data: bytes, **options: object) -> tuple[list[object], list[object]]:
    return rows(list(read_json_lines([data], ReadSettings(**options))))  # type: ignore[arg-type]


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[:20].decode("latin-1"))
def test_a_bad_line_has_its_reason(line: bytes) -> None:
    documents, rejects = parse(b'{"text": "before"}\n' + line + b"\n" + b'{"text": "behind"}')
    assert [row[2] for row in documents] == [b"before", b"behind"]  # type: ignore[index]
    ((record, offset, reason, detail, excerpt),) = rejects  # type: ignore[misc]
    assert (record, offset, reason, excerpt) == (1, 19, BAD[line], line[: 64 << 10])
    assert "\n" not in detail


@pytest.mark.parametrize("line", GOOD, ids=lambda line: line[:20].decode("latin-1"))
def test_all_parsers_agree_about_a_line(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = parse_line(line.strip(), OPTIONS)
    assert isinstance(parsed, LineDocument)
    names = [encoded(name) for name in (parsed.id, parsed.url)]
    want = (0, 0, parsed.text, *(name and name.decode() for name in names))
    assert parse(line) == ([want], [])
    monkeypatch.setattr(json_documents, "_MIN_ARROW_BYTES", 0)  # Arrow is asked about short lines
    assert parse(line) == ([want], [])
    monkeypatch.setattr(ObjectDecoder, "decode", lambda *_: None)
    assert parse(line) == ([want], [])


_LINE = st.one_of(
    st.sampled_from(GOOD * 3 + list(BAD) + BLANK),
    st.dictionaries(
        st.sampled_from(["text", "id", "url", "x"]),
        st.none() | st.integers() | st.floats() | st.text(max_size=9) | st.just({"text": []}),
    ).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"")),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(_LINE, max_size=25),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.integers(1, 400),
    st.integers(1, 300),
    st.sampled_from([20, 60, 1 << 20]),
    st.booleans(),
)
def test_a_line_means_the_same_in_any_company(
    lines: list[bytes],
    newline: bytes,
    ends_open: bool,
    mark: bytes,
    batch_bytes: int,
    piece_bytes: int,
    limit: int,
    asks_arrow: bool,
) -> None:
    """Each line read as a file of its own gives what all of them give together."""
    documents: list[object] = []
    rejects: list[object] = []
    limits = {"max_record_bytes": limit, "max_document_bytes": min(limit, 18)}
    offset = record = 0
    data = mark + newline.join(lines) + (b"" if ends_open else newline)
    for line in data.split(b"\n"):
        alone = line if offset == 0 else b"\n" + line  # a byte order mark counts at 0 only
        shift = offset - (len(alone) - len(line))
        its_documents, its_rejects = parse(
            alone, max_record_bytes=limit, max_document_bytes=min(limit, 18)
        )
        for so_far, its_rows in ((documents, its_documents), (rejects, its_rejects)):
            so_far += [(record, row[1] + shift, *row[2:]) for row in its_rows]  # type: ignore[index]
        record += len(its_documents) + len(its_rejects)
        offset += len(line) + 1
    pieces = [data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes)]
    options = ReadSettings(batch_bytes=batch_bytes, **limits)
    with pytest.MonkeyPatch.context() as patch:
        if asks_arrow:
            patch.setattr(json_documents, "_MIN_ARROW_BYTES", 0)
        assert rows(list(read_json_lines(pieces, options))) == (documents, rejects)


def test_dotted_paths_go_into_objects() -> None:
    options = {"text_field": "a.b.text", "id_field": "a.id", "url_field": "a.b.url"}
    lines = [
        b'{"a": {"id": 3, "b": {"text": "t", "url": "u", "more": 1}}}',
        b'{"a": {"id": "x", "b": {"text": "t2"}}}',
        b'{"a": {"b": {"text": null}}}',
        b'{"a": {"b": {}}}',
        b'{"a": {"b": null}}',
        b'{"a": "text"}',
        b'{"a": {"b": {"text": {}}}}',
    ]
    documents, rejects = parse(b"\n".join(lines), **options)
    assert [row[2:] for row in documents] == [(b"t", "3", "u"), (b"t2", "x", None)]  # type: ignore[index]
    assert [row[2] for row in rejects] == [  # type: ignore[index]
        Reason.NULL_TEXT,
        Reason.MISSING_TEXT,
        Reason.MISSING_TEXT,
        Reason.MISSING_TEXT,
        Reason.TEXT_NOT_A_STRING,
    ]


def test_an_oversized_line_is_skipped_and_named() -> None:
    long = b'{"text": "' + b"x" * 5000 + b'"}'
    data = b'{"text": "a"}\n' + long + b'\n{"text": "b"}\n' + long
    pieces = [data[i : i + 100] for i in range(0, len(data), 100)]
    options = ReadSettings(max_record_bytes=1000, max_document_bytes=1000, batch_bytes=300)
    documents, rejects = rows(list(read_json_lines(pieces, options)))
    assert [row[2] for row in documents] == [b"a", b"b"]  # type: ignore[index]
    assert [(row[0], row[1], row[2]) for row in rejects] == [  # type: ignore[index]
        (1, 14, Reason.OVERSIZED_RECORD),
        (3, 14 + len(long) + 15, Reason.OVERSIZED_RECORD),
    ]
    assert "5012 bytes" in rejects[0][3]  # type: ignore[index]


def test_a_gap_costs_the_line_it_falls_into() -> None:
    gap = Damage(7, "broken", ends_stream=False)
    pieces = [b'{"text": "a"}\n{"text": "b', gap, b'c"}\n{"text": "d"}\n']
    documents, rejects = rows(list(read_json_lines(pieces, OPTIONS)))
    assert [row[2] for row in documents] == [b"a", b"d"]  # type: ignore[index]
    assert rejects == [(1, 14, Reason.DAMAGED_RECORD, "compressed byte 7: broken", b'{"text": "b')]


def test_whole_lines_beside_a_gap_are_kept() -> None:
    pieces = [b'{"text": "a"}', Damage(7, "x", ends_stream=False), b'{"text": "b"}\n{"text": "c"}']
    documents, rejects = rows(list(read_json_lines(pieces, OPTIONS)))
    assert [row[2] for row in documents] == [b"a", b"b", b"c"]  # type: ignore[index]
    assert [row[0] for row in rejects] == [1]  # type: ignore[index]


def test_a_cut_stream_ends_with_one_reject() -> None:
    pieces = [b'{"text": "a"}\n{"te', Damage(7, "cut", ends_stream=True)]
    documents, rejects = rows(list(read_json_lines(pieces, OPTIONS)))
    assert len(documents) == 1
    assert [row[2] for row in rejects] == [Reason.DAMAGED_STREAM]  # type: ignore[index]


def test_a_failed_checksum_costs_no_line_but_is_told() -> None:
    suspect = Damage(7, "crc", ends_stream=False, loses_bytes=False, suspect=b'a"}\n{"text"')
    documents, rejects = rows(list(read_json_lines([b'{"text": "', suspect, b': "b"}'], OPTIONS)))
    assert [row[2] for row in documents] == [b"a", b"b"]  # type: ignore[index]
    assert [row[2] for row in rejects] == [Reason.DAMAGED_RECORD]  # type: ignore[index]


def test_the_adversarial_lines_are_read_or_named(shared_data: Path) -> None:
    path = shared_data / "adversarial" / "bad_lines.jsonl.zst"
    with open_reader(str(path), OPTIONS) as reader:
        documents, rejects = rows(list(reader))
    assert reader.records == len(documents) + len(rejects) == 33
    lines = [
        line
        for line in zstandard.decompress(path.read_bytes()).split(b"\n")
        if line.strip(b" \t\r")
    ]
    for row in rejects:
        parsed = parse_line(lines[row[0]].strip(), OPTIONS)  # type: ignore[index]
        assert isinstance(parsed, LineFault)
        assert parsed.reason is row[2]  # type: ignore[index]


def test_every_adversarial_document_is_read_exactly(shared_data: Path) -> None:
    path = shared_data / "adversarial" / "documents.jsonl.zst"
    lines = zstandard.decompress(path.read_bytes()).splitlines()
    want = [json.loads(line) for line in lines]
    with open_reader(str(path), ReadSettings(batch_bytes=100_000)) as reader:
        documents, rejects = rows(list(reader))
    assert not rejects
    got = [(row[2], row[3]) for row in documents]  # type: ignore[index]
    assert got == [(value["text"].encode(), value["id"]) for value in want]
