"""A document of a build, to be shown: its ids, and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.document_search import find_by_id, find_by_place, find_first
from pipeline.tokenizers import tokenizer_of
from tokenizer import Tokenizer
from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.receipt import Receipt


@dataclass(frozen=True)
class FoundDocument:
    """A document of a build.

    Attributes:
        tokenizer: It was encoded with.
        ids: The first of them.
        facts: Where it comes from, by name.
        alike: How many documents have its id.
    """

    tokenizer: Tokenizer
    ids: list[int]
    facts: Mapping[str, Any]
    alike: int


def look_up_document(
    source: Build,
    document_id: str | None,
    shard: str | None,
    index: int,
    limit: int,
    tokenizer: Tokenizer | None,
) -> FoundDocument:
    """The document of an id, or at a place of a shard, or the first.

    Args:
        source: The build.
        document_id: The first document of that id; None: go by shard.
        shard: A path in the manifest; None: the first document of all.
        index: Which document of the shard, from 0.
        limit: How many ids to read.
        tokenizer: None: the build's own.

    Raises:
        MismatchError: There is no such document.
    """
    manifest = source.manifest()
    used = tokenizer_of(source, manifest, tokenizer)
    alike = 1
    if document_id is not None:
        unit, row, alike = find_by_id(source, manifest, document_id)
    elif shard is not None:
        unit, row = find_by_place(source, manifest, shard, index)
    else:
        unit, row = find_first(source, manifest)
    receipt = source.receipt(unit)
    if not 0 <= row["shard"] < len(receipt.shards):
        raise MismatchError(f"{unit}: its index names shard {row['shard']}, its receipt does not")
    entry = receipt.shards[row["shard"]]
    with source.open_shard(entry) as opened:
        ids = opened.read(row["start"], row["start"] + min(limit, row["length"])).tolist()
    return FoundDocument(used, ids, _facts(receipt, entry.path, row), alike)


def _facts(receipt: Receipt, shard: str, row: Mapping[str, Any]) -> dict[str, Any]:
    source = receipt.input
    return {
        "document": row["id"],
        "url": row["url"],
        "input": source.path,
        "input_bytes": source.bytes,
        "sha256": source.sha256,
        "record": row["record"],
        "shard": shard,
        "start": row["start"],
        "length": row["length"],
        "text_bytes": row["text_bytes"],
        "text_xxh3": f"{row['text_xxh3']:016x}",
    }
