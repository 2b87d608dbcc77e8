"""The small JSON files of a build: how they are written, and how they are read with suspicion."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from transforms.errors import MismatchError

FORMAT = "tokenmill/2"
"""The version of everything a build writes; part of every fingerprint."""

Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]

_T = TypeVar("_T")


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces and a newline at the end: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def fingerprint_of(described: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, over the canonical JSON of settings and format version."""
    return hashlib.sha256(
        canonical_json({"format": FORMAT, "settings": dict(described)})
    ).hexdigest()


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """What decides ids, as TokenizeSettings.described gives it."""

    name: str
    revision: str | None
    fingerprint: Sha256
    begin_of_text: Count | None
    end_of_text: Count | None


@dataclass(frozen=True, slots=True)
class ShardShape:
    """How shards are cut, as TokenizeSettings.described gives it."""

    format: str
    max_tokens: Count | None


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """The shape of `settings` in mark, receipts and manifest."""

    tokenizer: TokenizerSettings
    read: Mapping[str, Any]
    shards: ShardShape


@dataclass(frozen=True, slots=True)
class ExportedFrom:
    """The build that an export was made of."""

    fingerprint: Sha256
    manifest_sha256: Sha256


@dataclass(frozen=True, slots=True)
class ExportedTokenizer:
    """The vocabulary of an export."""

    name: str
    fingerprint: Sha256
    vocabulary_size: Count


@dataclass(frozen=True, slots=True)
class ExportedFormat:
    """The files of an export."""

    name: str
    dtype: Literal["<u2", "<u4", "<i4"]


@dataclass(frozen=True, slots=True)
class ExportedFraming:
    """What an export changes at the ends of a document."""

    drops_last: bool
    before: Count | None
    after: Count | None


@dataclass(frozen=True, slots=True)
class ExportedSequences:
    """How documents of an export are packed."""

    length: Count
    packing: str
    tail: str
    padding: Count


@dataclass(frozen=True, slots=True)
class ExportShape:
    """The shape of `settings` in an export."""

    source: ExportedFrom
    tokenizer: ExportedTokenizer
    format: ExportedFormat
    shard_tokens: Count | None
    splits: tuple[tuple[str, float], ...]
    split_key: str
    shuffle: int | None
    sources: tuple[tuple[str, str, float], ...]
    sequences: ExportedSequences | None
    framing: ExportedFraming


def is_export(settings: Mapping[str, Any]) -> bool:
    """Whether settings are an export's, and not a build's."""
    return settings.get("pass") == "export"


def check_settings(settings: Mapping[str, Any], place: str, remedy: str) -> None:
    """Raises MismatchError, naming `place`, where settings are not of one of the shapes above."""
    shape = ExportShape if is_export(settings) else BuildSettings
    try:
        if _depth(settings) > _MAX_SETTINGS_DEPTH:
            raise ValueError(f"settings more than {_MAX_SETTINGS_DEPTH} deep")
        msgspec.convert(dict(settings), shape, strict=True)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MismatchError(f"{place}: not a record of {FORMAT} ({error}): {remedy}") from error


_MAX_SETTINGS_DEPTH = 8


def _depth(value: Any) -> int:
    """How deeply containers stand in each other; without recursion, for hostile records."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, Mapping | list)]:
        depth += 1
        if depth > _MAX_SETTINGS_DEPTH:
            break
        level = [
            inner for one in level for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
    return depth


def parse_record(content: bytes, kind: type[_T], place: str, remedy: str) -> _T:
    """What `canonical_json` wrote of a dataclass, every field of the type it is declared with.

    Args:
        content: the bytes of the file. Whatever they are, nothing but MismatchError is raised.
        kind: a dataclass; fields of JSON that it does not have are not looked at.
        place: the file, for the message.
        remedy: what to do about a broken one, for the message.

    Raises:
        MismatchError: not JSON of that kind, or of another format version.
    """
    try:
        value = msgspec.json.decode(content)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            found = value.get("format") if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"expected the format {FORMAT}, found {found!r:.40}")
        return msgspec.convert(value, kind, strict=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MismatchError(f"{place}: not a record of {FORMAT} ({error}): {remedy}") from error
