"""`tokenmill export`: shards cut from a build, resumed, refused, the same bytes for anybody."""

import doctest
import json
import os
import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sample_inputs import output_bytes
from small_export import (
    GPT2_END,
    exported,
    make_source,
    run_export,
    shard_files,
    store_documents,
)

from pipeline.commands.export import ExportConfig, export, make_pass, plan_of, read_source
from tokenizer import ConfigurationError
from transforms.errors import BuildLostError, MismatchError
from transforms.exports import framing, hashes, packing, settings, shuffle
from transforms.exports.formats import EXPORT_FORMATS, export_format
from transforms.exports.framing import Framing, make_framing
from transforms.exports.plan import PlanSettings, plan_export
from transforms.exports.records import paths_of
from transforms.exports.settings import ExportSettings, parse_splits
from transforms.exports.shard_cutter import ExportUnit, unit_name_of
from transforms.exports.splits import Splitter
from transforms.passes.work_pass import run_unit
from transforms.shards.build import Build
from transforms.shards.layout import documents_path, is_file_of
from transforms.shards.staged_file import StagedFile


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def units_of(source: Path, max_tokens: int | None) -> tuple[ExportUnit, ...]:
    manifest = Build.at(str(source)).manifest()
    build = Build.at(str(source))
    return plan_export(
        build, manifest.units, Splitter(), PlanSettings(max_tokens=max_tokens, itemsize=2)
    ).units


@pytest.mark.parametrize("max_tokens", [1, 50, 333, 10**9, None])
def test_shards_are_cut_at_documents_and_none_is_too_large(
    source: Path, max_tokens: int | None
) -> None:
    lengths = [len(ids) for _, ids in store_documents(source)]
    units = units_of(source, max_tokens)
    assert sum(unit.documents for unit in units) == len(lengths)
    first = 0
    for unit in units:
        own = lengths[first : first + unit.documents]
        assert sum(own) == unit.tokens
        first += unit.documents
        if max_tokens is not None:
            assert unit.tokens <= max_tokens or unit.documents == 1
            # The next document would have been too many.
            assert first == len(lengths) or unit.tokens + lengths[first] > max_tokens
    assert [unit.number for unit in units] == list(range(len(units)))


def test_one_shard_can_hold_many_inputs(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "bin")
    (_, (path,)) = next(shard_files(output))
    expected = [token for _, ids in store_documents(source) for token in ids]
    assert np.fromfile(path, "<u2").tolist() == expected


def test_the_bytes_do_not_depend_on_workers(source: Path, tmp_path: Path) -> None:
    settings = {"shard_tokens": 700, "splits": (("validation", 0.2),)}
    one = exported(source, tmp_path / "one", "megatron", workers=1, **settings)
    three = exported(source, tmp_path / "three", "megatron", workers=3, **settings)
    assert output_bytes(one) == output_bytes(three)


@pytest.mark.parametrize("format", ["olmo", "mds", "pbin", "parquet", "arrayrecord"])
def test_the_same_export_twice_has_the_same_bytes(
    source: Path, tmp_path: Path, format: str
) -> None:
    if format == "arrayrecord":
        pytest.importorskip("array_record")
    one = exported(source, tmp_path / "one", format, shard_tokens=700)
    two = exported(source, tmp_path / "two", format, shard_tokens=700)
    assert output_bytes(one) == output_bytes(two)


def test_an_export_on_beam_has_the_same_bytes(source: Path, tmp_path: Path) -> None:
    here = exported(source, tmp_path / "here", "olmo", shard_tokens=700)
    settings = ExportSettings(format="olmo", shard_tokens=700)
    there = tmp_path / "there"
    flags = ("--runner=BundleBasedDirectRunner",)
    export(
        ExportConfig(directory=str(source), output=str(there), settings=settings, beam_flags=flags)
    )
    assert output_bytes(there) == output_bytes(here)


def test_a_run_resumes_with_the_shards_that_are_missing(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "olmo", shard_tokens=700)
    whole = output_bytes(output)
    (output / "receipts/train/000001.json").unlink()
    (output / "tokens/train/part-0-00002.npy").unlink()
    (output / "manifest.json").unlink()
    result = run_export(source, output, "olmo", shard_tokens=700)
    assert result.shards_done == 2
    assert result.shards_kept == len(list(shard_files(output))) - 2
    assert output_bytes(output) == whole


