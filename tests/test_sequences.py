"""Sequences: every id where it belongs, no document cut that fits, and books that balance."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_inputs import output_bytes
from small_export import GPT2_END, exported, make_source, shard_files, store_documents

import tokenmill
import transforms.exports.packing as packing_module
import transforms.exports.sequences as sequences_module
import transforms.exports.shuffle as shuffle_module
from pipeline.commands.export import ExportConfig, export
from pipeline.commands.find import place_of_token
from pipeline.commands.verify import verify
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.exports.index import EXPORT_SCHEMA
from transforms.exports.packing import (
    Packed,
    pack_best_fit,
    pack_concat,
    place_pieces,
    segments_of,
)
from transforms.exports.sequences import SequencePacker, SequenceSettings
from transforms.exports.settings import ExportSettings
from transforms.passes.export import ExportPass
from transforms.shards.build import Build

DOCUMENTS = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def check_places(packed: Packed, lengths: Any, size: int) -> None:
    """Pieces do not overlap, stay inside a sequence, and are in the order of their places."""
    ends = packed.position + packed.length
    assert (packed.length > 0).all()
    assert (packed.position[1:] >= ends[:-1]).all()
    assert (packed.position // size == (ends - 1) // size).all()
    assert (ends <= packed.sequences * size).all()
    found = np.bincount(packed.document, packed.length, len(lengths)).astype(int)
    assert found.sum() == sum(lengths) - packed.left


@given(DOCUMENTS, st.integers(2, 17))
@settings(derandomize=True, deadline=None)
def test_concat_is_documents_joined_and_cut(lengths: list[int], size: int) -> None:
    array = np.array(lengths)
    packed = pack_concat(array, size)
    check_places(packed, lengths, size)
    ids = np.arange(array.sum())
    starts = np.cumsum(array) - array
    placed = place_pieces(ids, starts, packed, size, -1)
    assert placed.tolist() == ids[: packed.sequences * size].tolist()
    assert packed.left == array.sum() % size


@given(DOCUMENTS, st.integers(2, 17))
@settings(derandomize=True, deadline=None)
def test_best_fit_cuts_no_document_that_fits(lengths: list[int], size: int) -> None:
    array = np.array(lengths)
    packed = pack_best_fit(array, size)
    check_places(packed, lengths, size)
    pieces = np.bincount(packed.document, minlength=len(lengths))
    assert pieces.tolist() == [-(-length // size) for length in lengths]
    for piece, document in enumerate(packed.document):
        assert packed.offset[piece] % size == 0
        assert packed.length[piece] == min(lengths[document] - packed.offset[piece], size)
    firsts = packed.document[np.searchsorted(packed.position // size, np.arange(packed.sequences))]
    assert (np.diff(firsts) >= 0).all()  # sequences in the order of their first documents


@given(DOCUMENTS, st.integers(2, 17))
@settings(derandomize=True, deadline=None)
def test_segments_part_pieces_and_padding(lengths: list[int], size: int) -> None:
    packed = pack_best_fit(np.array(lengths), size)
    segments = segments_of(packed, size)
    bounds = {0, *np.cumsum(segments).tolist()}
    assert int(segments.sum()) == packed.sequences * size
    assert {*packed.position.tolist(), *(packed.position + packed.length).tolist()} <= bounds
    assert set(range(0, packed.sequences * size, size)) <= bounds


def first_fit(lengths: list[int], size: int) -> int:
    """Sequences that first-fit needs, in the order of the documents."""
    rooms: list[int] = []
    for length in lengths:
        for start in range(0, length, size):
            piece = min(size, length - start)
            at = next((i for i, room in enumerate(rooms) if room >= piece), None)
            if at is None:
                rooms.append(size - piece)
            else:
                rooms[at] -= piece
    return len(rooms)


def best_fit_decreasing(lengths: list[int], size: int) -> int:
    """The same as pack_best_fit, a slow and obvious way."""
    pieces = [min(size, length - start) for length in lengths for start in range(0, length, size)]
    rooms: list[int] = []
    for piece in sorted(pieces, reverse=True):
        fitting = [room for room in rooms if room >= piece]
        if fitting:
            rooms.remove(min(fitting))
            rooms.append(min(fitting) - piece)
        else:
            rooms.append(size - piece)
    return len(rooms)


@given(DOCUMENTS, st.integers(2, 17))
@settings(derandomize=True, deadline=None)
def test_best_fit_needs_as_many_sequences_as_the_slow_way(lengths: list[int], size: int) -> None:
    assert pack_best_fit(np.array(lengths), size).sequences == best_fit_decreasing(lengths, size)


def test_best_fit_wastes_less_than_first_fit() -> None:
    random = np.random.default_rng(5)
    lengths = np.minimum(random.lognormal(6, 1, 3000), 5000).astype(int) + 1
    size = 2048
    packed = pack_best_fit(lengths, size)
    least = -(-int(lengths.sum()) // size)
    assert least <= packed.sequences <= first_fit(lengths.tolist(), size)
    assert packed.sequences / least < 1.005


def rows_of(output: Path, shard: dict[str, Any]) -> list[dict[str, Any]]:
    return list(pq.read_table(output / shard["index"]["path"]).to_pylist())


@pytest.mark.parametrize("shuffle", [None, 4])
@pytest.mark.parametrize("packing", ["concat", "best-fit"])
@pytest.mark.parametrize("window", [150, 1 << 24])
def test_every_id_is_where_the_index_says_and_the_books_balance(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    packing: str,
    shuffle: int | None,
    window: int,
) -> None:
    for module in (sequences_module, packing_module):
        monkeypatch.setattr(module, "WINDOW_TOKENS", window)
    output = exported(
        source,
        tmp_path / "out",
        "npy",
        sequence_length=32,
        packing=packing,
        shuffle=shuffle,
        shard_tokens=3000,
    )
    store = {(row["unit"], row["record"]): ids for row, ids in store_documents(source)}
    seen: dict[tuple[str, int], list[int]] = {}
    cut = 0
    for shard, (path, bounds_path) in shard_files(output):
        ids = np.load(path, mmap_mode="r")
        books = shard["sequences"]
        assert ids.shape == (books["sequences"], 32)
        assert shard["tokens"] == ids.size
        flat, bounds = ids.reshape(-1), set(np.load(bounds_path).tolist())
        filled = np.zeros(flat.size, bool)
        for row in rows_of(output, shard):
            own = store[row["unit"], row["record"]]
            piece = flat[row["start"] : row["start"] + row["length"]].tolist()
            assert piece == own[row["offset"] : row["offset"] + row["length"]]
            assert {row["start"], row["start"] + row["length"]} <= bounds
            filled[row["start"] : row["start"] + row["length"]] = True
            offsets = seen.setdefault((row["unit"], row["record"]), [])
            cut += len(offsets) == 1
            offsets.append(row["offset"])
        assert int((~filled).sum()) == books["padding"]
        assert (flat[~filled] == GPT2_END).all()
        assert books["dropped"] == 0
        cut -= books["cut_documents"]
    assert cut == 0
    assert seen.keys() == store.keys()
    assert verify(str(output)) == 0


def test_a_dropped_tail_is_counted(source: Path, tmp_path: Path) -> None:
    tokens = sum(len(ids) for _, ids in store_documents(source))
    output = exported(source, tmp_path / "out", "bin", sequence_length=1000, tail="drop")
    (shard, (path,)) = next(shard_files(output))
    books = shard["sequences"]
    assert books["sequences"] == tokens // 1000
    assert (books["padding"], books["dropped"]) == (0, tokens % 1000)
    joined = [token for _, ids in store_documents(source) for token in ids]
    assert np.fromfile(path, "<u2").tolist() == joined[: tokens // 1000 * 1000]
    lengths = np.array([len(ids) for _, ids in store_documents(source)])
    ends = np.cumsum(lengths)
    limits = np.arange(1000, tokens, 1000)
    whole = ~((ends - lengths < limits[:, None]) & (ends > limits[:, None])).any(axis=0)
    assert books["cut_documents"] == int((~whole).sum())


@pytest.mark.parametrize(
    ("format", "shard_tokens", "length", "shuffle"),
    [
        ("npy", 3000, 64, 4),
        ("megatron", 3000, 64, None),
        ("npy", 700, 500, None),
        ("megatron", 700, 500, 4),
        ("npy", 150, 400, 4),
        ("megatron", 150, 400, 4),
    ],
)
def test_a_carried_tail_makes_of_all_shards_the_sequences_of_one(
    source: Path,
    tmp_path: Path,
    format: str,
    shard_tokens: int,
    length: int,
    shuffle: int | None,
) -> None:
    """Also where a shard has less than one sequence, and carries on what was carried into it."""
    settings: dict[str, Any] = {"sequence_length": length, "shuffle": shuffle, "tail": "carry"}
    splits = (("test", 0.3),)
    one = exported(source, tmp_path / "one", format, splits=splits, **settings)
    many = exported(
        source, tmp_path / "many", format, splits=splits, shard_tokens=shard_tokens, **settings
    )
    for split in ("train", "test"):
        whole, corpus = (tokenmill.open(place, split=split) for place in (one, many))
        found = [batch.input.tolist() for batch in corpus.batches()]
        assert found == [batch.input.tolist() for batch in whole.batches()]
        assert len(found) >= 5
    (whole_books, *_), (books, *_) = (
        [
            entry["sequences"]
            for entry in json.loads((place / "manifest.json").read_bytes())["splits"]
        ]
        for place in (one, many)
    )
    assert {**books, "carried": 0} == whole_books
    assert books["padding"] < length
    assert books["dropped"] == 0
    shards = [shard for shard, _ in shard_files(many)]
    assert len(shards) > 3
    for shard in shards:
        own = shard["sequences"]
        ids = sum(row["length"] for row in rows_of(many, shard))
        assert ids + own["padding"] == own["sequences"] * length == shard["tokens"]
        assert own["carried"] < length
    assert verify(str(many)) == 0


@pytest.mark.parametrize("format", ["mds", "megatron", "litdata", "pbin", "datatrove"])
def test_a_format_of_documents_holds_sequences_as_such(
    source: Path, tmp_path: Path, format: str
) -> None:
    output = exported(
        source, tmp_path / "out", format, sequence_length=64, packing="best-fit", shard_tokens=3000
    )
    assert verify(str(output)) == 0
    manifest = json.loads((output / "manifest.json").read_bytes())
    books = manifest["splits"][0]["sequences"]
    assert books["sequences"] * 64 == manifest["splits"][0]["tokens"]


def test_the_same_bytes_however_much_is_shuffled_or_packed_at_a_time(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ExportSettings(format="npy", sequence_length=32, packing="best-fit", shuffle=2)
    found = []
    for block_tokens in (300, 1 << 25):
        output = tmp_path / str(block_tokens)
        for module in (sequences_module, packing_module):
            monkeypatch.setattr(module, "WINDOW_TOKENS", block_tokens)
        export(
            ExportConfig(
                directory=str(source),
                output=str(output),
                settings=chosen,
                block_tokens=block_tokens,
            )
        )
        found.append(output_bytes(output))
    assert found[0] == found[1]


def test_a_token_of_a_piece_leads_to_its_document(source: Path, tmp_path: Path) -> None:
    output = exported(
        source, tmp_path / "out", "npy", sequence_length=32, packing="best-fit", shard_tokens=9000
    )
    build = Build.at(str(output))
    store = {(row["unit"], row["record"]): ids for row, ids in store_documents(source)}
    (shard, (path, _)) = next(shard_files(output))
    flat = np.load(path).reshape(-1)
    rows = rows_of(output, shard)
    cut = next(row for row in rows if row["offset"])
    for row in (rows[0], cut):
        place = place_of_token(build, f"train/000000.npy:{row['start']}")
        assert place.token == row["offset"]
        assert store[place.unit, place.record][place.token] == flat[row["start"]]
    ends = {row["start"] + row["length"] for row in rows}
    padding = min(ends - {row["start"] for row in rows})
    with pytest.raises(MismatchError, match="is padding"):
        place_of_token(build, f"train/000000.npy:{padding}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "npy"}, "say how long"),
        ({"format": "bin", "sequence_length": 1}, "expected 2 to"),
        ({"format": "olmo", "sequence_length": 8}, "take npy, mds or another"),
        ({"format": "npy", "sequence_length": 8, "packing": "tight"}, "packing: expected one of"),
    ],
)
def test_impossible_sequences_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ExportSettings(**options)


@pytest.mark.parametrize("shuffle", [None, 3])
@pytest.mark.parametrize("packing", ["concat", "best-fit"])
def test_sequences_are_counted_without_reading_an_id(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str, shuffle: int | None
) -> None:
    reads: list[bool] = []
    packer = ExportPass._packer

    def noted(self: ExportPass, *arguments: Any, has_ids: bool = True) -> Any:
        reads.append(has_ids)
        if has_ids:
            return packer(self, *arguments, has_ids=True)
        with monkeypatch.context() as patch:
            for place, name in ((Build, "open_shard"), (shuffle_module, "_read_part")):
                patch.setattr(place, name, refuse)
            packed, documents = packer(self, *arguments, has_ids=False)
            return packed, iter(list(documents))

    def refuse(*_: Any) -> None:
        raise AssertionError("ids are read to count")

    monkeypatch.setattr(ExportPass, "_packer", noted)
    more = {"packing": packing, "shuffle": shuffle, "shard_tokens": 2000}
    output = exported(source, tmp_path / "out", "npy", sequence_length=64, **more)
    assert reads.count(False) == reads.count(True) == len(list(shard_files(output)))
    assert verify(str(output)) == 0


def test_a_count_keeps_no_ids() -> None:
    """Not even a slice of length 0: it would keep the array that it was taken from."""
    arrays: list[weakref.ref[Any]] = []
    row = {"start": 0, "length": 10, "offset": 0, "unit": "a", "record": 0, "text_xxh3": 0}
    rows = pa.RecordBatch.from_pylist([row], schema=EXPORT_SCHEMA)

    def chunks() -> Iterator[tuple[Any, Any, pa.RecordBatch]]:
        for _ in range(3):
            assert all(array() is None for array in arrays[:-1]), "all but the one at hand"
            ids = np.zeros(10, np.uint32)
            arrays.append(weakref.ref(ids))
            yield ids, np.array([10]), rows

    packer = SequencePacker(
        SequenceSettings(length=4, packing="best-fit", tail="pad", padding=0), has_ids=False
    )
    assert sum(len(packed.ids) for packed in packer.pack(chunks())) == 0
    assert packer.books.sequences == 8


@pytest.mark.parametrize("shuffle", [None, 3])
def test_a_shard_that_is_not_kept_in_memory_needs_no_more_sequences(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shuffle: int | None
) -> None:
    """Packed a window at a time, a large shard was more sequences than OLMo-core makes of it."""
    for module in (sequences_module, packing_module):
        monkeypatch.setattr(module, "WINDOW_TOKENS", 500)
    more: dict[str, Any] = {"sequence_length": 64, "packing": "best-fit", "shuffle": shuffle}
    output = exported(source, tmp_path / "out", "npy", **more)
    (shard, _), *others = shard_files(output)
    assert not others
    assert shard["tokens"] > 10 * 500
    lengths = [len(ids) for _, ids in store_documents(source)]
    assert shard["sequences"]["sequences"] == best_fit_decreasing(lengths, 64)
    assert verify(str(output)) == 0
