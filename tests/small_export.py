"""A small build to export, and what it holds, read without any of the exports' own code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sample_inputs import write_inputs
from small_build import make_build

from pipeline.commands.export import ExportConfig, ExportResult, export
from transforms.exports.settings import ExportSettings
from transforms.settings import TokenizeSettings
from transforms.shards.settings import ShardSettings

GPT2_END, CL100K_END = 50256, 100257


def make_source(folder: Path, tokenizer: str = "gpt2", **settings: Any) -> Path:
    """A build of six inputs, several shards a unit, in folder/build."""
    write_inputs(folder / "input")
    shards = ShardSettings(max_tokens=100)
    make_build(
        folder / "input",
        folder / "build",
        TokenizeSettings(tokenizer=tokenizer, shards=shards, **settings),
    )
    return folder / "build"


def exported(
    build: Path, output: Path, format: str, workers: int | None = None, **settings: Any
) -> Path:
    """Exports the build into output, which is returned."""
    run_export(build, output, format, workers, **settings)
    return output


def run_export(
    build: Path, output: Path, format: str, workers: int | None = None, **settings: Any
) -> ExportResult:
    chosen = ExportSettings(format=format, **settings)
    return export(
        ExportConfig(directory=str(build), output=str(output), settings=chosen, workers=workers)
    )


def store_documents(build: Path) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Row and ids of every document, in the order of units and records."""
    manifest = json.loads((build / "manifest.json").read_bytes())
    for book in manifest["inputs"]:
        unit = book["path"]
        receipt = json.loads((build / f"receipts/{unit}.json").read_bytes())
        shards = [np.load(build / shard["path"]) for shard in receipt["shards"]]
        for row in pq.read_table(build / receipt["documents"]["path"]).to_pylist():
            end = row["start"] + row["length"]
            yield {**row, "unit": unit}, shards[row["shard"]][row["start"] : end].tolist()


def shard_files(output: Path) -> Iterator[tuple[dict[str, Any], list[Path]]]:
    """Each shard of the manifest, and its files."""
    for shard in json.loads((output / "manifest.json").read_bytes())["shards"]:
        yield shard, [output / file["path"] for file in shard["files"]]