@pytest.mark.parametrize("shuffle", [None, 3])
@pytest.mark.parametrize("published", range(0, 12, 3))
def test_a_run_that_is_interrupted_between_two_files_leaves_none_without_a_receipt(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    published: int,
    shuffle: int | None,
) -> None:
    settings: dict[str, Any] = {"shard_tokens": 3000, "shuffle": shuffle}
    whole = output_bytes(exported(source, tmp_path / "whole", "megatron", **settings))
    output = tmp_path / "out"
    count = 0

    def publish_some(file: StagedFile) -> None:
        nonlocal count
        if file.final_path.startswith(str(output)) and "/tokens/" in file.final_path:
            if count == published:
                raise KeyboardInterrupt
            count += 1
        publish(file)

    publish = StagedFile.publish
    with monkeypatch.context() as patch:
        patch.setattr(StagedFile, "publish", publish_some)
        with pytest.raises(KeyboardInterrupt):
            exported(source, output, "megatron", **settings)
    done = {
        file["path"]
        for path in (output / "receipts").rglob("*.json")
        for file in json.loads(path.read_bytes())["shard"]["files"]
    }
    # The blends beside the shards are of all of them, and written anew by every run.
    left = {str(path.relative_to(output)) for path in (output / "tokens").rglob("train/*")}
    assert left == done
    exported(source, output, "megatron", **settings)
    assert output_bytes(output) == whole


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_a_dead_run_may_have_the_files_of_its_own_shard_removed_and_no_others(name: str) -> None:
    one = export_format(name)
    for number in (0, 3, 12, 99_999):
        unit = unit_name_of("train", number)
        for path in (*paths_of(one, "train", number), documents_path(unit)):
            assert is_file_of(unit, path), path
        others = {*paths_of(one, "test", number), documents_path(unit_name_of("train", 7))}
        if not one.is_whole:
            others |= {*paths_of(one, "train", number + 1), *paths_of(one, "train", 10 + number)}
        for path in (*others, "manifest.json", "tokens/blend.txt", "tokens/train/../../x.bin"):
            assert not is_file_of(unit, path), path


def test_a_run_that_lost_its_export_lets_no_shard_appear(source: Path, tmp_path: Path) -> None:
    described = ExportSettings(format="bin").described(*read_source(Build.at(str(source))))
    plan = plan_of(Build.at(str(source)), Build.at(str(source)).manifest(), described)
    work = make_pass(Build.at(str(source)), described, plan)
    target = Build.at(str(tmp_path / "out"), "run", is_leased=True)  # and nobody holds the lease
    with pytest.raises(BuildLostError, match="was taken over"):
        run_unit(work, plan.units[0], target)
    assert not list((tmp_path / "out").rglob("*.bin"))


def test_a_shard_that_fails_leaves_nothing_and_is_named(source: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(source, tmp_path / "broken"))
    victim = sorted((broken / "tokens").rglob("*.npy"))[0]
    victim.write_bytes(victim.read_bytes()[:-2])
    with pytest.raises(Exception, match="train/000000") as error:
        exported(broken, tmp_path / "out", "bin", shard_tokens=700)
    assert victim.name in str(error.value)
    assert not (tmp_path / "out/manifest.json").exists()
    assert not (tmp_path / "out/receipts/train/000000.json").exists()
    assert not (tmp_path / "out/tokens/train/000000.bin").exists()


def test_other_settings_in_the_same_folder_are_refused(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "bin", shard_tokens=700)
    before = output_bytes(output)
    with pytest.raises(ConfigurationError, match="shard_tokens was 700 and is now 800") as error:
        exported(source, output, "bin", shard_tokens=800)
    assert "overwrite" not in str(error.value)  # an export has no such option
    assert output_bytes(output) == before


def test_a_build_that_changed_is_another_source(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "bin")
    changed = Path(shutil.copytree(source, tmp_path / "changed"))
    manifest = changed / "manifest.json"
    manifest.write_bytes(
        manifest.read_bytes().replace(b'"truncated_inputs":0', b'"truncated_inputs":1')
    )
    with pytest.raises(ConfigurationError, match="manifest_sha256"):
        exported(changed, output, "bin")


def test_an_export_is_no_build_to_export(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "bin")
    with pytest.raises(ConfigurationError, match="is an export"):
        exported(output, tmp_path / "again", "bin")
    with pytest.raises(ConfigurationError, match="is the build itself"):
        exported(source, source, "bin")


def test_an_export_is_no_build_to_inspect(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "bin")
    with pytest.raises(MismatchError, match="an export, and no build"):
        Build.at(str(output)).manifest()


