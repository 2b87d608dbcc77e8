"""The block of a WARC record -> the text a reader of the page would see."""

import base64
import hashlib
import io
import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import zstandard
from fastwarc.stream_io import BrotliReader
from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

from transforms.documents import Reason
from transforms.reading.html_text import PageTooComplex, main_text

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PLAIN = "text/plain"
_COMPRESSED_TRANSFERS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd"})
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
# A line of ASCII without white space at its ends, as in nearly every header: in one call for all.
_ORDINARY_FIELD = re.compile(r"^([!-9;-~]+): ?([!-~]*(?: +[!-~]+)*)\r?$", re.MULTILINE)
_EMPTY_LINE = ("\n\r\n", "\n\n")
_FOLD = re.compile(r"\r?\n[ \t]+")
_CUT_CHUNK_SIZE = re.compile(rb"\s*(?:[0-9A-Fa-f]{1,15}[ \t]*(?:;[^\n]*)?\r?)?\Z")
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FED_BYTES = 256
_MAX_WINDOW_BYTES = 8 << 20  # of RFC 9659
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")
_STARTS_LIKE_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)


class Rejected(Exception):
    """Why a record is no document."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def parse_fields(lines: bytes) -> tuple[dict[str, str], frozenset[str]]:
    """Parses the lines of a header; those without a colon are left out.

    Returns:
        The values by lower-case name, of a repeated one the first; and the names that stand there
        again with another value.
    """
    text = lines.decode("utf-8", "replace")
    fields = _ORDINARY_FIELD.findall(text)
    if text.endswith(_EMPTY_LINE) and len(fields) + 1 == text.count("\n"):  # all lines before it
        values = {name.lower(): value for name, value in fields}
        if len(values) == len(fields):
            return values, frozenset()
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)  # a value that goes on in the next line
    values = {}
    contradicted: frozenset[str] = frozenset()
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip().lower()
            if name not in values:
                values[name] = value.strip()
            elif values[name] != value.strip():
                contradicted |= {name}
    return values, contradicted


def agrees_with_digest(fields: Mapping[str, str], data: bytes, begin: int, end: int) -> bool | None:
    """Whether `data[begin:end]` has the record's WARC-Block-Digest; None when that can not be said.

    Algorithms are named as in `sha1:` or `SHA-256:`; values are Base32, as crawlers write them,
    or hexadecimal.
    """
    algorithm, _, value = fields.get("warc-block-digest", "").partition(":")
    algorithm = algorithm.strip().lower().replace("-", "")
    if algorithm not in ("md5", "sha1", "sha256", "sha512"):
        return None
    digest = hashlib.new(algorithm, usedforsecurity=False)
    digest.update(memoryview(data)[begin:end])
    base32 = base64.b32encode(digest.digest()).decode().rstrip("=")
    return value.strip().rstrip("=").upper() in (base32, digest.hexdigest().upper())


def response_text(warc: Mapping[str, str], block: bytes, max_bytes: int) -> bytes:
    """The UTF-8 text of a `response` record.

    A body that is not chunked or compressed although its header says so is
    taken as it is, as browsers and warcio do: crawlers often store the decoded
    body under the original header.

    Raises:
        Rejected: it is no document; with the reason.
    """
    if not block.startswith(b"HTTP/"):
        if "application/http" not in warc.get("content-type", ""):
            return resource_text(warc, block)
        raise Rejected(Reason.UNDECODABLE_PAYLOAD, "the block does not begin with an HTTP status")
    response = _parse_response(block)
    if not 200 <= response.status <= 299:
        raise Rejected(Reason.NOT_SUCCESSFUL, f"HTTP status {response.status}")
    declared = response.headers.get("content-type") or warc.get("warc-identified-payload-type", "")
    media_type, charset = _parse_content_type(declared)
    if media_type and media_type not in _HTML and media_type != _PLAIN:
        raise Rejected(Reason.NOT_TEXT, f"Content-Type: {media_type}")
    body = response.body
    is_cut = "warc-truncated" in warc
    for coding in reversed(response.headers.get("transfer-encoding", "").lower().split(",")):
        body = _decode_transfer(body, coding.partition(";")[0].strip(), max_bytes, is_cut=is_cut)
    for coding in reversed(response.headers.get("content-encoding", "").lower().split(",")):
        body = _decode_content(body, coding.strip(), max_bytes, is_cut=is_cut)
    return _text(body, media_type, charset)


def resource_text(warc: Mapping[str, str], block: bytes) -> bytes:
    """The UTF-8 text of a `resource` record; raises as `response_text`."""
    media_type, charset = _parse_content_type(warc.get("content-type", ""))
    return _text(block, media_type, charset)


def conversion_text(warc: Mapping[str, str], block: bytes) -> bytes:
    """The text of a `conversion` record: its bytes, unchecked, unless of another charset."""
    _, charset = _parse_content_type(warc.get("content-type", ""))
    encoding = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    if encoding in (None, "utf-8"):
        return block
    return _decode(block, encoding).encode("utf-8", "replace")


def _text(body: bytes, media_type: str, charset: str) -> bytes:
    if not media_type and _STARTS_LIKE_HTML.match(body):
        media_type = "text/html"
    if media_type == _PLAIN:
        encoding = _encoding(body, charset, from_html_meta=False)
        if encoding in ("utf-8", "windows-1252", "cp1252") and body.isascii():
            return body
        return _decode(body, encoding).encode("utf-8", "replace")
    if media_type not in _HTML:
        raise Rejected(Reason.NOT_TEXT, f"Content-Type: {media_type or 'none'}")
    try:
        text = main_text(_decode(body, _encoding(body, charset, from_html_meta=True)))
    except PageTooComplex as error:
        raise Rejected(Reason.NO_MAIN_TEXT, str(error)) from error
    if text is None:
        raise Rejected(Reason.NO_MAIN_TEXT, "no main text on the page")
    return text.encode("utf-8", "replace")


def _encoding(body: bytes, charset: str, *, from_html_meta: bool) -> str:
    """A byte order mark, else the header, else the page's own word, else statistics."""
    if body.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    known = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    return known or detect_encoding(body, from_html_meta=from_html_meta) or "utf-8"


