"""What verify says at the limits: full shards, rows far down, several row batches."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_build import make_build, reseal

from pipeline.commands.build import build
from pipeline.commands.verify import verify
from pipeline.config import BuildConfig
from transforms.errors import MismatchError
from transforms.passes.unit_check import _check_order, check_unit
from transforms.settings import TokenizeSettings
from transforms.shards import index
from transforms.shards.build import Build
from transforms.shards.settings import ShardSettings

# A word and an end of text: two ids a document.
SETTINGS = TokenizeSettings(shards=ShardSettings(max_tokens=4))


@pytest.fixture
def full(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    lines = [json.dumps({"id": f"d{n}", "text": "word"}) for n in range(12)]
    (tmp_path / "in/a.jsonl").write_text("\n".join(lines) + "\n")
    make_build(tmp_path / "in", tmp_path / "out", SETTINGS)
    return tmp_path / "out"


def test_shards_that_are_exactly_full_are_sound(full: Path) -> None:
    shards = Build.at(str(full)).receipt("a.jsonl").shards
    assert [shard.tokens for shard in shards] == [4] * 6
    assert verify(str(full)) == 0


def test_a_shard_of_more_tokens_than_allowed_is_a_difference(
    full: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = Build.at(str(full))
    receipt = build.receipt("a.jsonl")
    settings = json.loads(json.dumps(receipt.settings))
    settings["shards"]["max_tokens"] = 3
    changed = dataclasses.replace(receipt, settings=settings)
    differences = check_unit(build, changed, SETTINGS.load_tokenizer())
    assert differences[0].endswith("a.jsonl-00000.npy: 4 tokens, more than 3")
    capsys.readouterr()


@pytest.mark.parametrize("row", [0, 4, 5, 11])
def test_a_wrong_row_is_named_by_its_number_in_whichever_batch_it_is_read(
    row: int, full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_READ_ROWS", 5)
    path = full / "documents/a.jsonl.parquet"
    table = pq.read_table(path)
    hashes = table["text_xxh3"].to_pylist()
    hashes[row] ^= 1
    at = table.schema.get_field_index("text_xxh3")
    column = pa.array(hashes, pa.uint64())
    pq.write_table(table.set_column(at, table.schema.field(at), column), path)
    reseal(full, "a.jsonl")
    build = Build.at(str(full))
    (found,) = check_unit(build, build.receipt("a.jsonl"), SETTINGS.load_tokenizer())
    assert f": row {row}: " in found


def test_a_document_larger_than_a_shard_between_small_ones_is_sound(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    texts = ["word", "many " * 50, "word", "word", "many " * 50, "many " * 50, "word"]
    lines = [json.dumps({"text": text}) for text in texts]
    (tmp_path / "in/a.jsonl").write_text("\n".join(lines) + "\n")
    config = BuildConfig(
        inputs=(f"{tmp_path}/in/*",), output=str(tmp_path / "out"), settings=SETTINGS
    )
    assert build(config, report=io.StringIO()).exit_code == 0
    assert verify(str(tmp_path / "out"), retokenize=1.0) == 0
    shards = Build.at(str(tmp_path / "out")).receipt("a.jsonl").shards
    assert [shard.documents for shard in shards] == [1, 1, 2, 1, 1, 1]


def order_of(shards: list[int], count: int) -> None:
    """Checks rows that lie in those shards, a token each, with all else as it should be."""
    lengths = np.ones(len(shards), np.int64)
    starts = [shards[:row].count(shard) for row, shard in enumerate(shards)]
    columns = {
        "record": np.arange(len(shards)),
        "shard": np.array(shards, np.int32),
        "start": np.array(starts, np.int64),
        "length": lengths,
    }
    previous = {"record": -1, "shard": -1, "end": 0}
    _check_order("x", range(len(shards)), columns, previous, len(shards), count)


@pytest.mark.parametrize(
    ("shards", "row"),
    [([0, 0, 2, 2], 2), ([0, 1, 0, 1], 2), ([1, 1, 1, 2], 0), ([0, 1, 2, 3], 3), ([0, -1, 0], 1)],
)
def test_documents_lie_shard_by_shard(shards: list[int], row: int) -> None:
    order_of([0, 0, 1, 2], 3)
    with pytest.raises(MismatchError, match=f"row {row}: shard: expected"):
        order_of(shards, 3)


def test_documents_are_counted_shard_by_shard(full: Path) -> None:
    build = Build.at(str(full))
    receipt = build.receipt("a.jsonl")
    first, second, *more = receipt.shards
    swapped = (
        dataclasses.replace(first, documents=first.documents - 1),
        dataclasses.replace(second, documents=second.documents + 1),
        *more,
    )
    changed = dataclasses.replace(receipt, shards=swapped)
    differences = check_unit(build, changed, SETTINGS.load_tokenizer())
    assert "documents in tokens/a.jsonl-00000.npy: expected 1, found 2" in differences[0]
