"""HTTP bodies and HTML pages: cut, of several members, and made to take for ever."""

import gzip
import random
import re
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from growth import growth
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from transforms.documents import Reason
from transforms.reading._page_shape import measure
from transforms.reading.html_text import PageTooComplex, main_text
from transforms.reading.http_payload import Rejected, parse_fields, response_text

TEXT = "".join(random.Random(5).choices("abcdefgh \n", k=200_000)).encode()
LIMIT = 1 << 24


def response(body: bytes, *headers: str, **warc: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/plain", *headers, "", ""]).encode()
    return response_text(
        {name.replace("_", "-"): v for name, v in warc.items()}, head + body, LIMIT
    )


def chunked(data: bytes, chunk_bytes: int = 3000) -> bytes:
    parts = [data[i : i + chunk_bytes] for i in range(0, len(data), chunk_bytes)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("Content-Encoding: gzip", gzip.compress),
    "zlib": ("Content-Encoding: deflate", zlib.compress),
    "raw deflate": ("Content-Encoding: deflate", raw_deflate),
    "br": ("Content-Encoding: br", brotli.compress),
    "zstd": ("Content-Encoding: zstd", zstandard.compress),
    "chunked": ("Transfer-Encoding: chunked", chunked),
    "transferred as gzip": ("Transfer-Encoding: gzip", gzip.compress),
    "transferred as gzip in chunks": (
        "Transfer-Encoding: gzip, Chunked;q=1",
        lambda data: chunked(gzip.compress(data)),
    ),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_that_is_cut_is_no_document(encoding: str) -> None:
    header, encode = ENCODINGS[encoding]
    body = encode(TEXT)
    assert response(body, header) == TEXT
    for share in (0.01, 0.5, 0.99):
        cut = body[: int(share * len(body))]
        with pytest.raises(Rejected) as caught:
            response(cut, header)
        assert caught.value.reason is Reason.UNDECODABLE_PAYLOAD
    with pytest.raises(Rejected):
        response(body[:-5], header)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "br"])
