"""`tokenmill find`: from a token to its document and back, in builds and in exports."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_export import GPT2_END, exported, make_source, store_documents

from pipeline.cli import main
from pipeline.commands.find import place_of_token, places_of
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.exports.formats import EXPORT_FORMATS, export_format
from transforms.exports.records import read_export_manifest, shape_of
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


def ids_of(output: Path) -> dict[str, list[int]]:
    """What the format's own reader gives of each shard, by the name of its first file."""
    manifest = read_export_manifest(Build.at(str(output)))
    one = export_format(manifest.settings["format"]["name"])
    found = {}
    for shard in manifest.shards:
        shape = shape_of(manifest.settings, shard.items, shard.tokens)
        paths = [str(output / file.path) for file in shard.files]
        chunks = [ids for ids, _ in one.read(paths, shape)]
        found[shard.files[0].path] = np.concatenate(chunks).tolist()
    return found


PACKINGS: tuple[dict[str, Any], ...] = (
    {},
    {"sequence_length": 48, "packing": "concat", "tail": "carry"},
    {"sequence_length": 48, "packing": "best-fit"},
)
HELD = [
    pytest.param(name, packing, 5, id=f"{name}-{packing.get('packing', 'documents')}-shuffled")
    for name, one in sorted(EXPORT_FORMATS.items())
    for packing in PACKINGS
    if not (packing and one.uses_rows) and (packing or not one.has_segments)
] + [pytest.param("bin", packing, None) for packing in PACKINGS]


@pytest.mark.parametrize(("name", "packing", "shuffle"), HELD)
def test_every_document_of_every_format_is_found_where_its_ids_are(
    source: Path, tmp_path: Path, name: str, packing: dict[str, Any], shuffle: int | None
) -> None:
    if EXPORT_FORMATS[name].package is not None:
        pytest.importorskip(EXPORT_FORMATS[name].package)
    settings = {"splits": (("test", 0.3),), "shuffle": shuffle, **packing}
    if not EXPORT_FORMATS[name].is_whole:
        settings["shard_tokens"] = 900
    output = exported(source, tmp_path / "out", name, **settings)
    build, content = Build.at(str(output)), ids_of(output)
    is_before = EXPORT_FORMATS[name].end_of_text == "before"
    whole = by_url = 0
    for number, (row, ids) in enumerate(store_documents(source)):
        if row["id"] is None or number % 12:
            continue
        expected = [GPT2_END, *ids[:-1]] if is_before else ids
        pieces = [one for one in places_of(build, "id", row["id"]) if one.unit == row["unit"]]
        joined: list[int] = []
        for piece in sorted(pieces, key=lambda one: one.offset):
            assert (piece.record, piece.offset, piece.url) == (
                row["record"],
                len(joined),
                row["url"],
            )
            joined += content[piece.shard][piece.start : piece.start + piece.length]
            for at in (piece.start, piece.start + piece.length - 1):
                back = place_of_token(build, f"{piece.shard.removeprefix('tokens/')}:{at}")
                assert back.token == piece.offset + at - piece.start
                assert replace(back, token=None) == piece
        assert joined == expected
        if row["url"] is not None and not number % 24:
            assert set(pieces) <= set(places_of(build, "url", row["url"]))
            by_url += 1
        whole += len(pieces) == 1
    assert whole > 5
    assert by_url > 1


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
