"""`tokenmill inspect`: tokens for people to look at."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text

from pipeline.tokenizers import tokenizer_of
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.layout import documents_path
from transforms.shards.manifest import Manifest
from transforms.shards.receipt import Receipt

DEFAULT_LIMIT = 200

_BACKGROUNDS = ("on grey23", "on blue")
_SEPARATOR = "│"
_INDENT = "  "


def inspect_document(
    directory: str,
    document_id: str | None,
    shard: str | None,
    index: int,
    *,
    limit: int = DEFAULT_LIMIT,
    tokenizer: Tokenizer | None = None,
) -> int:
    """Shows a document of a build: where it comes from, its first `limit` tokens and their ids.

    The document with that id (the first of them), or number `index` of a shard, a path in the
    manifest. tokenizer: needed when the vocabulary came from a file. Returns 0; raises
    MismatchError when there is no such document, ConfigurationError for impossible arguments.
    """
    if limit < 1 or index < 0:
        raise ConfigurationError("inspect: --limit must be at least 1, --index at least 0")
    source = Build.at(directory)
    manifest = source.manifest()
    used = tokenizer_of(source, manifest, tokenizer)
    if document_id is not None:
        unit, row, alike = _find_by_id(source, manifest, document_id)
    else:
        unit, row = _find_by_place(source, manifest, str(shard), index)
        alike = 1
    receipt = source.receipt(unit)
    entry = receipt.shards[row["shard"]]
    shown = min(limit, row["length"])
    with source.open_shard(entry) as opened:
        ids = opened.read(row["start"], row["start"] + shown).tolist()
    console = _console()
    if alike > 1:
        console.print(f"{alike} documents have this id; the first of them:")
    _print_provenance(console, receipt, entry.path, row)
    console.print()
    _print_tokens(console, [_token_text(used, token) for token in ids], ids)
    if shown < row["length"]:
        more = row["length"] - shown
        console.print(f"... and {more:,} more tokens: see them with --limit {row['length']}")
    return 0


def inspect_text(text: str, tokenizer: Tokenizer | None = None) -> int:
    """Shows how a text is cut into pretokens, and the tokens and ids of each; returns 0."""
    used = tokenizer or Tokenizer.load("cl100k_base")
    try:
        pretokens = used.pretokens(text)
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"--text is not valid Unicode: {error.reason}") from error
    console = _console()
    every = [token for _, ids in pretokens for token in ids]
    console.print(
        f"{used.vocabulary.name}: {len(text.encode()):,} bytes, {len(pretokens):,} pretokens, "
        f"{len(every):,} tokens\n"
    )
    _print_tokens(console, [_token_text(used, token) for token in every], every)
    console.print()
    for piece, ids in pretokens:
        line = Text(f"{_visible(piece)!s:<20}  ")
        line.append_text(_joined(console, [_token_text(used, token) for token in ids]))
        line.append(f"  {' '.join(map(str, ids))}")
        console.print(line, soft_wrap=True)
    return 0


def _find_by_id(
    source: Build, manifest: Manifest, document_id: str
) -> tuple[str, dict[str, Any], int]:
    """Unit and index row of the first document of that id, and how many there are."""
    first: tuple[str, int] | None = None
    count = 0
    for unit in manifest.units:
        row = 0
        for batch in _index_rows(source, unit, ["id"]):
            same = pc.equal(batch.column("id"), document_id)
            if first is None and (at := pc.index(same, True).as_py()) >= 0:
                first = unit, row + at
            count += pc.sum(same).as_py() or 0
            row += len(batch)
    if first is None:
        raise MismatchError(
            f"{source.root}: no document has the id {document_id!r}: look one up in documents/, "
            "or name it by --shard and --index"
        )
    return first[0], _row(source, *first), count


def _find_by_place(
    source: Build, manifest: Manifest, shard: str, index: int
) -> tuple[str, dict[str, Any]]:
    """Unit and index row of document number `index` of a shard."""
    if not any(entry.path == shard for entry in manifest.shards):
        example = manifest.shards[0].path if manifest.shards else "none at all"
        raise MismatchError(f"{source.root}: no shard {shard!r}: there is for example {example}")
    for unit in manifest.units:
        earlier = 0
        for part in source.receipt(unit).shards:
            if part.path == shard:
                if index >= part.documents:
                    raise MismatchError(
                        f"{shard}: no document {index}: it holds {part.documents}, counted from 0"
                    )
                return unit, _row(source, unit, earlier + index)
            earlier += part.documents
    raise MismatchError(f"{shard}: no receipt names it")


def _index_rows(
    source: Build, unit: str, columns: Sequence[str] = DOCUMENTS_SCHEMA.names
) -> Iterator[pa.RecordBatch]:
    path = documents_path(unit)
    with source.local_copy(path) as local_path:
        yield from read_rows(local_path, path, DOCUMENTS_SCHEMA, columns)


def _row(source: Build, unit: str, number: int) -> dict[str, Any]:
    for batch in _index_rows(source, unit):
        if number < len(batch):
            row: dict[str, Any] = batch.slice(number, 1).to_pylist()[0]
            return row
        number -= len(batch)
    raise MismatchError(f"{documents_path(unit)}: {number + 1} rows less than expected")


def _print_provenance(
    console: Console, receipt: Receipt, shard: str, row: Mapping[str, Any]
) -> None:
    source = receipt.input
    facts = (
        ("document", row["id"]),
        ("url", row["url"]),
        ("input", f"{source.path} ({source.bytes:,} bytes)"),
        ("sha256", source.sha256),
        ("record", row["record"]),
        ("shard", shard),
        ("start", row["start"]),
        ("length", f"{row['length']} tokens, {row['text_bytes']} bytes of text"),
        ("text_xxh3", f"{row['text_xxh3']:016x}"),
    )
    for name, value in facts:
        shown = "(none)" if value is None else _visible(str(value).encode())
        console.print(Text(f"{name:<10} {shown}"), soft_wrap=True)


def _print_tokens(console: Console, texts: Sequence[str], ids: Sequence[int]) -> None:
    console.print(_joined(console, texts), soft_wrap=True)
    console.print()
    console.print(Text(" ".join(map(str, ids))), soft_wrap=not console.is_terminal)


def _joined(console: Console, texts: Sequence[str]) -> Text:
    """Tokens side by side: alternating backgrounds in a terminal, separators elsewhere.

    A token with a line break ends its line, so that the text keeps its shape.
    """
    joined = Text()
    for number, text in enumerate(texts):
        if console.is_terminal:
            joined.append(text, _BACKGROUNDS[number % 2])
        else:
            joined.append(text if number == 0 else _SEPARATOR + text)
        if text.endswith("\\n") and number < len(texts) - 1:
            joined.append("\n")
    return joined


def _token_text(tokenizer: Tokenizer, token: int) -> str:
    return _visible(tokenizer.decode_bytes(np.array([token], np.uint32)))


def _visible(text: bytes) -> str:
    r"""Text with every byte that is no whole character, and every control character, escaped.

    >>> _visible("naïve\n".encode()), _visible(b"\xe2\x82"), _visible(b"\x1b[2J")
    ('naïve\\n', '\\xe2\\x82', '\\x1b[2J')
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text.decode("utf-8", "backslashreplace")
    )


def _console() -> Console:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # web text in a terminal of any encoding
    return Console(highlight=False, markup=False, emoji=False)