def _decode(body: bytes, encoding: str | None) -> str:
    text: str = bytes_to_str(body, encoding or "utf-8")
    return text.removeprefix("\ufeff")


def _parse_response(block: bytes) -> _Response:
    end = _END_OF_HEADER.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    status_line, _, lines = head.partition(b"\n")
    status = status_line.split(None, 2)[1:2]
    if not status or not status[0].isdigit():
        shown = status_line[:80].decode("ascii", "replace").strip()
        raise Rejected(Reason.UNDECODABLE_PAYLOAD, f"no HTTP status in {shown!r}")
    return _Response(int(status[0][:9]), parse_fields(lines)[0], body)


def _parse_content_type(value: str) -> tuple[str, str]:
    """The media type and the charset, lower-case, empty where not given."""
    if value in (_PLAIN, ""):  # as in all of Common Crawl's WET
        return value, ""
    media_type, *parameters = value.lower().split(";")
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name.strip() == "charset":
            return media_type.strip(), charset.strip(" \t\"'")
    return media_type.strip(), ""


def _decode_transfer(body: bytes, coding: str, max_bytes: int, *, is_cut: bool) -> bytes:
    """Undoes one transfer coding; where its name is none, the body is taken as it is."""
    if coding == "chunked":
        body, is_complete = _unchunk(body)
        if not is_complete and not is_cut:
            raise Rejected(Reason.UNDECODABLE_PAYLOAD, "the chunked body ends before its end")
    elif coding in _COMPRESSED_TRANSFERS:
        return _decode_content(body, coding, max_bytes, is_cut=is_cut)
    return body


def _unchunk(body: bytes) -> tuple[bytes, bool]:
    """The content of a chunked body, and whether it is complete.

    From where it is not chunked on it is taken as it is.
    """
    content: list[bytes] = []
    at = 0
    while size := _CHUNK_SIZE.match(body, at):
        length = int(size[1], 16)
        if not length:
            return b"".join(content), True
        content.append(body[size.end() : size.end() + length])
        at = size.end() + length
        at += 2 if body.startswith(b"\r\n", at) else body.startswith(b"\n", at)
    is_cut = content and _CUT_CHUNK_SIZE.match(body, at)
    return b"".join([*content, body[at:]]), not is_cut


def _decode_content(body: bytes, coding: str, max_bytes: int, *, is_cut: bool) -> bytes:
    """Undoes one content coding, to at most `max_bytes`."""
    try:
        if coding in ("gzip", "x-gzip"):
            if not body.startswith(_GZIP_MAGIC):
                return body
            content, complete = _inflate(body, zlib.MAX_WBITS | 16, max_bytes)
        elif coding == "deflate":
            content, complete = _inflate_either(body, max_bytes)
        elif coding == "br":
            content, complete = BrotliReader(io.BytesIO(body)).read(max_bytes + 1), True
        elif coding == "zstd":
            if not body.startswith(_ZSTD_MAGIC):
                return body
            content, complete = _decompress_zstd(body, max_bytes)
        elif coding in ("", "identity"):
            return body
        else:
            raise Rejected(Reason.UNDECODABLE_PAYLOAD, f"unknown Content-Encoding: {coding}")
    except (zlib.error, zstandard.ZstdError, OSError) as error:
        raise Rejected(
            Reason.UNDECODABLE_PAYLOAD, f"the header says {coding}, the body is not: {error}"
        ) from error
    if len(content) > max_bytes:
        raise Rejected(
            Reason.OVERSIZED_RECORD, f"the body decodes to more than the {max_bytes} bytes allowed"
        )
    if not complete and not is_cut:
        raise Rejected(Reason.UNDECODABLE_PAYLOAD, f"the {coding} body ends before its end")
    return content


def _decompress_zstd(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """The content of zstd frames, and whether the last is complete.

    Small portions are fed: what one call gives has no other bound, and 128 KiB may come of each
    4 bytes.
    """
    content: list[bytes] = []
    content_bytes, at, complete = 0, 0, False
    context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    while at < len(body) and content_bytes <= max_bytes:
        if complete and not body.startswith(_ZSTD_MAGIC, at):
            break  # after the last frame: no part of the body
        frame = context.decompressobj()
        while at < len(body) and content_bytes <= max_bytes and not frame.eof:
            content.append(frame.decompress(body[at : at + _FED_BYTES]))
            content_bytes += len(content[-1])
            at = min(at + _FED_BYTES, len(body)) - len(frame.unused_data)
        complete = frame.eof
    return b"".join(content), complete


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> tuple[bytes, bool]:
    """The content of a zlib stream, or of all members of a gzip stream, and if it is complete."""
    content: list[bytes] = []
    room, remaining = max_bytes + 1, body
    while True:
        decoder = zlib.decompressobj(window_bits)
        content.append(decoder.decompress(remaining, room))
        room -= len(content[-1])
        remaining = decoder.unused_data
        if not decoder.eof or room <= 0 or not remaining.startswith(_GZIP_MAGIC):
            return b"".join(content), decoder.eof


def _inflate_either(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """`deflate` means the zlib format; many servers send it without the header."""
    try:
        return _inflate(body, zlib.MAX_WBITS, max_bytes)
    except zlib.error:
        return _inflate(body, -zlib.MAX_WBITS, max_bytes)
