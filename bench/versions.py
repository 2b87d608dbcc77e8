"""What a version costs the command that commits it: `python -m bench.versions`.

    receipts of 9,000 and of 90,000 inputs, named as Common Crawl's are
      ─► one more input: books within the limits, manifest, its SHA-256, the record

Processor seconds, and the memory of the whole process: nothing is read or written.
"""

import argparse
import resource
import sys
import time
from dataclasses import replace
from typing import Any

from bench.report import RESULTS, print_table, write_results
from pipeline.books import over_limit
from pipeline.tokenizers import entry_of
from pipeline.versions import make_version
from transforms.settings import TokenizeSettings
from transforms.shards.json_records import fingerprint_of
from transforms.shards.receipt import IndexEntry, InputBooks, Receipt, ShardEntry

_NAME = "CC-MAIN-2026-05/segments/1700000000000.00/wet/CC-MAIN-20260101000000-20260101030000-{:05d}"
_SHA256 = "0123456789abcdef" * 4


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, nargs="+", default=[9_000, 90_000])
    found = [measure(count) for count in parser.parse_args().inputs]
    print_table(list(found[0]), [list(one.values()) for one in found])
    write_results(RESULTS, "versions", {"versions": found})
    return 0


def measure(count: int) -> dict[str, Any]:
    """Costs of the last version of a build of so many inputs, each of which came alone."""
    settings = TokenizeSettings()
    tokenizer = settings.load_tokenizer()
    entry = entry_of(settings, tokenizer, None)
    first = receipt(settings.described(tokenizer), 0)
    receipts = {one.unit: one for one in (renamed(first, number) for number in range(count))}
    last, added = receipts.popitem()
    begun = time.process_time()
    list(over_limit([*receipts.values(), added], 0.01, allow_truncated=False))
    checked = time.process_time()
    version, _, content = make_version([], receipts, {last: added}, entry)
    return {
        "inputs": count,
        "limits_seconds": round(checked - begun, 2),
        "version_seconds": round(time.process_time() - checked, 2),
        "manifest_bytes": len(content),
        "record_bytes": len(version.to_json()),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
    }


def receipt(described: dict[str, Any], number: int) -> Receipt:
    """Of a WET file of usual size."""
    books = InputBooks(
        path=_NAME.format(number),
        part=None,
        bytes=84_000_000,
        sha256=_SHA256,
        records=28_001,
        documents=28_000,
        rejects={"not-a-document": 1},
        tokens=75_000_000,
        text_bytes=250_000_000,
        special_token_texts=3,
        decoded_bytes=265_000_000,
        lost_bytes=0,
        undecoded_bytes=0,
        is_truncated=False,
        html_extractor=None,
    )
    shard = ShardEntry(
        path="",
        format="npy",
        dtype="<u4",
        tokens=75_000_000,
        documents=28_000,
        bytes=300_000_128,
        sha256=_SHA256,
    )
    index = IndexEntry(path="", rows=28_000, bytes=1_700_000, sha256=_SHA256)
    return Receipt(fingerprint_of(described), described, books, (shard,), index, index)


def renamed(first: Receipt, number: int) -> Receipt:
    """The same of another file, as it is when it was read."""
    name = _NAME.format(number)
    other = replace(
        first,
        input=replace(first.input, path=name),
        shards=tuple(replace(one, path=f"tokens/{name}.npy") for one in first.shards),
        documents=replace(first.documents, path=f"documents/{name}.parquet"),
        rejects=first.rejects and replace(first.rejects, path=f"rejects/{name}.parquet"),
    )
    return Receipt.from_json(other.to_json(), name)


if __name__ == "__main__":
    sys.exit(main())
