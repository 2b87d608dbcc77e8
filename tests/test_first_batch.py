"""What `make demo` ends with: the first batch, decoded."""

import subprocess
import sys
from pathlib import Path

import tokenmill
from pipeline.first_batch import first_batch
from tokenizer import Tokenizer


def test_the_first_batch_is_that_of_the_loader_decoded(made: Path, tmp_path: Path) -> None:
    build = made / "output"
    result = tokenmill.export(build, tmp_path / "out", format="megatron", shuffle=1)
    assert result.manifest.documents == len(tokenmill.open(build))
    lines = first_batch(str(build), str(tmp_path / "out")).splitlines()
    assert lines[0].endswith("/out: input and target, int64[4, 12] each")
    corpus = tokenmill.open(tmp_path / "out")
    batch = next(iter(corpus.batches(12, 4, seed=1)))
    tokenizer = Tokenizer.load("cl100k_base")
    ids = {document.id for document in corpus} | {document.unit for document in corpus}
    for row in range(4):
        head, shown, target = lines[1 + 3 * row : 4 + 3 * row]
        number, _, name = head.removeprefix("sample ").partition(", of ")
        assert int(number) == batch.samples[row]
        assert name in ids
        for line, own in ((shown, batch.input[row]), (target, batch.target[row])):
            assert line.split("│")[1:] == [
                tokenizer.decode_bytes([token]).decode("utf-8", "backslashreplace") for token in own
            ]
        assert shown.split("│")[2:] == target.split("│")[1:-1]


def test_a_wrong_call_ends_with_usage() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline.first_batch"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: ")