def test_an_incomplete_build_is_refused(source: Path, tmp_path: Path) -> None:
    incomplete = Path(shutil.copytree(source, tmp_path / "incomplete"))
    (incomplete / "manifest.json").unlink()
    with pytest.raises(MismatchError, match="not a complete"):
        exported(incomplete, tmp_path / "out", "bin")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "npz"}, "expected one of bin, nanogpt"),
        ({"format": "bin", "shard_tokens": 0}, "at least 1"),
        ({"format": "nanogpt", "shard_tokens": 5}, "one file a split"),
        ({"format": "llmc", "shard_tokens": 1 << 31}, "2,147,483,647 at most"),
        ({"format": "bin", "splits": (("train", 0.1),)}, "all that is in no other"),
        ({"format": "bin", "splits": (("a/b", 0.1),)}, "needs a name"),
        ({"format": "bin", "splits": (("a", 0.7), ("b", 0.7))}, "1 together at most"),
        ({"format": "bin", "split_key": "colour"}, "expected one of id, host"),
        ({"format": "bin", "end_of_text": "twice"}, "expected auto, before"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ExportSettings(**options)  # type: ignore[arg-type]


def test_a_split_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected NAME=SHARE"):
        parse_splits("validation")


# -- end of text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [None, 50255])
@pytest.mark.parametrize("end", [None, GPT2_END])
@pytest.mark.parametrize("place", ["before", "after", "none", "as-built"])
def test_the_end_of_text_stands_where_it_is_wanted(
    begin: int | None, end: int | None, place: str
) -> None:
    texts = [[1, 2, 3], [4], [5, 6]]
    frame = lambda text: [*filter(None, [begin]), *text, *filter(None, [end])]  # noqa: E731
    built = [frame(text) for text in texts]
    ids = np.array([token for own in built for token in own])
    lengths = np.array([len(own) for own in built])
    framing = make_framing(place, begin, end, GPT2_END)
    found, found_lengths = framing.apply(ids, lengths)
    first = [] if begin is None else [begin]
    expected = {
        "before": [[*(first or [GPT2_END]), *text] for text in texts],
        "after": [[*first, *text, GPT2_END] for text in texts],
        "none": [[*first, *text] for text in texts],
        "as-built": built,
    }[place]
    assert found.tolist() == [token for own in expected for token in own]
    assert found_lengths.tolist() == [len(own) for own in expected]
    assert (found_lengths == lengths + framing.more).all()


def test_an_end_of_text_that_nobody_has_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="neither build nor vocabulary has one"):
        make_framing("after", None, None, None)
    assert make_framing("none", None, None, None) == Framing()


def test_a_vocabulary_without_end_of_text_is_exported_as_built_unless_one_is_asked_for() -> None:
    none = {"begin_of_text": None, "end_of_text": None}
    entry = SimpleNamespace(end_of_text=None)
    manifest: Any = SimpleNamespace(settings={"tokenizer": none}, tokenizer=entry)
    framing = ExportSettings(format="megatron").framing(manifest)
    assert (framing.before, framing.after, framing.drops_last) == (None, None, False)
    with pytest.raises(ConfigurationError):
        ExportSettings(format="megatron", end_of_text="after").framing(manifest)


def test_a_build_without_end_of_text_gets_one_where_the_trainer_wants_it(tmp_path: Path) -> None:
    source = make_source(tmp_path, "gpt2", end_of_text=None)
    output = exported(source, tmp_path / "out", "olmo")
    (_, (path, _)) = next(shard_files(output))
    expected = [token for _, ids in store_documents(source) for token in (*ids, GPT2_END)]
    assert np.fromfile(path, "<u2").tolist() == expected
    plain = exported(source, tmp_path / "plain", "olmo", end_of_text="none")
    (_, (path, _)) = next(shard_files(plain))
    expected = [token for _, ids in store_documents(source) for token in ids]
    assert np.fromfile(path, "<u2").tolist() == expected


def test_the_settings_of_an_export_hold_no_path_host_or_clock(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "mds")
    for path in output.rglob("*.json"):
        if "runs" not in path.parts:
            assert str(tmp_path) not in path.read_text()
            assert os.uname().nodename not in path.read_text()
    assert json.loads((output / "tokenmill.json").read_bytes())["settings"]["pass"] == "export"


@pytest.mark.parametrize(
    "module", [framing, hashes, packing, settings, shuffle], ids=lambda module: module.__name__
)
def test_the_examples_in_docstrings_are_right(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