def test_a_body_that_its_record_says_is_cut_gives_what_there_is(encoding: str) -> None:
    header, encode = ENCODINGS[encoding]
    body = encode(TEXT)
    text = response(body[: len(body) * 9 // 10], header, warc_truncated="length")
    assert TEXT.startswith(text)
    assert len(text) > 1000


def test_chunks_cut_anywhere_are_told_from_what_is_not_chunked() -> None:
    body = chunked(b"abcdefghij" * 3, 10)
    for cut in range(6, len(body) - 4):
        with pytest.raises(Rejected):
            response(body[:cut], "Transfer-Encoding: chunked")
    assert response(b"an open text", "Transfer-Encoding: chunked") == b"an open text"
    assert response(b"", "Transfer-Encoding: chunked") == b""
    assert response(b"3\r\nabc\r\nopen text", "Transfer-Encoding: chunked") == b"abcopen text"


def test_both_kinds_of_encoding_are_undone_in_the_order_they_were_done() -> None:
    body = chunked(gzip.compress(zlib.compress(TEXT)))
    headers = ("Content-Encoding: deflate", "Transfer-Encoding: gzip, chunked")
    assert response(body, *headers) == TEXT
    # Names that are none, and a body that was stored decoded, are as they stand.
    for name in ("identity", "binary", "", "gzip", "zstd"):
        assert response(b"a text", f"Transfer-Encoding: {name}") == b"a text"


def test_a_plain_text_that_quotes_a_page_is_not_decoded_as_that_page_would_be() -> None:
    text = '<meta charset="koi8-r"> naïve café, déjà vu, Ærøskøbing, łódź'
    assert response(text.encode()) == text.encode()


def test_trailers_behind_the_last_chunk_are_no_text() -> None:
    body = b"3;name=value\r\nabc\r\n0\r\nExpires: never\r\nX: y\r\n\r\n"
    assert response(body, "Transfer-Encoding: chunked") == b"abc"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_all_members_of_a_body_are_read(encoding: str) -> None:
    header, encode = ENCODINGS[encoding]
    assert response(encode(b"one ") + encode(b"two"), header) == b"one two"
    assert response(encode(b"one ") + b"padding", header) == b"one "
    with pytest.raises(Rejected):
        response(encode(b"one ") + encode(TEXT)[:-9], header)


@pytest.mark.parametrize("encoding", ["gzip", "zlib", "br", "zstd"])
def test_a_body_that_decodes_to_too_much_is_oversized(encoding: str) -> None:
    header, encode = ENCODINGS[encoding]
    with pytest.raises(Rejected) as caught:
        response(encode(bytes(LIMIT + 1)), header)
    assert caught.value.reason is Reason.OVERSIZED_RECORD


def test_a_value_of_many_lines_takes_linear_time() -> None:
    """2.4 MB of them took 11 s."""

    def of(count: int) -> bytes:
        return b"A: b\r\nLong: value" + b"\r\n folded" * count + b"\r\nC: d" + b" " * count

    assert growth(parse_fields, of(30_000), of(300_000), limit=30) < 30
    fields, contradicted = parse_fields(of(300_000))
    assert fields["a"] == "b"
    assert fields["c"] == "d"
    assert fields["long"].startswith("value folded folded")
    assert not contradicted


def test_a_name_that_stands_twice_has_its_first_value_and_is_told_where_they_differ() -> None:
    fields, contradicted = parse_fields(b"A: 1\r\nB: 1\r\na: 1\r\nb:2\r\nno colon\r\n")
    assert fields == {"a": "1", "b": "1"}
    assert contradicted == {"b"}


def attributes(count: int, pattern: str) -> str:
    return "".join(pattern.format(i) for i in range(count))


CROWDED = {
    "with values": "<p " + attributes(60_000, "a{}=1 ") + ">text</p>",
    "bare": "<p " + attributes(60_000, "a{} ") + ">text</p>",
    "slashes": "<p/" + attributes(60_000, "a{}/") + ">text</p>",
    "without blanks": "<p " + attributes(60_000, "a{}='1'") + ">text</p>",
    "every value ends a tag": "<p " + attributes(60_000, "a{}='>' ") + ">text</p>",
    "the first value ends a tag": "<p a='>' " + attributes(60_000, "a{} ") + ">text</p>",
    "after a comment": "<!-- <p a='--><p " + attributes(60_000, "a{} ") + ">text</p>",
    "after a script": "<script>'<p a='</script><p " + attributes(60_000, "a{} ") + ">text</p>",
    "after an odd equals sign": "<b ='><p x='>' " + attributes(60_000, "a{} ") + ">text</p>",
    "many tags": ("<p " + attributes(501, "a{} ") + ">text</p>") * 100,
    "never closed": "<p " + attributes(60_000, "a{} "),
}


ORDINARY_PARAGRAPH = "<p>" + "An ordinary paragraph of some words. " * 5 + "</p>"


def test_the_header_tells_the_encoding_before_statistics_do() -> None:
    """The bytes of a Cyrillic text in windows-1251 are letters in koi8-r and latin-1 as well."""
    text = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
    body = f"<!doctype html><html><body><p>{text}</p></body></html>"
    for charset in ("windows-1251", "koi8-r", "utf-8"):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={charset}\r\n\r\n".encode()
        found = response_text({}, head + body.encode(charset), LIMIT).decode()
        assert found.split() == text.split()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
        found = response_text({}, head + body.encode(charset), LIMIT).decode()
        assert found.split() == text.split(), "by statistics"


FIELD_PARTS = (
    *("a", "A-b", "Content-Length", "1", "http://x/y?z=1", "caf\u00e9", "\u00a0", "\x1c"),
    *(":", ": ", " :", " ", "  ", "\t", "\r", "\n", "\r\n", "\r\n\r\n"),
    *("WARC-Type: conversion\r\n", "b: c\r\n", "b: d\n"),
)


@settings(derandomize=True, deadline=None, max_examples=1000)
@given(st.lists(st.sampled_from(FIELD_PARTS), max_size=10).map("".join))
def test_fields_of_ordinary_lines_are_those_of_any_lines(text: str) -> None:
    """A header of ordinary lines is read in one call: as line by line, folds apart."""
    folded = re.sub(r"\r?\n[ \t]+", " ", text)
    values: dict[str, str] = {}
    contradicted = set()
    for name, colon, value in (line.partition(":") for line in folded.split("\n")):
        key, value = name.strip().lower(), value.strip()
        if colon and values.setdefault(key, value) != value:
            contradicted.add(key)
    assert parse_fields(text.encode()) == (values, contradicted)


@pytest.mark.parametrize("page", CROWDED)
def test_a_tag_of_very_many_attributes_is_refused_before_it_is_parsed(page: str) -> None:
    """200,000 attributes took over a minute."""

    def refuse(text: str) -> None:
        with pytest.raises(PageTooComplex, match="500 attributes"):
            main_text(text)

    # What is parsed costs the square of its attributes; an ordinary page of that size does not.
    ordinary = ORDINARY_PARAGRAPH * (len(CROWDED[page]) // len(ORDINARY_PARAGRAPH))
    steps = lambda: main_text(ordinary), lambda: refuse(CROWDED[page])
    assert growth(lambda step: step(), *steps, limit=10) < 10


ORDINARY = {
    "as many as are allowed": "<p " + attributes(500, "a{} ") + ">text</p>",
    "a long script": "<script>for(i=0;i<n;i++){" + "x = y + 1; " * 9000 + "}</script><p>text</p>",
    "a long value": "<p title='" + "some words " * 9000 + "'>text</p>",
    "a long comment": "<!-- i<n " + "x = y + 1; " * 9000 + "--><p>text</p>",
    "quoted ends": "<p title='a>b' lang=\"c>d\">text</p>" * 2000,
    "a long text": "i<3 " + "some words " * 9000,
    "the same attribute": "<p " + "a=1 " * 300 + ">text</p>",
}


@pytest.mark.parametrize("page", ORDINARY)
def test_an_ordinary_page_is_not_taken_for_a_crowded_one(page: str) -> None:
    if page != "a long text":  # there `<3` begins no tag
        assert "text" in (main_text(f"<html><body>{ORDINARY[page]}</body></html>") or "")
    assert measure(ORDINARY[page])[3] <= 500


def test_attributes_of_every_form_are_counted_as_the_parser_counts_them() -> None:
    draw = random.Random(11)
    forms = ["a{} ", "a{}=1 ", "a{}='>' ", 'a{}=">" ', "a{}/", "a{}='x'", "a{} = '\"' ", "a{}=\n"]
    for _ in range(60):
        some = draw.sample(forms, draw.randint(1, 4))
        tag = "<p " + "".join(draw.choice(some).format(i) for i in range(900)) + ">text</p>"
        page = draw.choice(["", "<b>x</b>", "<!-- ' -->", "<i a='>'>y</i>"]) + tag
        element = HTMLTree.parse(page).body.query_selector("p")
        # The parser drops repeated names; nothing else of these pages has attributes but <i>.
        assert measure(page)[3] >= len(element.attrs) > 0


@pytest.mark.parametrize(
    "page",
    ["<a" * 300_000, "<a " * 300_000, "='" * 300_000, "<a x='" * 200_000, "<!--" * 300_000,
     "<script>" * 200_000, "<![CDATA[" * 200_000,
     "<!-- --!>" * 200_000 + "-->", "<script><!--</script>" * 100_000 + "-->",
     "<p a" + " " * 500_000, "<p a='>" * 200_000, "<p " + "=" * 500_000],
    ids=lambda page: page[:8],
)  # fmt: skip
def test_the_check_itself_takes_linear_time(page: str) -> None:
    assert growth(measure, page[: len(page) // 10], page, limit=30) < 30


def test_a_page_that_is_too_deep_says_so() -> None:
    deep = "<div>" * 2001 + "text"
    with pytest.raises(PageTooComplex, match="2000 deep"):
        main_text(deep)
    with pytest.raises(PageTooComplex, match="2000 deep"):
        main_text(deep + "</div>" * 2001 + "<p>shallow</p>" * 3000)
    assert main_text("<div>" * 1900 + "text" + "</div>" * 1900 + "<p>shallow</p>" * 3000)


OPEN_ELEMENTS = {
    "formatting": "".join(f"<p><font a{i}=1>" for i in range(20_000)),
    "mixed": "<B><i><A>" * 1_000,
    "options": "<select>" + "<option>x" * 20_000,
    "closed by others": "<p><font a=1></p></p></p>" * 1_000,
}


@pytest.mark.parametrize("page", OPEN_ELEMENTS)
def test_elements_that_are_left_open_are_refused_before_they_are_parsed(page: str) -> None:
    """The first took 23.9 GB, the last over a minute."""
    with pytest.raises(PageTooComplex, match=r"left open|options|nested"):
        main_text(OPEN_ELEMENTS[page])


def test_a_page_that_closes_what_it_opens_is_read() -> None:
    page = "<p>Some <b>words</b> of <i>text</i>, <br><img src='x'> and more.</p>" * 2_000
    assert "Some words of text" in (main_text(page) or "")
