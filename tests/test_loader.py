"""The loader: pairs shifted by one, one global order for any number of ranks, resumed anywhere."""

import itertools
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_export import exported, make_source, store_documents

import tokenmill
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.loading.order import places
from transforms.loading.stream import Segments

LENGTH = 16


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def line(source: Path) -> list[int]:
    """All ids of the build, read without any of the loader's code."""
    return [token for _, ids in store_documents(source) for token in ids]


def samples_of(batches: Any) -> list[int]:
    return [int(number) for batch in batches for number in batch.samples]


def test_pairs_are_windows_of_the_ids_shifted_by_one(source: Path, line: list[int]) -> None:
    batches = tokenmill.open(source).batches(LENGTH, 4)
    count = (len(line) - 1) // LENGTH
    assert len(batches) == count // 4 > 50
    for number, (inputs, targets) in enumerate(batches):
        for row in range(4):
            start = (number * 4 + row) * LENGTH
            assert inputs[row].tolist() == line[start : start + LENGTH]
            assert targets[row].tolist() == line[start + 1 : start + LENGTH + 1]
        assert inputs.shape == targets.shape == (4, LENGTH)
        assert inputs.dtype == targets.dtype == np.int64
        assert inputs.flags.c_contiguous
        assert targets.flags.c_contiguous


def test_a_window_may_be_of_many_shards(source: Path, line: list[int]) -> None:
    """The shards of this build have 100 ids at most."""
    batches = tokenmill.open(source).batches(1000, 1)
    targets = [target[0].tolist() for _, target in batches]
    assert list(itertools.chain(*targets)) == line[1 : 1 + len(targets) * 1000]
    assert len(targets) == (len(line) - 1) // 1000


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_ranks_interleave_to_one_order_however_many_they_are(source: Path, world_size: int) -> None:
    corpus = tokenmill.open(source)
    expected = samples_of(corpus.batches(LENGTH, 1, seed=5))
    assert sorted(expected) == list(range(len(corpus.samples(LENGTH))))
    assert expected != sorted(expected)
    ranks = [
        corpus.batches(LENGTH, 2, seed=5, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    found = [
        int(one)
        for step in zip(*ranks, strict=True)
        for turn in zip(*(batch.samples for batch in step), strict=True)
        for one in turn
    ]
    assert found == expected[: len(found)]
    assert len(expected) - len(found) < 2 * world_size
    assert len({rank.state_dict()["next_sample"] for rank in ranks}) == 1


def test_epochs_are_other_orders_and_nothing_is_lost_between_them(source: Path) -> None:
    corpus = tokenmill.open(source)
    count = len(corpus.samples(LENGTH))
    batches = corpus.batches(LENGTH, 7, seed=1)
    assert count % 7
    loops = [samples_of(batches) for _ in range(7)]
    found = list(itertools.chain(*loops))
    assert len(found) == 7 * count
    epochs = [found[epoch * count : (epoch + 1) * count] for epoch in range(7)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 7
    endless = corpus.batches(LENGTH, 7, seed=1, epochs=None)
    assert samples_of(itertools.islice(endless, count)) == found
    together = corpus.batches(LENGTH, 7, seed=1, epochs=7)
    assert len(together) == count
    assert samples_of(together) == found
    assert samples_of(corpus.batches(LENGTH, 7, seed=2))[:count] != found[:count]


def test_a_batch_larger_than_an_epoch_takes_from_several(source: Path) -> None:
    batches = tokenmill.open(source).batches(1000, 40, seed=3)
    count = len(batches.samples)
    assert count < 40
    found = samples_of(batches)
    assert len(found) == 40
    assert sorted(found[:count]) == list(range(count))


def test_a_run_resumes_at_any_sample_with_any_number_of_ranks(source: Path) -> None:
    corpus = tokenmill.open(source)
    whole = samples_of(itertools.islice(corpus.batches(200, 1, seed=9, epochs=None), 90))
    assert len(corpus.samples(200)) < 90  # so that it goes on in the next epoch
    state = corpus.batches(200, 1, seed=9).state_dict()
    for begin in range(len(whole)):
        for world_size in (1, 2, 3) if begin % 6 == 0 else (1,):
            found = []
            for rank in range(world_size):
                batches = corpus.batches(
                    200, 1, seed=9, rank=rank, world_size=world_size, epochs=None
                )
                batches.load_state_dict({**state, "next_sample": begin})
                steps = (len(whole) - begin) // world_size
                found.append(samples_of(itertools.islice(batches, steps)))
            together = [one for step in zip(*found, strict=True) for one in step]
            assert together == whole[begin : begin + len(together)]


def test_a_state_is_of_the_last_batch_or_of_any_that_is_named(source: Path) -> None:
    corpus = tokenmill.open(source)
    batches = corpus.batches(LENGTH, 4, seed=1)
    fetched = list(itertools.islice(batches, 5))
    rest = samples_of(batches)
    again = corpus.batches(LENGTH, 4, seed=1)
    again.load_state_dict(batches.state_dict(after=fetched[-1]))
    assert samples_of(again) == rest
    again.load_state_dict(batches.state_dict(after=fetched[2].next_sample))
    assert samples_of(again) == samples_of(fetched[3:]) + rest
    assert batches.state_dict()["next_sample"] == len(rest) + 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, "the state is of seed 2, and this is 1"),
        ({"sequence_length": 8}, "the state is of sequence_length 8"),
        ({"source": "another"}, "the state is of source 'another'"),
        ({"next_sample": -1}, "next_sample: expected 0 or more"),
        ({"next_sample": "7"}, "next_sample: expected 0 or more"),
    ],
)
def test_the_state_of_another_run_is_refused(
    source: Path, change: dict[str, Any], message: str
) -> None:
    batches = tokenmill.open(source).batches(LENGTH, 1, seed=1)
    with pytest.raises(ConfigurationError, match=f"state: {message}"):
        batches.load_state_dict({**batches.state_dict(), **change})
    with pytest.raises(ConfigurationError, match="source is missing"):
        batches.load_state_dict({"next_sample": 0, "seed": 1, "sequence_length": LENGTH})


