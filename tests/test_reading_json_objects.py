"""The fast decoder of JSON lines: what it takes is what the authority says, else it declines."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.reading import ReadSettings
from transforms.reading.json_line import LineDocument, parse_line
from transforms.reading.json_lines import read_json_lines
from transforms.reading.json_objects import ObjectDecoder

OPTIONS = ReadSettings()
FIRST = '{"text": "t", "id": 1, "url": null, "x": 0, "y\u00e9": 0}'.encode()
LINES = [
    b'{"text": "a\\n\\"b", "id": "x", "url": "http://u", "x": "\\u00e9"}',
    b'{"text": "n", "x": 2.5e3, "id": null}',
    b'{"text": "n", "x": true}',
    '{"text": "\u00e4\U0001f600, longer than sixteen", "x": "\u00ff\\ud83d\\ude00"}'.encode(),
    b'{"x": 123456789012345678901234567890, "text": "t", "text": "u", "id": -7}',
    b'{"te\\u0078t": "k", "x": 1E+5, "y\\u00e9": -0}',
    b'{"text": "\\ud83d\\ude00 \\b\\f\\r\\t\\\\", "x": "\\ud800"}',
]
_BITS = (
    b'" \\ { } [ ] , : 0 00 - + . e E \\u \\ud800 \\udc00 \t \x0b \x0c \r \x7f \x1f \xff \xc0\x80 '
    b"\xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x80\xa8 NaN Infinity true nul null 1e400 / // ' x 9 1. .5 "
    b'"text" \xef\xbb\xbf \xc2\xa0 \\x41 \\U 9223372036854775808'
)
BITS = [b" ", *_BITS.split(b" ")]


def decode(line: bytes, options: ReadSettings = OPTIONS) -> list[tuple[object, ...]] | None:
    """The rows of FIRST and the line, or None where the decoder declines."""
    lines = memoryview(FIRST + b"\n" + line)
    columns = ObjectDecoder(options).decode(lines, 2, len(FIRST))
    if columns is None:
        return None
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(
    st.sampled_from(LINES),
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 5), st.sampled_from([b"", *BITS])),
        max_size=3,
    ),
)
@example(b'{"text": "a", "x": "\\q"}', [])
@example(b'{"text": "a", "x": "\t"}', [])
@example(b'{"text": "a"}{"text": "b"}', [])
def test_a_line_that_it_takes_is_what_the_authority_says(
    line: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, removed, put in changes:
        line = line[:at] + put + line[at + removed :]
    # What LineParser hands on: no NUL, no blank line, braces around each line.
    if b"\0" in line or b"\n" in line or not (line.startswith(b"{") and line.endswith(b"}")):
        return
    rows = decode(line)
    if rows is None:
        return
    alone = parse_line(line, OPTIONS)
    assert isinstance(alone, LineDocument)
    text, *names = alone
    assert rows == [("t", "1", None), (text.decode(), *names)]


def test_it_takes_plain_lines_and_declines_what_it_does_not_know() -> None:
    for line in LINES:
        assert (decode(line) is not None) == (b'"\\ud800' not in line)
    assert decode(b'{"text": "a", "new": 1}') is None
    assert decode(b'{"text": 5}') is None
    assert decode(b'{"text": "a", "x": [1]}') is None
    assert decode(b'{"text": "a", "x": {}}') is None
    assert decode(b'{"text": "%s"}' % ("\u00e4" * 9999).encode()) is None
    for dotted in ({"text_field": "a.b"}, {"id_field": "a.b"}, {"url_field": "a.b"}):
        # The line has the other fields: only that one name has a dot makes it decline.
        assert decode(b'{"text": "a", "id": 1}', ReadSettings(**dotted)) is None  # type: ignore[arg-type]
    assert decode(b'{"text": "a"}', ReadSettings(id_field="text")) is None


def test_after_three_refusals_a_file_is_of_another_kind() -> None:
    decoder = ObjectDecoder(OPTIONS)
    good, bad = (memoryview(json.dumps(one).encode()) for one in ({"text": "a"}, {"text": 1}))
    for lines in (good, bad, bad, good, bad):
        assert (decoder.decode(lines, 1, len(lines)) is not None) == (lines is good)
    assert decoder.decode(good, 1, len(good)) is None


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**63 + 1, -(2**63), -(2**63) - 1, 3**40])
def test_ids_at_the_ends_of_64_bits_are_what_the_authority_says(number: int) -> None:
    line = b'{"id": %d, "text": "x"}\n' % number
    expected = parse_line(line.strip(), ReadSettings())
    assert isinstance(expected, LineDocument)
    (batch,) = read_json_lines([line], ReadSettings())
    assert batch.documents.id.to_pylist() == [expected.id] == [str(number)]
