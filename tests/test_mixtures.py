"""Mixtures: documents are left out and repeated by hash, counted exactly, and read back."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard
from sample_inputs import json_lines, output_bytes
from small_build import make_build
from small_export import exported, make_source, run_export, shard_files, store_documents

import tokenmill
from pipeline.cli import main
from pipeline.commands.verify import verify
from pipeline.export_options import parse_builds
from tokenizer import ConfigurationError
from transforms.exports.mixtures import Mixture, Source
from transforms.exports.settings import ExportSettings, parse_sources
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.joined_build import JoinedBuild
from transforms.shards.settings import ShardSettings

SOURCES = (
    Source("twice", "a.jsonl*", 2.25),
    Source("half", "sub/*.jsonl", 0.5),
    Source("none", "b.*", 0.0),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def documents_of(output: Path) -> list[tuple[str, str, int, int]]:
    """Split, unit, record and length of each exported document."""
    return [
        (shard["split"], row["unit"], row["record"], row["length"])
        for shard, _ in shard_files(output)
        for row in pq.read_table(output / shard["index"]["path"]).to_pylist()
    ]


def test_each_source_has_its_weight_and_is_counted_exactly(source: Path, tmp_path: Path) -> None:
    result = run_export(
        source, tmp_path / "out", "bin", shuffle=1, shard_tokens=3000, sources=SOURCES
    )
    found = documents_of(tmp_path / "out")
    count = Counter((unit, record) for _, unit, record, _ in found)
    units = Counter(row["unit"] for row, _ in store_documents(source))
    assert {n for (unit, _), n in count.items() if unit == "a.jsonl.zst"} == {2, 3}
    assert {n for (unit, _), n in count.items() if unit == "sub/f.parquet"} == {1}
    assert 0 < sum(unit == "sub/c.jsonl" for unit, _ in count) < units["sub/c.jsonl"]
    assert not any(unit == "b.jsonl.gz" for unit, _ in count)
    books = {one.name: one for one in result.manifest.sources}
    assert list(books) == ["twice", "half", "none", "other"]
    own = [length for _, unit, _, length in found if unit == "a.jsonl.zst"]
    assert books["twice"].exported_documents == len(own)
    assert books["twice"].exported_tokens == sum(own)
    assert books["twice"].documents == units["a.jsonl.zst"]
    assert sum(one.exported_tokens for one in books.values()) == result.manifest.tokens


def test_a_held_out_split_has_no_document_twice(source: Path, tmp_path: Path) -> None:
    output = exported(
        source, tmp_path / "out", "bin", shuffle=1, sources=SOURCES, splits=(("test", 0.4),)
    )
    count = Counter((split, unit, record) for split, unit, record, _ in documents_of(output))
    held = {place: n for place, n in count.items() if place[0] == "test"}
    assert set(held.values()) == {1}
    assert not {place[1:] for place in held} & {place[1:] for place in count if place[0] == "train"}


def test_a_mixture_is_verified(source: Path, tmp_path: Path) -> None:
    thinned = tuple(one for one in SOURCES if one.weight <= 1)
    for name, shuffle, sources in (("plain", None, thinned), ("shuffled", 3, SOURCES)):
        output = exported(
            source, tmp_path / name, "olmo", shuffle=shuffle, sources=sources, shard_tokens=2000
        )
        assert verify(str(output)) == 0


def test_shares_follow_the_weight() -> None:
    records, codes = np.arange(100_000), np.zeros(100_000, np.int8)
    for weight in (0.1, 0.5, 1.0, 1.75, 3.0):
        copies = Mixture((Source("a", "**", weight),)).copies("unit", records, codes)
        assert set(copies.tolist()) <= {int(weight), int(weight) + 1}
        # Four standard deviations of a binomial.
        assert abs(copies.mean() - weight) < 4 * 0.5 / np.sqrt(len(records))


def test_the_first_pattern_that_matches_counts() -> None:
    mixture = Mixture((Source("one", "a/**", 2), Source("two", "**", 3)))
    assert mixture.source_of("a/b/c.jsonl").name == "one"
    assert mixture.source_of("b.jsonl").name == "two"
    assert Mixture().source_of("b.jsonl").weight == 1


def test_a_part_of_an_input_is_of_its_source() -> None:
    mixture = Mixture((Source("one", "a/*.parquet", 2),))
    assert mixture.source_of("a/b.parquet").name == "one"
    assert mixture.source_of("a/b%2Eparquet/part-00003").name == "one"
    assert mixture.source_of("a/b.parquet/c.jsonl").name == "other"


@pytest.mark.parametrize(
    ("patterns", "weights", "message"),
    [
        (["web"], [], "expected NAME=PATTERN"),
        (["web=*"], ["code=1"], "no source of the name 'code'"),
        (["web=*"], ["web=much"], "expected NAME=NUMBER"),
    ],
)
def test_sources_that_can_not_be_read_are_refused(
    patterns: list[str], weights: list[str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_sources(patterns, weights)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ((Source("other", "*", 1),), "all that is in no other"),
        ((Source("a", "*", -1),), "expected 0 or more"),
        ((Source("a", "*", float("nan")),), "expected 0 or more"),
        ((Source("a", "*", 2),), "needs a shuffle"),
    ],
)
def test_impossible_sources_are_refused(sources: tuple[Source, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ExportSettings(format="bin", sources=sources)


def test_the_command_tells_shares_asked_and_reached(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(source), "--output", str(tmp_path / "out"), "--format", "bin"]
    more = ["--shuffle", "1", "--source", "twice=a.*", "--weight", "twice=2"]
    assert main([*arguments, *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["source", "weight", "build", "asked", "reached", "tokens"]
    assert lines[1].split()[:2] == ["twice", "2"]
    assert lines[1].split()[3] == lines[1].split()[4]
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    assert manifest["settings"]["sources"] == [["twice", "a.*", 2.0]]


@pytest.fixture(scope="module")
def builds(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two builds with a unit of the same name."""
    folder = tmp_path_factory.mktemp("more")
    (folder / "in").mkdir()
    (folder / "in" / "a.jsonl.zst").write_bytes(zstandard.compress(json_lines("more", 80)))
    shards = ShardSettings(max_tokens=100)
    make_build(folder / "in", folder / "out", TokenizeSettings(tokenizer="gpt2", shards=shards))
    return {"web": source, "more": folder / "out"}


