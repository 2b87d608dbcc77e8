"""JSON lines: every kind of line, alone and in company, at any block boundary."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.json as pj
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.documents import Reason, RecordBatch
from transforms.reading import ReadSettings, json_documents, open_reader
from transforms.reading.batching import MAX_NAME_BYTES, encoded
from transforms.reading.json_line import (
    MAX_DEPTH,
    LineDocument,
    LineFault,
    is_too_deep,
    parse_line,
)
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
    documents, rejects = parse(b'{"text": "before"}\n' + line + b"\n" + b'{"text": "after"}')
    assert [row[2] for row in documents] == [b"before", b"after"]  # type: ignore[index]
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


def test_a_line_that_goes_on_in_the_next_is_two_bad_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two objects in two lines, as many as Arrow would find, which looks at the whole block."""
    monkeypatch.setattr(json_documents, "_MIN_ARROW_BYTES", 0)
    monkeypatch.setattr(ObjectDecoder, "decode", lambda *_: None)
    documents, rejects = parse(b' {"text": "a"} {"text": "b",\n"id": "x"}\n{"text": "c"}\n')
    assert len(documents) == 1
    assert len(rejects) == 2


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


@pytest.mark.parametrize(
    "options",
    [
        {"url_field": "meta.url"},
        {"id_field": "meta.id"},
        {"id_field": "meta.id", "url_field": "meta.url"},
    ],
    ids=str,
)
def test_a_dotted_id_or_url_beside_a_flat_text_is_found(options: dict[str, object]) -> None:
    line = b'{"text": "t", "id": "i", "url": "u", "meta": {"id": "mi", "url": "mu"}}'
    want = (b"t", "mi" if "id_field" in options else "i", "mu" if "url_field" in options else "u")
    documents, rejects = parse(b"\n".join([line] * 3), **options)
    assert [row[2:] for row in documents] == [want] * 3  # type: ignore[index]
    assert not rejects


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


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def call_from_depth(frames: int, function: Callable[[], Any]) -> Any:
    return function() if frames == 0 else call_from_depth(frames - 1, function)


@pytest.mark.parametrize("batch_bytes", [1000, 2 << 20], ids=["by parse_line", "by Arrow"])
def test_an_integer_id_is_no_url(batch_bytes: int) -> None:
    """Also where both are one field, and where a bad line is among the good ones."""
    good = [f'{{"text": "{"é" * 100}", "id": {number}}}\n'.encode() for number in range(200)]
    for lines in (good, [*good[:150], b"not json\n", *good[150:]]):
        documents, rejects = parse(
            b"".join(lines), batch_bytes=batch_bytes, id_field="id", url_field="id"
        )
        assert len(rejects) == len(lines) - 200
        assert {row[4] for row in documents} == {None}  # type: ignore[index]
        assert [row[3] for row in documents] == [str(number) for number in range(200)]  # type: ignore[index]


def test_a_nested_line_is_found_in_whichever_block_it_is() -> None:
    """Arrow, which takes any depth, is asked about blocks that are not ASCII."""
    usual = '{"text": "café", "id": "o"}\n'.encode() * 1000
    deep = [f'{{"text": "é", "x": {nested(depth)}}}\n'.encode() for depth in (127, 128)]
    blocks = [usual, usual + deep[1], usual, usual + deep[0], deep[1] + usual]
    documents, rejects = parse(b"".join(blocks), batch_bytes=len(usual))
    assert len(documents) == 5001
    assert [reject[0] for reject in rejects] == [2000, 4002]  # type: ignore[index]


@pytest.mark.parametrize("field", ["id", "url", "x", "text"])
@pytest.mark.parametrize("frames", [0, 300, 550])
@pytest.mark.parametrize("company", [0, 1000], ids=["alone", "in company"])
def test_what_a_nested_line_is_does_not_depend_on_the_stack_of_the_caller(
    field: str, frames: int, company: int
) -> None:
    others = b'{"text": "another line", "id": "o"}\n' * company
    for depth, is_fault in (
        (MAX_DEPTH - 1, False),
        (MAX_DEPTH, True),
        (960, True),
        (5000, True),
    ):
        line = f'{{"{field}": {nested(depth)}, "te\\u0078t": "t"}}'.encode()
        documents, rejects = call_from_depth(frames, partial(parse, others + line))
        assert len(documents) == company + (not is_fault)
        if is_fault:
            ((_, _, reason, detail, _),) = rejects
            assert reason is Reason.INVALID_JSON
            assert detail == f"the JSON is nested more than {MAX_DEPTH} levels deep"
        elif field == "id":
            assert documents[-1][3] == nested(depth)
        else:
            assert rejects == []