def test_documents_positions_and_masks_are_those_of_the_corpus(
    source: Path, line: list[int]
) -> None:
    corpus = tokenmill.open(source)
    starts = np.cumsum([0, *(len(ids) for _, ids in store_documents(source))])
    for batch in corpus.batches(LENGTH, 3, seed=4):
        bounds = batch.cu_seqlens
        assert bounds.dtype == np.int32
        assert (bounds[0], bounds[-1]) == (0, 3 * LENGTH)
        flat = batch.input.reshape(-1)
        for piece, number in enumerate(batch.documents.tolist()):
            own = flat[bounds[piece] : bounds[piece + 1]]
            tokens = corpus[number].tokens.tolist()
            at = int(batch.positions.reshape(-1)[bounds[piece]])
            assert at == 0
            assert any(tokens[i : i + len(own)] == own.tolist() for i in range(len(tokens)))
        for row, sample in enumerate(batch.samples.tolist()):
            places_of = np.arange(sample * LENGTH, (sample + 1) * LENGTH + 1)
            of = np.searchsorted(starts, places_of, side="right") - 1
            assert batch.loss_mask[row].tolist() == (of[1:] == of[:-1]).tolist()
            begins = np.flatnonzero(np.diff(of[:-1], prepend=-1))
            assert np.flatnonzero(batch.positions[row] == 0).tolist() == begins.tolist()
            ids = batch.segment_ids[row]
            assert (np.diff(ids) == np.diff(of[:-1])).all()
        every = batch.segment_ids.reshape(-1)
        assert np.array_equal(np.bincount(every), np.diff(bounds))


def test_samples_are_a_source_for_other_loaders(source: Path, line: list[int]) -> None:
    samples = tokenmill.open(source).samples(LENGTH, documents=True, dtype="int32")
    assert set(samples[0]) == {"input", "target", "segment_ids", "positions", "loss_mask"}
    assert samples[np.int64(3)]["input"].tolist() == line[3 * LENGTH : 4 * LENGTH]
    assert samples[-1]["input"].tolist() == samples[len(samples) - 1]["input"].tolist()
    assert [one["input"].tolist() for one in samples[2:4]] == [
        samples[2]["input"].tolist(),
        samples[3]["input"].tolist(),
    ]
    assert samples[0]["target"].dtype == np.int32
    assert [name for name, value in samples[5].items() if value.shape != (LENGTH,)] == []
    with pytest.raises(IndexError, match="sample 10000 of"):
        samples[10_000]


