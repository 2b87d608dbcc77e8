"""`tokenmill find`: from a token to its document and back, in builds and in exports."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_export import exported, make_source, shard_files, store_documents

from pipeline.cli import main
from pipeline.commands.find import place_of_token, places_of
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.shards.build import Build


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def test_every_token_of_a_build_leads_to_its_document(source: Path) -> None:
    build = Build.at(str(source))
    for row, ids in store_documents(source):
        receipt = json.loads((source / f"receipts/{row['unit']}.json").read_bytes())
        shard = receipt["shards"][row["shard"]]["path"]
        for token in (0, len(ids) - 1):
            place = place_of_token(build, f"{shard}:{row['start'] + token}")
            assert (place.unit, place.record, place.id) == (row["unit"], row["record"], row["id"])
            assert (place.start, place.length, place.token) == (row["start"], len(ids), token)


@pytest.mark.parametrize("shuffle", [None, 5])
def test_a_document_of_an_export_is_found_where_its_ids_are(
    source: Path, tmp_path: Path, shuffle: int | None
) -> None:
    output = exported(
        source,
        tmp_path / "out",
        "bin",
        shard_tokens=900,
        splits=(("test", 0.3),),
        shuffle=shuffle,
    )
    build = Build.at(str(output))
    content = {
        str(path.relative_to(output)): np.fromfile(path, "<u2")
        for _, (path,) in shard_files(output)
    }
    assert len(content) > 3
    named = 0
    for number, (row, ids) in enumerate(store_documents(source)):
        if row["id"] is None or number % 6:
            continue
        named += 1
        (place,) = (
            found for found in places_of(build, "id", row["id"]) if found.unit == row["unit"]
        )
        end = place.start + place.length
        assert content[place.shard][place.start : end].tolist() == ids
        back = place_of_token(build, f"{place.shard.removeprefix('tokens/')}:{end - 1}")
        assert (back.unit, back.record, back.index) == (row["unit"], row["record"], place.index)
        assert back.token == len(ids) - 1
    assert named > 20


def test_a_url_is_found(source: Path) -> None:
    build = Build.at(str(source))
    places = list(places_of(build, "url", "https://example.org/a/3"))
    assert [(place.unit, place.record, place.id) for place in places] == [("a.jsonl.zst", 3, "a-3")]


def test_the_command_prints_one_place_and_json(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", str(source), "--id", "a-3"]) == 0
    assert "unit      a.jsonl.zst, record 3" in capsys.readouterr().out
    assert main(["find", str(source), "--id", "a-3", "--json"]) == 0
    assert [place["record"] for place in json.loads(capsys.readouterr().out)["places"]] == [3]
    assert main(["find", str(source), "--id", "nobody"]) == 1


def test_a_place_that_is_not_there_is_named(source: Path) -> None:
    build = Build.at(str(source))
    shard = build.manifest().shards[0]
    with pytest.raises(MismatchError, match=f"token {shard.tokens} is not there: documents end"):
        place_of_token(build, f"{shard.path}:{shard.tokens}")
    with pytest.raises(MismatchError, match="no shard 'x'"):
        place_of_token(build, "x:0")
    with pytest.raises(ConfigurationError, match="expected SHARD:POSITION"):
        place_of_token(build, "x")