def test_brackets_in_strings_are_no_depth() -> None:
    for text in ("[" * 500, '\\"' + "[{" * 500, '\\\\\\"' + "[" * 500, "{" * 129 + "}" * 129):
        line = f'{{"a": [{{}}], "text": "{text}", "b": []}}'.encode()
        assert not is_too_deep(line)
        assert len(parse(line)[0]) == 1
    assert is_too_deep(b'{"text": "\\\\", "a": ' + b"[" * 128)
    assert is_too_deep(b'{"a":' * 129)
    assert not is_too_deep(b'{"a":' * 128)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none() | st.text('[]{}"\\\\a', max_size=300), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_the_depth_of_json_is_that_of_its_value(value: object) -> None:
    def depth_of(value: object) -> int:
        return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0

    line = json.dumps(value).encode()
    outer = MAX_DEPTH - depth_of(value)
    assert not is_too_deep(b"[" * outer + line + b"]" * outer)
    assert is_too_deep(b"[" * outer + b"[" + line + b"]" * (outer + 1)) or depth_of(value) == 0
    assert is_too_deep(b"[" * (outer + 1) + line + b"]" * (outer + 1))


@pytest.mark.parametrize(
    "line",
    [
        b'{"text":1}',
        b'{"text":"a","id":[1]}',
        b'{"text":"a","id":1.5}',
        b'{"text":"a","id":"x"}\nno json',
        b'{"text":"a\xff"}\n{}',
    ],
)
def test_odd_lines_are_not_parsed_again_and_again(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = parsed = 0
    ask, parse_one = pj.read_json, json_documents.parse_line

    def count_arrow(*args: object, **options: object) -> object:
        nonlocal asked
        asked += 1
        return ask(*args, **options)

    def count_line(*args: object) -> object:
        nonlocal parsed
        parsed += 1
        return parse_one(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(pj, "read_json", count_arrow)
    monkeypatch.setattr(json_documents, "parse_line", count_line)
    data = (line + b"\n") * 5000
    lines = data.count(b"\n")
    documents, rejects = parse(data)
    assert len(documents) + len(rejects) == lines
    assert parsed <= lines
    assert asked <= 4 * (1 + lines // 8192)


def test_ids_and_urls_are_cut_before_the_character_that_is_too_much() -> None:
    long = "\u4e2d" * 40_000
    lines = [
        json.dumps({"text": "t", "id": long, "url": "u" * 70_000}, ensure_ascii=False).encode(),
        json.dumps({"text": "t", "id": [long], "url": long}).encode(),
        json.dumps({"text": "t", "id": "x" * MAX_NAME_BYTES}).encode(),
    ]
    documents, rejects = parse(b"\n".join(lines))
    assert not rejects
    ids, urls = zip(*(row[3:] for row in documents), strict=True)  # type: ignore[index]
    assert ids == ("\u4e2d" * 21_845, '["' + "\u4e2d" * 21_844, "x" * MAX_NAME_BYTES)
    assert urls == ("u" * 65_536, "\u4e2d" * 21_845, None)


@pytest.mark.parametrize("is_odd", [False, True])
def test_a_text_of_just_the_limit_is_a_document(is_odd: bool) -> None:
    extra = b', "id": 1.5' if is_odd else b""
    lines = [b'{"text": "%s"%s}' % (b"\\u00e4" * n, extra) for n in (50, 51)]
    documents, rejects = parse(b"\n".join(lines), max_document_bytes=100)
    assert [len(row[2]) for row in documents] == [100]  # type: ignore[index]
    ((record, offset, reason, detail, excerpt),) = rejects  # type: ignore[misc]
    assert (record, offset, reason) == (1, len(lines[0]) + 1, Reason.OVERSIZED_RECORD)
    assert "102 bytes" in detail
    assert "max_document_bytes" in detail
    assert excerpt == lines[1]


@pytest.mark.parametrize("piece_bytes", [1, 7, 60, 1000])
@pytest.mark.parametrize("ending", [b"\n", b""])
@pytest.mark.parametrize("content", [b'{"text": "%s"}', b'{"text": "%s", "id": 1.5}', b"%s"])
def test_a_line_of_just_the_limit_is_parsed_on_any_path(
    piece_bytes: int, ending: bytes, content: bytes
) -> None:
    options = ReadSettings(max_record_bytes=60, max_document_bytes=60, batch_bytes=60)
    for size, is_oversized in ((60, False), (61, True)):
        line = content % (b"x" * (size - len(content) + 2))
        data = b'{"text": "a"}\n' + line + ending
        pieces = [data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes)]
        documents, rejects = rows(list(read_json_lines(pieces, options)))
        reasons = [row[2] for row in rejects]  # type: ignore[index]
        assert (Reason.OVERSIZED_RECORD in reasons) == is_oversized
        assert len(documents) + len(rejects) == 2


def test_a_block_of_short_lines_is_several_batches() -> None:
    batches = list(read_json_lines([b"{}\n" * 20_000], OPTIONS))
    assert [batch.records for batch in batches] == [8192, 8192, 3616]
    assert rows(batches)[1][-1][:2] == (19_999, 3 * 19_999)  # type: ignore[index]


@pytest.mark.parametrize(
    ("before", "after", "is_kept"),
    [
        (b'{"text": "a"}', b'1}\n{"text": "b"}', True),
        (b"12", b'34\n{"text": "b"}', False),
        (b'{"n": 12', b'34}\n{"text": "b"}', False),
    ],
)
def test_a_value_that_a_gap_falls_into_is_no_line(
    before: bytes, after: bytes, is_kept: bool
) -> None:
    gap = Damage(7, "x", ends_stream=False)
    documents, rejects = rows(list(read_json_lines([before, gap, after], OPTIONS)))
    assert [row[2] for row in documents] == [b"a", b"b"][1 - is_kept :]  # type: ignore[index]
    assert len(rejects) == 1


def test_a_gap_tells_the_bytes_that_it_cost_on_both_sides() -> None:
    gap = Damage(7, "x", ends_stream=False)
    checksum = Damage(8, "crc", ends_stream=False, loses_bytes=False)
    for pieces, lost in (
        ([b'{"text": "a"}\n{"te', gap, b'xt": 1}\n{"text": "b"}'], [4 + 7]),
        ([b'{"text": "a"}\n', gap, b'{"text": "b"}'], [0]),
        ([b'{"text": "a"}\n{"te', gap, gap, b'xt": 1}\n{"text": "b"}'], [4, 7]),
        ([b'{"text": "a"}\n{"text": "b"}\n{"te', gap], [4]),
        ([b'{"text": "a"}\n{"te', gap, b"x" * 99, b'}\n{"text": "b"}'], [4 + 100]),
        ([b'{"text": "a"}\n{"te', checksum, b'xt": "b"}'], [0]),
    ):
        options = ReadSettings(max_record_bytes=50, max_document_bytes=50)
        batches = list(read_json_lines(pieces, options))
        documents, _ = rows(batches)
        assert [row[2] for row in documents] == [b"a", b"b"]  # type: ignore[index]
        assert [r.lost_bytes for batch in batches for r in batch.rejects] == lost


def test_one_bad_line_in_a_large_run_costs_itself() -> None:
    lines = [b'{"text": "%06d %s", "id": 1.5}' % (n, b"x" * 300) for n in range(2000)]
    lines[1234] = b'{"text": "a",}'
    documents, rejects = parse(b"\n".join(lines))
    assert [row[0] for row in documents] == [n for n in range(2000) if n != 1234]  # type: ignore[index]
    assert [row[2][:6] for row in documents[1233:1235]] == [b"001233", b"001235"]  # type: ignore[index]
    assert {row[3] for row in documents} == {"1.5"}  # type: ignore[index]
    assert [(row[0], row[2]) for row in rejects] == [(1234, Reason.INVALID_JSON)]  # type: ignore[index]