def ids_of(builds: dict[str, Path]) -> dict[tuple[str, int], list[int]]:
    return {
        (f"{name}/{row['unit']}", row["record"]): ids
        for name, build in builds.items()
        for row, ids in store_documents(build)
    }


def test_several_builds_are_mixed_counted_exactly_and_verified(
    builds: dict[str, Path], tmp_path: Path
) -> None:
    result = tokenmill.export(
        builds,
        tmp_path / "out",
        format="olmo",
        shuffle=1,
        shard_tokens=3000,
        sources={"few": "web/sub/**"},
        weights={"more": 2.5, "few": 0.5},
        splits={"test": 0.1},
    )
    store = ids_of(builds)
    exported_ids = Counter[tuple[str, int]]()
    for shard, (path, _) in shard_files(tmp_path / "out"):
        ids = np.fromfile(path, "<u2").tolist()
        for row in pq.read_table(tmp_path / "out" / shard["index"]["path"]).to_pylist():
            place = (row["unit"], row["record"])
            assert ids[row["start"] : row["start"] + row["length"]] == store[place]
            exported_ids[place] += 1
    books = {one.name: one for one in result.manifest.sources}
    assert list(books) == ["few", "web", "more"]
    assert sum(one.documents for one in books.values()) == len(store)
    for name, units in (("few", "web/sub/"), ("more", "more/")):
        own = {place: n for place, n in exported_ids.items() if place[0].startswith(units)}
        assert books[name].exported_documents == sum(own.values())
        assert books[name].exported_tokens == sum(len(store[p]) * n for p, n in own.items())
        assert books[name].tokens == sum(
            len(ids) for (unit, _), ids in store.items() if unit.startswith(units)
        )
    assert {n for (unit, _), n in exported_ids.items() if unit.startswith("more/")} == {1, 2, 3}
    assert tokenmill.verify(tmp_path / "out").is_sound
    assert tokenmill.verify(tmp_path / "out", source=builds).is_sound
    with pytest.raises(ConfigurationError, match="not the build that was exported"):
        tokenmill.verify(tmp_path / "out", source={**builds, "more": builds["web"]})


