"""A small build to damage, made in a tenth of a second: real units and receipts, no Beam job."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.books import make_manifest
from pipeline.tokenizers import entry_of
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.manifest import TokenizerEntry
from transforms.shards.mark import Mark, settle
from transforms.shards.receipt import Receipt
from transforms.shards.recovery import clear_run
from transforms.shards.settings import ShardSettings
from transforms.shards.staged_file import digest_of
from transforms.shards.vocabulary_copy import keep_vocabulary

BEGIN, END = 100258, 100257
SETTINGS = TokenizeSettings(begin_of_text=BEGIN, shards=ShardSettings(max_tokens=60))
UNIT = "web/lines.jsonl"
FIRST_SHARD = f"tokens/{UNIT}-00000.npy"
INDEX = f"documents/{UNIT}.parquet"
REJECTS = f"rejects/{UNIT}.parquet"
RECEIPT = f"receipts/{UNIT}.json"


def write_inputs(folder: Path) -> None:
    (folder / "web").mkdir(parents=True)
    lines = [
        json.dumps(
            {"id": f"d{i}", "url": None, "text": f"Text number {i}, naïve 🧵. " * (1 + i % 3)}
        )
        for i in range(12)
    ]
    lines[3] = '{"id": "d3", "text": ""}'
    lines[7] = '{"id": "d7", "text": '
    lines[9] = '{"id": "d9", "text": "It says <|endoftext|> here."}'
    (folder / UNIT).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "plain.txt").write_text("One document, one file.\n", encoding="utf-8")


def make_build(inputs: Path, output: Path, settings: TokenizeSettings = SETTINGS) -> None:
    """A build without Beam: the same units, receipts and manifest."""
    work = TokenizePass(settings)
    build = Build.at(str(output), "test")
    settle(build, Mark(work.fingerprint, work.described()))
    files = [path for path in sorted(inputs.rglob("*")) if path.is_file()]
    for path in files:
        name = path.relative_to(inputs).as_posix()
        unit = WorkUnit(name, str(path), path.stat().st_size)
        run_unit(work, unit, build)
    clear_run(build, "test")
    kept = keep_vocabulary(build, settings.tokenizer, settings.revision)
    shutil.rmtree(output / "runs")
    write_manifest(output, entry_of(settings, work.tokenizer, kept))


def receipts_of(output: Path) -> list[Receipt]:
    return [
        Receipt.from_json(path.read_bytes(), str(path))
        for path in sorted((output / "receipts").rglob("*.json"))
    ]


def write_manifest(output: Path, entry: TokenizerEntry) -> None:
    receipts = receipts_of(output)
    settings, fingerprint = receipts[0].settings, receipts[0].fingerprint
    manifest = make_manifest(receipts, settings, fingerprint, entry)
    (output / "manifest.json").write_bytes(manifest.to_json())


def count_in(path: Path) -> int | None:
    """Rows or tokens that a file says it holds; None where it can not be read."""
    if path.suffix == ".npy":
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            return int(np.lib.format.read_array_header_1_0(file)[0][0])
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowException:
        return None


def reseal(output: Path, unit: str = UNIT, **books: Any) -> None:
    """Makes sizes and checksums right again, so that only the content can tell of the damage.

    books: what to change in the books of the unit.
    """

    def sealed(entry: Any) -> Any:
        path = output / entry.path
        digest = digest_of(path)
        count = count_in(path)
        more = {} if count is None else {"rows" if hasattr(entry, "rows") else "tokens": count}
        return dataclasses.replace(entry, bytes=digest.bytes, sha256=digest.sha256, **more)

    for receipt in receipts_of(output):
        changes: dict[str, Any] = books if receipt.input.path == unit else {}
        changed = dataclasses.replace(
            receipt,
            input=dataclasses.replace(receipt.input, **changes),
            shards=tuple(map(sealed, receipt.shards)),
            documents=sealed(receipt.documents),
            rejects=receipt.rejects and sealed(receipt.rejects),
        )
        path = output / f"receipts/{receipt.input.path}.json"
        path.write_bytes(changed.to_json())
    write_manifest(output, entry_of(SETTINGS, SETTINGS.load_tokenizer(), None))


def change_shard(output: Path, index: int, token: int, path: str = FIRST_SHARD) -> None:
    tokens = np.load(output / path, mmap_mode="r+")
    tokens[index] = token
    tokens.flush()


def change_parquet(output: Path, path: str, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    table = pq.read_table(output / path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), output / path)
