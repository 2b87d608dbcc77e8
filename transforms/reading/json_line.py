"""One JSON line -> its document, or the reason why it has none. Slow, and the authority."""

import json
from typing import NamedTuple

from transforms.documents import Reason
from transforms.reading.formats import ReadSettings

MAX_DEPTH = 128
_MAX_INTEGER_DIGITS = 4000  # Python refuses to convert many more; no id has them
_MISSING = object()
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class LineDocument(NamedTuple):
    """What a line holds; None where it names none."""

    text: bytes
    id: str | None
    url: str | None


class LineFault(NamedTuple):
    """Why a line holds no document."""

    reason: Reason
    detail: str


def parse_line(line: bytes, settings: ReadSettings) -> LineDocument | LineFault:
    """What a line stands for.

        {"text": "a", "id": [1, "b"], "url": 5}  ->  LineDocument(b"a", '[1, "b"]', None)

    Of a key that occurs twice the last counts, NaN and Infinity are taken:
    what Python's json module does, and with it nearly all tools that wrote
    these files. An id that is no string becomes its JSON text; a URL that is
    none becomes None. A line nested more than MAX_DEPTH levels deep is a fault
    however much of its stack the caller has used: it is never parsed.
    """
    if is_too_deep(line):
        return LineFault(
            Reason.INVALID_JSON, f"the JSON is nested more than {MAX_DEPTH} levels deep"
        )
    try:
        return _parse_decoded(line.decode("utf-8"), settings)
    except UnicodeDecodeError as error:
        where = error.start
    return _parse_undecodable(line, settings) or LineFault(
        Reason.INVALID_UTF8, f"the line is not UTF-8 at its byte {where}"
    )


def _parse_decoded(line: str, settings: ReadSettings) -> LineDocument | LineFault:
    try:
        value = json.loads(line, parse_int=_parse_integer)
    except ValueError as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        return LineFault(
            Reason.INVALID_JSON, f"expected one JSON object, found something else{where}"
        )
    if not isinstance(value, dict):
        return LineFault(Reason.INVALID_JSON, f"expected a JSON object, found {_json_type(value)}")
    return _document_of(value, settings)


def _parse_undecodable(line: bytes, settings: ReadSettings) -> LineDocument | None:
    """The document of a line that is not UTF-8; None where it has none.

    As Arrow does: bytes that are not UTF-8 stay in the text as they are, where the encoder finds
    them; in ids and URLs they become U+FFFD, and elsewhere they cost nothing.
    """
    replaced = _parse_decoded(line.decode("utf-8", "replace"), settings)
    if isinstance(replaced, LineFault):
        return None
    # The text has no lone surrogate of an escape, or the line would be a fault by now: all that
    # are found here stand for bytes.
    value = json.loads(line.decode("utf-8", "surrogateescape"), parse_int=_parse_integer)
    text = str(_look_up(value, settings.text_field))
    return replaced._replace(text=text.encode("utf-8", "surrogateescape"))


def is_object(line: bytes) -> bool:
    """Whether the line is exactly one JSON object.

    No proper prefix and, quotes being balanced, no proper suffix of an object
    is one; so a line next to a gap passes only when the gap took none of it.
    """
    if is_too_deep(line):
        return False
    try:
        return isinstance(json.loads(line.decode("utf-8"), parse_int=_parse_integer), dict)
    except ValueError:
        return False


def is_too_deep(line: bytes) -> bool:
    """Whether arrays and objects in a line are nested more than MAX_DEPTH levels deep.

        {"text": "[[[[", "id": [1]}   ->   outside of strings {: ,: []} -> two levels

    Of a line that is no JSON the depth is told up to where a parser stops. Linear; nothing but two
    counts where the line has few brackets.
    """
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return False
    # Without the escapes each quote begins or ends a string: every other part is outside of one.
    outside = line.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    depth = 0
    for byte in b"".join(outside).translate(None, _NOT_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _document_of(value: dict[str, object], settings: ReadSettings) -> LineDocument | LineFault:
    text = _look_up(value, settings.text_field)
    if text is _MISSING:
        return LineFault(Reason.MISSING_TEXT, f"the object has no field {settings.text_field!r}")
    if text is None:
        return LineFault(Reason.NULL_TEXT, f"the field {settings.text_field!r} is null")
    if not isinstance(text, str):
        return LineFault(
            Reason.TEXT_NOT_A_STRING,
            f"expected a string in the field {settings.text_field!r}, found {_json_type(text)}",
        )
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        return LineFault(
            Reason.INVALID_UTF8, f"a lone surrogate at character {error.start} of the text"
        )
    url = _look_up(value, settings.url_field)
    return LineDocument(
        content,
        _id_text(_look_up(value, settings.id_field)),
        url if isinstance(url, str) else None,
    )


def _look_up(value: object, path: str) -> object:
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _id_text(value: object) -> str | None:
    if value is None or value is _MISSING:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else float(digits)


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return "a string" if isinstance(value, str) else "an array or object"
