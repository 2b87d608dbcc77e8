"""`python tests/readers/write_exports.py DIR`: builds and exports for the trainers' own readers.

DIR/<vocabulary>/build            a build of real web text where there is any, else the sample
DIR/<vocabulary>/<format>         an export of it in each format
DIR/<vocabulary>/expected.npz     ids and lengths of all documents, read with NumPy alone
DIR/<vocabulary>/expected.json    end of text, size of the vocabulary, dtype
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

FORMATS = (
    "bin",
    "megatron",
    "olmo",
    "datatrove",
    "mds",
    "litdata",
    "pbin",
    "parquet",
    "arrayrecord",
    "npy",
)
# Packed, to be compared with OLMo-core's own packing of the olmo export.
MORE = {"npy": ("--sequence-length", "2048", "--packing", "best-fit")}
REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("TOKENMILL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))


def run(*arguments: str) -> None:
    """Runs the command line of this environment; ends with its message where it fails."""
    command = [str(Path(sys.executable).with_name("tokenmill")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def inputs_for(folder: Path) -> list[str]:
    if (SHARED / "web").is_dir():
        return [str(SHARED / "web" / "*")]
    command = [sys.executable, "-m", "pipeline.sample", str(folder / "sample")]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    return [str(path) for path in sorted((folder / "sample").iterdir())]


def write_expected(build: Path, folder: Path) -> None:
    """What every reader must give, by docs/formats.md's second reader."""
    manifest = json.loads((build / "manifest.json").read_bytes())
    ids, lengths = [], []
    for unit in manifest["inputs"]:
        receipt = json.loads((build / "receipts" / f"{unit['path']}.json").read_bytes())
        ids += [np.load(build / shard["path"]) for shard in receipt["shards"]]
        table = pq.read_table(build / receipt["documents"]["path"], columns=["length"])
        lengths.append(table.column("length").to_numpy())
    every = np.concatenate(ids)
    np.savez(folder / "expected.npz", ids=every, lengths=np.concatenate(lengths))
    facts = {
        "end_of_text": manifest["settings"]["tokenizer"]["end_of_text"],
        "vocabulary_size": manifest["tokenizer"]["vocabulary_size"],
        "dtype": every.dtype.str,
    }
    (folder / "expected.json").write_text(json.dumps(facts))


def main(directory: str) -> None:
    root = Path(directory)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    inputs = inputs_for(root)
    for vocabulary in ("gpt2", "cl100k_base"):
        folder = root / vocabulary
        folder.mkdir()
        build = str(folder / "build")
        run("build", "--input", *inputs, "--output", build, "--tokenizer", vocabulary)
        write_expected(folder / "build", folder)
        tokens = len(np.load(folder / "expected.npz")["ids"])
        for name in FORMATS:
            size = str(tokens // 3)  # several shards, the last one small
            arguments = ("--output", str(folder / name), "--format", name, "--shard-tokens", size)
            run("export", build, *arguments, *MORE.get(name, ()))


if __name__ == "__main__":
    main(sys.argv[1])
