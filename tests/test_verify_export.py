"""`tokenmill verify` of exports: sound ones pass, and each kind of damage is found and named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sample_inputs import output_bytes
from small_export import exported, make_source

import tokenmill
from pipeline.commands.verify import verify
from tokenizer import ConfigurationError
from transforms.errors import MismatchError, UnitFailedError
from transforms.exports.formats import EXPORT_FORMATS
from transforms.exports.records import ExportManifest, ExportReceipt
from transforms.shards.build import Build
from transforms.shards.json_records import canonical_json
from transforms.shards.staged_file import digest_of

SETTINGS: dict[str, Any] = {"shard_tokens": 3000, "splits": (("test", 0.2),)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def sound(source: Path) -> Path:
    return exported(source, source.parent / "megatron", "megatron", **SETTINGS)


@pytest.fixture
def output(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "out"))


def reseal(output: Path) -> None:
    """Makes sizes and checksums right again, so that only the content can tell of the damage."""
    shards = []
    for path in sorted((output / "receipts").rglob("*.json")):
        receipt = json.loads(path.read_bytes())
        for entry in (*receipt["shard"]["files"], receipt["shard"]["index"]):
            digest = digest_of(output / entry["path"])
            entry.update(bytes=digest.bytes, sha256=digest.sha256)
        path.write_bytes(canonical_json(receipt))
        shards.append(receipt["shard"])
    manifest = json.loads((output / "manifest.json").read_bytes())
    order = [split["name"] for split in manifest["splits"]]
    manifest["shards"] = sorted(shards, key=lambda s: (order.index(s["split"]), s["number"]))
    (output / "manifest.json").write_bytes(canonical_json(manifest))


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_a_sound_export_passes(
    name: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "arrayrecord":
        pytest.importorskip("array_record")
    settings = {"splits": SETTINGS["splits"]} if name == "nanogpt" else SETTINGS
    settings = {**settings, "sequence_length": 16} if name == "npy" else settings
    output = exported(source, tmp_path / "out", name, **settings)
    assert verify(str(output)) == 0
    printed = capsys.readouterr().out
    assert f"read back through the reader of {name}, equal to the build" in printed


@pytest.mark.parametrize("name", sorted(EXPORT_FORMATS))
def test_a_changed_byte_with_a_right_checksum_is_found_in_every_format(
    name: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The readers themselves must see it: checksums are made right again."""
    if name == "arrayrecord":
        pytest.importorskip("array_record")
    settings = {} if name == "nanogpt" else {"shard_tokens": 3000}
    settings |= {"sequence_length": 16} if name == "npy" else {}
    output = exported(source, tmp_path / "out", name, splits=(("test", 0.2),), **settings)
    manifest = ExportManifest.from_json((output / "manifest.json").read_bytes(), "")
    shard = manifest.shards[0]
    for file in shard.files:
        path = output / file.path
        content = path.read_bytes()
        # The last bytes of an ArrayRecord file are padding that nobody reads.
        for at in (len(content) // 2, *([] if name == "arrayrecord" else [len(content) - 9])):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            reseal(output)
            assert verify(str(output)) == 1, (file.path, at)
            assert shard.files[0].path in capsys.readouterr().err
        path.write_bytes(content)
    reseal(output)
    assert verify(str(output)) == 0


def found_in(output: Path, capsys: pytest.CaptureFixture[str], **arguments: Any) -> str:
    assert verify(str(output), **arguments) == 1
    return capsys.readouterr().err


def test_a_flipped_bit_is_found(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = output / "tokens/train/000001.bin"
    path.write_bytes(b"\1" + path.read_bytes()[1:])
    assert "tokens/train/000001.bin: expected SHA-256" in found_in(output, capsys)


def test_a_missing_file_is_found(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (output / "tokens/train/000001.idx").unlink()
    assert "tokens/train/000001.idx: the file is missing" in found_in(output, capsys)


def test_a_shard_that_lacks_with_its_receipt_is_found(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (output / "receipts/test/000000.json").unlink()
    assert "receipts/test/000000.json: the file is missing" in found_in(output, capsys)


def test_a_stray_file_is_found(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (output / "tokens/train/000099.bin").write_bytes(b"")
    assert "tokens/train/000099.bin: a stray file" in found_in(output, capsys)


def test_a_changed_blend_is_found(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (output / "tokens/blend.txt").write_text("1 tokens/train/000000\n")
    assert "tokens/blend.txt: not what the shards give" in found_in(output, capsys)


def test_a_changed_index_with_a_right_checksum_is_found(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from small_build import change_parquet

    change_parquet(output, "documents/train/000000.parquet", lambda rows: rows[2].update(record=77))
    reseal(output)
    assert "documents/train/000000.parquet: row: 2" in found_in(output, capsys)


def test_a_build_that_was_damaged_since_is_found(
    output: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = Path(shutil.copytree(source, tmp_path / "damaged"))
    shard = sorted((damaged / "tokens").rglob("*.npy"))[0]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert "id: expected" in found_in(output, capsys, source=str(damaged))


def test_another_build_is_refused(output: Path, tmp_path: Path) -> None:
    other = make_source(tmp_path, "gpt2", end_of_text=None)
    with pytest.raises(ConfigurationError, match="is not the build that was exported"):
        verify(str(output), source=str(other))


def test_a_beam_runner_verifies_an_export_and_leaves_nothing(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = exported(source, tmp_path / "out", "megatron", shuffle=3, **SETTINGS)
    before = sorted(output.rglob("*"))
    assert verify(str(output), beam_flags=["--runner=DirectRunner"]) == 0
    assert sorted(path for path in output.rglob("*") if path.is_file()) == [
        path for path in before if path.is_file()
    ]
    path = output / "tokens/train/000000.bin"
    path.write_bytes(b"\1\1" + path.read_bytes()[2:])
    assert verify(str(output), beam_flags=["--runner=DirectRunner"]) == 1
    assert "tokens/train/000000.bin: expected SHA-256" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        ({"retokenize": 1.0}, "retokenize"),
        ({"input_root": "x"}, "input_root"),
    ],
)
def test_what_is_for_builds_alone_is_refused(
    arguments: dict[str, Any], setting: str, output: Path
) -> None:
    with pytest.raises(ConfigurationError, match="is for builds") as error:
        verify(str(output), **arguments)
    assert error.value.setting == setting


def test_a_verification_on_beam_leaves_nothing(output: Path) -> None:
    before = output_bytes(output)
    assert verify(str(output), beam_flags=["--runner=BundleBasedDirectRunner"]) == 0
    assert output_bytes(output) == before
    assert not [path for path in output.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_what_a_failed_check_left_does_not_hide_why_it_failed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = exported(source, tmp_path / "out", "bin", shuffle=3)

    def failing(work: Any, plan: Any, place: Build, running: Any) -> Any:
        left = Path(place.root).parent / "left"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"")
        raise UnitFailedError("why it failed")

    monkeypatch.setattr("pipeline.verify_export.scatter", failing)
    with pytest.raises(UnitFailedError, match="why it failed"):
        verify(str(output))


def test_the_source_of_a_build_is_refused(source: Path) -> None:
    with pytest.raises(ConfigurationError, match="is for exports") as error:
        verify(str(source), source=str(source))
    assert error.value.setting == "source"


def test_an_export_without_a_manifest_is_not_complete(output: Path) -> None:
    (output / "manifest.json").unlink()
    with pytest.raises(MismatchError, match="run `tokenmill export` again"):
        verify(str(output))


@pytest.mark.parametrize("dtype", ["", "..", "O", "|V8", ">u2", "<u8", "<f4"])
def test_a_dtype_that_no_format_writes_is_named(dtype: str, output: Path) -> None:
    manifest = json.loads((output / "manifest.json").read_bytes())
    manifest["settings"]["format"]["dtype"] = dtype
    (output / "manifest.json").write_bytes(canonical_json(manifest))
    for use in (verify, lambda place: tokenmill.open(place, split="train")):
        with pytest.raises(MismatchError, match=r"manifest\.json: not a record.*dtype"):
            use(str(output))


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("files", "/etc/passwd"),
        ("files", "tokens/../../../etc/passwd"),
        ("index", "documents/another.parquet"),
    ],
)
def test_an_export_can_not_name_a_file_elsewhere(place: str, path: str, output: Path) -> None:
    content = (output / "manifest.json").read_bytes()
    manifest = json.loads(content)
    shard = manifest["shards"][0]
    (shard["index"] if place == "index" else shard["files"][0])["path"] = path
    (output / "manifest.json").write_bytes(canonical_json(manifest))
    with pytest.raises(MismatchError, match=r"manifest\.json: files: expected"):
        tokenmill.open(output, split="train")


def test_a_split_can_not_lead_out_of_an_export(output: Path) -> None:
    """Its name is in the names of files, which would then be as expected."""
    manifest = json.loads((output / "manifest.json").read_bytes())
    text = json.dumps(manifest).replace("train", "../train")
    (output / "manifest.json").write_text(text)
    with pytest.raises(MismatchError, match=r"manifest\.json: files: expected"):
        tokenmill.open(output, split="../train")
    receipt = next((output / "receipts/train").glob("*.json")).read_text()
    with pytest.raises(MismatchError, match="files: expected"):
        ExportReceipt.from_json(
            receipt.replace("train", "../train").encode(), "x", EXPORT_FORMATS["megatron"]
        )


def test_an_unknown_format_in_a_manifest_is_named(output: Path) -> None:
    manifest = json.loads((output / "manifest.json").read_bytes())
    manifest["settings"]["format"]["name"] = "tar"
    (output / "manifest.json").write_bytes(canonical_json(manifest))
    with pytest.raises(MismatchError, match=r"manifest\.json: settings\.format\.name: .*'tar'"):
        verify(str(output))
