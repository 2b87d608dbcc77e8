"""One JSON line -> its document, or the reason why it has none. Slow, and the authority."""

import json
from typing import NamedTuple

from transforms.documents import Reason
from transforms.reading.formats import ReadSettings

_MAX_INTEGER_DIGITS = 4000  # Python refuses to convert many more; no id has them
_MISSING = object()


class LineDocument(NamedTuple):
    """What a line holds; None where it names none."""

    text: bytes
    id: str | None
    url: str | None


class LineFault(NamedTuple):
    """Why a line holds no document."""

    reason: Reason
    detail: str


def judge_line(line: bytes, settings: ReadSettings) -> LineDocument | LineFault:
    """Return what a line stands for.

    Of a key that occurs twice the last counts, NaN and Infinity are taken:
    what Python's json module does, and with it most of the tools that wrote
    these files. An id that is no string becomes its JSON text; a URL that is
    none becomes None.
    """
    try:
        decoded = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return LineFault(Reason.INVALID_UTF8, f"the line is not UTF-8 at its byte {error.start}")
    try:
        value = json.loads(decoded, parse_int=_parse_integer)
    except RecursionError:
        return LineFault(Reason.INVALID_JSON, "the JSON is nested too deep to be parsed")
    except ValueError as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        return LineFault(
            Reason.INVALID_JSON, f"expected one JSON object, found something else{where}"
        )
    if not isinstance(value, dict):
        return LineFault(Reason.INVALID_JSON, f"expected a JSON object, found {_json_type(value)}")
    return _judge_object(value, settings)


def is_object(line: bytes) -> bool:
    """Whether the line is exactly one JSON object.

    No proper prefix and, quotes being balanced, no proper suffix of an object
    is one; so a line next to a gap passes only when the gap took none of it.
    """
    try:
        return isinstance(json.loads(line.decode("utf-8"), parse_int=_parse_integer), dict)
    except (ValueError, RecursionError):
        return False


def _judge_object(value: dict[str, object], settings: ReadSettings) -> LineDocument | LineFault:
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