def test_the_command_mixes_builds_and_tells_shares_asked_and_reached(
    builds: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [f"{name}={path}" for name, path in builds.items()]
    more = ["--output", str(tmp_path / "out"), "--format", "bin", "--shuffle", "1"]
    assert main(["export", *named, *more, "--weight", "more=3"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()[:3]]
    assert [row[0] for row in table] == ["source", "web", "more"]
    tokens = {
        name: sum(len(ids) for _, ids in store_documents(path)) for name, path in builds.items()
    }
    asked = 3 * tokens["more"] / (tokens["web"] + 3 * tokens["more"])
    assert table[2][3] == table[2][4] == f"{asked:.2%}"
    assert main(["verify", str(tmp_path / "out"), "--source", *named]) == 0
    assert main(["find", str(tmp_path / "out"), "--at", "train/000000.bin:0"]) == 0
    assert "unit      " in capsys.readouterr().out


def test_one_build_with_a_name_is_a_source_of_that_name(
    builds: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--output", str(tmp_path / "out"), "--format", "bin", "--shuffle", "1"]
    assert main(["export", f"web={builds['web']}", *more, "--weight", "web=0.5"]) == 0
    (_, row, *_) = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert row[0] == "web"
    assert all(unit.startswith("web/") for _, unit, _, _ in documents_of(tmp_path / "out"))
    assert main(["verify", str(tmp_path / "out"), "--source", f"web={builds['web']}"]) == 0


@pytest.mark.parametrize("texts", [["=a"], ["a="], ["a=x", "b"], ["a=x", "a=y"], ["a/b=x", "c=y"]])
def test_names_of_builds_that_can_not_be_are_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="NAME=DIR each, every name once"):
        parse_builds(texts)


@pytest.mark.parametrize(
    "act",
    [
        lambda build: build.path("a"),
        lambda build: build.exists("a"),
        lambda build: build.size("a"),
        lambda build: build.files(),
        lambda build: build.staging,
        lambda build: build.newest_run_record(),
        lambda build: build.write("a", b"x"),
        lambda build: build.delete(["manifest.json"]),
        lambda build: build.delete([]),
        lambda build: build.withdraw("manifest.json"),
        lambda build: build.stage("tokens/a.npy"),
        lambda build: build.publish("a", []),
        lambda build: build.note_intent("a", []),
        lambda build: build.drop_intent("a"),
    ],
)
def test_several_builds_as_one_are_only_read(
    act: Callable[[Build], object], builds: dict[str, Path]
) -> None:
    """What is not said of a name would act on the first of them."""
    before = {name: output_bytes(path) for name, path in builds.items()}
    joined = JoinedBuild.of({name: Build.at(str(path)) for name, path in builds.items()})
    with pytest.raises(TypeError, match="several builds as one have no path, and are only read"):
        act(joined)
    assert {name: output_bytes(path) for name, path in builds.items()} == before


def test_builds_that_do_not_go_together_are_refused(
    builds: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_source(tmp_path, "cl100k_base")
    with pytest.raises(ConfigurationError, match="books and more differ in tokenizer"):
        tokenmill.export({**builds, "books": other}, tmp_path / "out", format="bin")
    with pytest.raises(ConfigurationError, match="is the build itself"):
        tokenmill.export(builds, builds["more"], format="bin")
    export = exported(builds["web"], tmp_path / "export", "bin")
    with pytest.raises(ConfigurationError, match="is an export"):
        tokenmill.export({**builds, "third": export}, tmp_path / "out", format="bin")
    arguments = ["--output", str(tmp_path / "out"), "--format", "bin"]
    assert main(["export", str(builds["web"]), str(builds["more"]), *arguments]) == 2
    assert "several builds need NAME=DIR each" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