def test_loaders_are_sent_to_other_processes_without_what_they_have_open(
    source: Path, tmp_path: Path
) -> None:
    for place in (source, exported(source, tmp_path / "out", "bin")):
        batches = tokenmill.open(place).batches(LENGTH, 4, seed=1)
        next(iter(batches))
        content = pickle.dumps(batches)
        assert len(content) < 2000
        again = pickle.loads(content)
        assert samples_of(again) == samples_of(batches)
        assert repr(again) == repr(batches)
        assert str(source) not in repr(batches)
        corpus = pickle.loads(pickle.dumps(tokenmill.open(place)))
        assert corpus[3].tokens.tolist() == tokenmill.open(place)[3].tokens.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected 1 or more, found 0"),
        ({"world_size": 0}, "world_size: expected 1 or more"),
        ({"world_size": 2, "rank": 2}, "rank: expected 0 to 1, found 2"),
        ({"epochs": 0}, "epochs: expected 1 or more"),
        ({"sequence_length": 0}, "sequence_length: expected 1 or more"),
        ({"sequence_length": None}, "sequence_length: expected 1 or more"),
        ({"sequence_length": 10**9}, "sequence_length: the corpus has .* less than one sample"),
        ({"dtype": "float32"}, "dtype: expected one of int64"),
    ],
)
def test_what_can_not_be_loaded_is_refused(
    source: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tokenmill.open(source).batches(**{"sequence_length": LENGTH, "batch_size": 2, **settings})


def test_ids_that_a_dtype_can_not_hold_are_refused(tmp_path: Path) -> None:
    corpus = tokenmill.open(make_source(tmp_path, "cl100k_base"))
    with pytest.raises(ConfigurationError, match="uint16 can not hold the 100,277 ids"):
        corpus.batches(LENGTH, 1, dtype="uint16")


def test_a_loop_without_end_has_no_length(source: Path) -> None:
    with pytest.raises(TypeError, match="epochs is None"):
        len(tokenmill.open(source).batches(LENGTH, 1, epochs=None))


def test_an_order_is_a_permutation_and_uniform() -> None:
    """Chi-square of 16 places by 16 samples over 2,000 epochs: 310 is exceeded once in 100."""
    for count in (1, 2, 3, 5, 16, 17, 1000, 4097):
        assert sorted(places(3, 1, count, np.arange(count)).tolist()) == list(range(count))
    table, pairs = np.zeros((16, 16)), np.zeros((16, 16))
    for epoch in range(2000):
        order = places(1, epoch, 16, np.arange(16))
        table[np.arange(16), order] += 1
        pairs[order[:-1], order[1:]] += 1
    assert ((table - 125) ** 2 / 125).sum() < 310
    pairs[np.arange(16), np.arange(16)] = expected = 2000 * 15 / 240
    assert ((pairs - expected) ** 2 / expected).sum() < 310
    # Neighbours of a large epoch are no neighbours.
    order = places(7, 0, 1_000_003, np.arange(100_000)).astype(float)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.01
    assert abs(order.mean() / 1_000_003 - 0.5) < 0.005


def test_a_place_of_an_order_costs_the_same_wherever_it_is() -> None:
    count = 10**15
    found = places(1, 0, count, np.array([0, 1, count - 1]))
    assert len(set(found.tolist())) == 3
    assert ((found >= 0) & (found < count)).all()


def test_segments_of_a_window_that_begins_with_a_document() -> None:
    bounds, numbers, offsets = Segments(np.array([0, 4, 8]), np.array([5, -1])).within(
        np.array([4, 0]), 4
    )
    assert (bounds.tolist(), numbers.tolist(), offsets.tolist()) == ([0, 4, 8], [-1, 5], [0, 0])


def test_a_manifest_that_claims_more_documents_than_there_are_is_named(
    source: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(source, tmp_path / "copied")
    manifest = json.loads((copied / "manifest.json").read_bytes())
    manifest["inputs"][-1]["documents"] += 10**15
    manifest["inputs"][-1]["records"] += 10**15
    (copied / "manifest.json").write_text(json.dumps(manifest))
    corpus = tokenmill.open(copied)
    assert len(corpus) > 10**15
    with pytest.raises(MismatchError, match="the manifest says"):
        _ = corpus[-1]
