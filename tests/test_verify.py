"""`tokenmill verify`: a sound build passes; each kind of damage is found and its place named."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem
from sample_inputs import wet
from small_build import (
    BEGIN,
    END,
    FIRST_SHARD,
    INDEX,
    RECEIPT,
    REJECTS,
    UNIT,
    change_parquet,
    change_shard,
    make_build,
    reseal,
    write_inputs,
)

import tokenmill
from pipeline.commands.verify import verify
from tokenizer import Tokenizer, TokenmillError
from transforms.errors import MismatchError
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build

Verdict = Callable[..., str]


@pytest.fixture
def verdict_on(capsys: pytest.CaptureFixture[str]) -> Verdict:
    """Verifies a damaged build; returns the differences found."""

    def verdict(output: Path, **options: Any) -> str:
        assert verify(str(output), **options) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return verdict


def test_a_sound_build_passes_and_says_what_was_checked(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = verify(str(made / "output"), retokenize=1.0, input_root=str(made / "input"))
    printed = capsys.readouterr().out
    assert code == 0
    assert "2 inputs" in printed
    assert "11 documents" in printed
    assert "2 records rejected" in printed
    assert "11 of 11 documents, token by token" in printed
    shards = json.loads((made / "output/manifest.json").read_bytes())["shards"]
    assert len(shards) > 2  # or the tests below would not see how shards follow each other
    folders = ("tokens", "documents", "rejects", "receipts")
    files = sum(path.is_file() for one in folders for path in (made / "output" / one).rglob("*"))
    assert f"{files} files: sizes" in printed


def test_a_flipped_bit_is_found_and_its_document_named(output: Path, verdict_on: Verdict) -> None:
    content = bytearray((output / FIRST_SHARD).read_bytes())
    content[128 + 4 * 3] ^= 1
    (output / FIRST_SHARD).write_bytes(content)
    found = verdict_on(output)
    assert f"{FIRST_SHARD}: expected SHA-256" in found
    assert f"{FIRST_SHARD}: {INDEX}: row 0" in found


def test_a_changed_id_with_a_right_checksum_is_found(output: Path, verdict_on: Verdict) -> None:
    change_shard(output, 2, 262)
    reseal(output)
    assert f"{FIRST_SHARD}: {INDEX}: row 0: bytes of text" in verdict_on(output)


def test_ids_that_spell_the_text_but_are_not_its_encoding_are_found(
    output: Path, verdict_on: Verdict
) -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    letters = np.concatenate([tokenizer.encode(letter) for letter in "One document, one file.\n"])
    ids = np.concatenate([[BEGIN], letters, [END]]).astype("<u4")
    np.save(output / "tokens/plain.txt-00000.npy", ids)
    change_parquet(
        output, "documents/plain.txt.parquet", lambda rows: rows[0].update(length=len(ids))
    )
    reseal(output, "plain.txt", tokens=len(ids))
    found = verdict_on(output)
    whole = tokenizer.encode("One").tolist()
    assert f"row 0: token 1: expected id {whole[0]}, found id {letters[0]}" in found


def test_an_id_beyond_the_vocabulary_is_found(output: Path, verdict_on: Verdict) -> None:
    change_shard(output, 2, 100277)
    reseal(output)
    assert "row 0: token 2: expected an id < 100277, found id 100277" in verdict_on(output)


def test_a_missing_end_of_text_is_found(output: Path, verdict_on: Verdict) -> None:
    length = pq.read_table(output / INDEX).column("length")[0].as_py()
    change_shard(output, length - 1, 13)
    reseal(output)
    assert f"row 0: end-of-text: expected {END}, found 13" in verdict_on(output)


def test_a_missing_begin_of_text_is_found(output: Path, verdict_on: Verdict) -> None:
    change_shard(output, 0, 13)
    reseal(output)
    assert f"row 0: begin-of-text: expected {BEGIN}, found 13" in verdict_on(output)


def test_an_end_of_text_inside_a_document_is_found(output: Path, verdict_on: Verdict) -> None:
    change_shard(output, 3, END)
    reseal(output)
    assert (
        f"row 0: token 3: expected an ordinary token inside a document, found id {END}"
        in verdict_on(output)
    )


def test_a_changed_hash_of_a_text_is_found(output: Path, verdict_on: Verdict) -> None:
    change_parquet(output, INDEX, lambda rows: rows[4].update(text_xxh3=rows[4]["text_xxh3"] ^ 1))
    reseal(output)
    assert f"{INDEX}: row 4: text_xxh3" in verdict_on(output)


def test_two_swapped_documents_in_the_index_are_found(output: Path, verdict_on: Verdict) -> None:
    def swap(rows: list[dict[str, Any]]) -> None:
        rows[0], rows[1] = rows[1], rows[0]

    change_parquet(output, INDEX, swap)
    reseal(output)
    assert f"{INDEX}: row 0: start: expected 0" in verdict_on(output)


def test_a_record_that_occurs_twice_is_found(output: Path, verdict_on: Verdict) -> None:
    change_parquet(output, INDEX, lambda rows: rows[3].update(record=3))
    reseal(output)  # record 3 is a reject, and nothing is record 4 now
    assert f"{UNIT}: expected each record from 0 to 11 once" in verdict_on(output)


def test_a_dropped_document_is_found(output: Path, verdict_on: Verdict) -> None:
    change_parquet(output, INDEX, lambda rows: rows.pop())
    reseal(output)
    assert f"{INDEX}: documents: expected 10, found 9" in verdict_on(output)


def test_a_dropped_reject_is_found(output: Path, verdict_on: Verdict) -> None:
    change_parquet(output, REJECTS, lambda rows: rows.pop())
    reseal(output)
    assert f"{REJECTS}: rejects by reason" in verdict_on(output)


def test_a_reject_with_another_reason_is_found(output: Path, verdict_on: Verdict) -> None:
    change_parquet(output, REJECTS, lambda rows: rows[0].update(reason="missing-text"))
    reseal(output)
    assert f"{REJECTS}: rejects by reason" in verdict_on(output)


def test_a_wrong_count_of_special_token_texts_is_found(output: Path, verdict_on: Verdict) -> None:
    reseal(output, special_token_texts=0)
    assert f"{RECEIPT}: special_token_texts: expected 1, found 0" in verdict_on(output)


def test_a_wrong_number_of_bytes_of_text_is_found(output: Path, verdict_on: Verdict) -> None:
    reseal(output, text_bytes=1)
    assert f"{INDEX}: sum of text_bytes: expected 1" in verdict_on(output)


@pytest.mark.parametrize("path", [FIRST_SHARD, INDEX, REJECTS, RECEIPT])
def test_a_missing_file_is_named(output: Path, verdict_on: Verdict, path: str) -> None:
    (output / path).unlink()
    found = verdict_on(output)
    assert f"{path}: the file is missing" in found
    assert "stray" not in found


@pytest.mark.parametrize("folder", ["tokens", "documents", "rejects", "receipts"])
def test_a_stray_file_is_named(output: Path, verdict_on: Verdict, folder: str) -> None:
    (output / folder / "web/other").write_bytes(b"")
    assert f"{folder}/web/other: a stray file" in verdict_on(output)


@pytest.mark.parametrize("path", [FIRST_SHARD, INDEX, REJECTS])
def test_a_truncated_file_is_named(output: Path, verdict_on: Verdict, path: str) -> None:
    content = (output / path).read_bytes()
    (output / path).write_bytes(content[:-5])
    found = verdict_on(output)
    assert f"{path}: expected {len(content)} bytes, found {len(content) - 5}" in found


@pytest.mark.parametrize("path", [FIRST_SHARD, INDEX, REJECTS])
def test_a_truncated_file_with_a_right_checksum_is_named(
    output: Path, verdict_on: Verdict, path: str
) -> None:
    (output / path).write_bytes((output / path).read_bytes()[:-5])
    reseal(output)
    found = verdict_on(output)
    expected = "bytes can not hold" if path == FIRST_SHARD else "not a readable Parquet file"
    assert f"{path}: " in found
    assert expected in found


def test_a_shard_whose_header_contradicts_the_manifest_is_named(
    output: Path, verdict_on: Verdict
) -> None:
    np.save(output / FIRST_SHARD, np.load(output / FIRST_SHARD).astype("<i4"))
    reseal(output)
    assert f"{FIRST_SHARD}: header: expected" in verdict_on(output)


def test_a_changed_total_in_the_manifest_is_named(output: Path, verdict_on: Verdict) -> None:
    manifest = json.loads((output / "manifest.json").read_bytes())
    manifest["totals"]["tokens"] += 1
    (output / "manifest.json").write_text(json.dumps(manifest))
    assert "manifest.json: totals: tokens: from the receipts" in verdict_on(output)


def test_a_manifest_in_other_bytes_is_a_difference(output: Path, verdict_on: Verdict) -> None:
    manifest = json.loads((output / "manifest.json").read_bytes())
    (output / "manifest.json").write_text(json.dumps(manifest, indent=1))
    assert "manifest.json: not canonical JSON" in verdict_on(output)


def test_a_changed_receipt_is_named(output: Path, verdict_on: Verdict) -> None:
    receipt = json.loads((output / RECEIPT).read_bytes())
    receipt["fingerprint"] = "0" * 64
    (output / RECEIPT).write_text(json.dumps(receipt, sort_keys=True, separators=(",", ":")) + "\n")
    assert f"{RECEIPT}: fingerprint: expected" in verdict_on(output)


def test_a_build_without_a_manifest_says_so(output: Path) -> None:
    (output / "manifest.json").unlink()
    with pytest.raises(MismatchError, match=r"manifest\.json does not exist: .* complete it"):
        verify(str(output))


@pytest.mark.parametrize(
    "change", [{"format": "tokenmill/0"}, {"inputs": 3}, {"shards": [1]}, {"settings": {}}]
)
def test_what_is_no_manifest_of_our_format_is_refused(output: Path, change: dict[str, Any]) -> None:
    manifest = json.loads((output / "manifest.json").read_bytes())
    (output / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(MismatchError, match="not a record of tokenmill/2"):
        verify(str(output))


def test_a_build_keeps_a_vocabulary_that_came_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "bytes.tiktoken"
    lines = [base64.b64encode(bytes([i])).decode() + f" {i}\n" for i in range(256)]
    table.write_text("".join(lines))
    settings = TokenizeSettings(
        tokenizer=str(table), split_pattern=r"\p{L}+|\P{L}", special_tokens={"<|endoftext|>": 256}
    )
    write_inputs(tmp_path / "input")
    output = tmp_path / "output"
    make_build(tmp_path / "input", output, settings)
    table.unlink()
    assert verify(str(output)) == 0
    with pytest.raises(MismatchError, match=r"settings\.tokenizer\.fingerprint"):
        verify(str(output), tokenizer=Tokenizer.load("cl100k_base"))
    assert "<u2" in (output / "manifest.json").read_text()
    capsys.readouterr()
    kept = output / "vocabulary/tokenizer.tiktoken"
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(MismatchError, match=r"vocabulary/tokenizer\.tiktoken: expected SHA-256"):
        verify(str(output))


class _ElsewhereFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A filesystem that plain file calls do not reach: elsewhere://x is /x."""

    @classmethod
    def scheme(cls) -> str:
        return "elsewhere"

    def exists(self, path: str) -> bool:
        return bool(super().exists(path.removeprefix("elsewhere:/")))

    def open(self, path: str, *arguments: Any, **options: Any) -> Any:
        return super().open(path.removeprefix("elsewhere:/"), *arguments, **options)

    def _list(self, dir_or_prefix: str) -> Any:
        for file in super()._list(dir_or_prefix.removeprefix("elsewhere:/")):
            yield FileMetadata(f"elsewhere:/{file.path}", file.size_in_bytes)


def test_a_build_on_another_filesystem_is_verified_too(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = f"elsewhere:/{output}"
    assert verify(there) == 0
    assert "11 documents" in capsys.readouterr().out
    (output / FIRST_SHARD).unlink()
    (output / "rejects/stray").write_bytes(b"")
    assert verify(there) == 1
    found = capsys.readouterr().err
    assert f"{FIRST_SHARD}: the file is missing" in found
    assert "rejects/stray: a stray file" in found


def test_a_build_whose_inputs_lost_bytes_is_sound_and_the_books_say_how_many(
    tmp_path: Path, verdict_on: Verdict, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(wet("a", 30))
    at = len(content) // 2
    content[at : at + 40] = b"\xff" * 40
    (tmp_path / "input").mkdir()
    (tmp_path / "input/a.warc.wet.gz").write_bytes(content)
    make_build(tmp_path / "input", tmp_path / "output")
    lost = json.loads((tmp_path / "output/manifest.json").read_bytes())["totals"]["lost_bytes"]
    assert lost > 0
    assert verify(str(tmp_path / "output")) == 0
    capsys.readouterr()
    reseal(tmp_path / "output", "a.warc.wet.gz", lost_bytes=lost + 1)
    assert "sum of lost_bytes" in verdict_on(tmp_path / "output")


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "sparse"])
@pytest.mark.parametrize("name", ["manifest.json", RECEIPT])
def test_a_record_that_is_no_small_file_is_named_at_once(
    kind: str, name: str, output: Path
) -> None:
    path = output / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    else:
        with path.open("wb") as file:
            file.truncate(20 << 30)
    with pytest.raises(MismatchError, match=name.replace(".", r"\.")):
        Build.at(str(output)).read(name)
    if name == "manifest.json":
        with pytest.raises(TokenmillError):
            tokenmill.open(str(output))
