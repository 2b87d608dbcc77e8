"""The loader in the loaders of PyTorch and grain; run where they are, by `make test-readers`."""

import copy
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_export import make_source

import tokenmill
from tokenizer import ConfigurationError

# What the frameworks warn of among themselves.
pytestmark = pytest.mark.filterwarnings("default")
LENGTH = 16


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def rows_of(batches: Any) -> list[list[int]]:
    """Input and last target of every sample, in order."""
    return [
        [*row.tolist(), last]
        for batch in batches
        for row, last in zip(batch["input"], batch["target"][:, -1].tolist(), strict=True)
    ]


def expected_rows(source: Path, count: int, **settings: Any) -> list[list[int]]:
    batches = tokenmill.open(source).batches(LENGTH, 4, **settings)
    chosen = itertools.islice(batches, count)
    return rows_of({"input": batch.input, "target": batch.target} for batch in chosen)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_torch_gives_the_same_batches_with_any_number_of_workers(
    source: Path, workers: int
) -> None:
    torch = pytest.importorskip("torch")
    batches = tokenmill.open(source).batches(LENGTH, 4, seed=1)
    dataset = batches.torch()
    assert isinstance(dataset, torch.utils.data.IterableDataset)
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers)
    found = list(loader)
    assert rows_of(found) == expected_rows(source, len(found), seed=1)
    assert len(found) == len(tokenmill.open(source).batches(LENGTH, 4, seed=1))
    assert found[0]["input"].dtype == found[0]["target"].dtype == torch.int64
    assert found[0]["target"].is_contiguous()


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_resumes_after_the_batch_that_was_trained_on(source: Path, workers: int) -> None:
    """Workers have fetched more than that."""
    torch = pytest.importorskip("torch")
    dataset = tokenmill.open(source).batches(LENGTH, 4, seed=1, epochs=None).torch()
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers)
    first = list(itertools.islice(loader, 5))
    state = dataset.state_dict(after=int(first[-1]["next_sample"]))
    again = tokenmill.open(source).batches(LENGTH, 4, seed=1, epochs=None).torch()
    again.load_state_dict(state)
    loader = torch.utils.data.DataLoader(again, batch_size=None, num_workers=workers)
    second = list(itertools.islice(loader, 5))
    assert rows_of(first + second) == expected_rows(source, 10, seed=1, epochs=None)


@pytest.mark.parametrize("workers", [0, 2])
def test_each_loop_of_torch_is_the_next_epoch(source: Path, workers: int) -> None:
    torch = pytest.importorskip("torch")
    batches = tokenmill.open(source).batches(LENGTH, 4, seed=1)
    loader = torch.utils.data.DataLoader(batches.torch(), batch_size=None, num_workers=workers)
    expected = tokenmill.open(source).batches(LENGTH, 4, seed=1)
    for _ in range(3):
        own = [{"input": one.input, "target": one.target} for one in expected]
        assert rows_of(loader) == rows_of(own)
    assert batches.state_dict()["next_sample"] == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loop_of_torch_that_was_left_is_over_unless_its_state_is_loaded(
    source: Path, workers: int
) -> None:
    torch = pytest.importorskip("torch")
    dataset = tokenmill.open(source).batches(LENGTH, 4, seed=1).torch()
    assert dataset.state_dict()["next_sample"] == 0
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers)
    count = len(tokenmill.open(source).batches(LENGTH, 4, seed=1))
    two = expected_rows(source, 2 * count, seed=1, epochs=2)
    first = list(itertools.islice(loader, 2))
    with pytest.raises(ConfigurationError, match="say after which batch"):
        dataset.state_dict()
    assert rows_of(itertools.islice(loader, 2)) == two[4 * count : 4 * count + 8]
    dataset.load_state_dict(dataset.state_dict(after=int(first[-1]["next_sample"])))
    assert rows_of([*first, *loader]) == two[: 4 * count]


@pytest.mark.parametrize("workers", [0, 2])
def test_after_a_loop_of_torch_without_end_a_state_is_needed(source: Path, workers: int) -> None:
    torch = pytest.importorskip("torch")
    dataset = tokenmill.open(source).batches(LENGTH, 4, seed=1, epochs=None).torch()
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers)
    first = list(itertools.islice(loader, 3))
    with pytest.raises(ConfigurationError, match="a loop without end has begun"):
        next(iter(loader))
    dataset.load_state_dict(dataset.state_dict(after=int(first[-1]["next_sample"])))
    second = list(itertools.islice(loader, 3))
    assert rows_of(first + second) == expected_rows(source, 6, seed=1, epochs=None)


def test_a_worker_of_torch_that_starts_late_does_not_move_what_was_loaded(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    dataset = tokenmill.open(source).batches(LENGTH, 4, seed=1).torch()
    late = copy.copy(dataset)
    dataset.load_state_dict(dataset.state_dict(after=8))
    with monkeypatch.context() as patched:
        worker = SimpleNamespace(id=0, num_workers=1)
        patched.setattr(torch.utils.data, "get_worker_info", lambda: worker)
        with pytest.raises(ConfigurationError, match="a state was loaded while this loop began"):
            iter(late)
    assert dataset.state_dict()["next_sample"] == 8


def test_workers_of_torch_that_stay_go_on_with_what_was_loaded(source: Path) -> None:
    torch = pytest.importorskip("torch")
    dataset = tokenmill.open(source).batches(LENGTH, 4, seed=1).torch()
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=2, persistent_workers=True
    )
    whole = rows_of(loader)
    dataset.load_state_dict(dataset.state_dict(after=8))
    assert rows_of(loader) == whole[8:]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loops_of_torch_may_have_other_workers_that_stay_or_are_spawned(
    source: Path, method: str
) -> None:
    torch = pytest.importorskip("torch")
    dataset = tokenmill.open(source).batches(LENGTH, 4, seed=1).torch()
    dataset = copy.deepcopy(dataset)  # as wrappers of loaders do
    found = []
    for workers in (1, 2, 0):
        how = {"multiprocessing_context": method, "persistent_workers": True} if workers else {}
        loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers, **how)
        found += [*rows_of(loader), *rows_of(loader)]
    whole = tokenmill.open(source).batches(LENGTH, 4, seed=1, epochs=6)
    assert found == expected_rows(source, len(whole), seed=1, epochs=6)


def test_torch_ranks_with_workers_have_every_sample_once(source: Path) -> None:
    torch = pytest.importorskip("torch")
    count = len(tokenmill.open(source).samples(LENGTH))
    found = []
    for rank in range(2):
        batches = tokenmill.open(source).batches(LENGTH, 4, seed=1, rank=rank, world_size=2)
        loader = torch.utils.data.DataLoader(batches.torch(), batch_size=None, num_workers=2)
        found += rows_of(loader)
    assert len(found) == count - count % 8
    whole = expected_rows(source, count, seed=1)
    assert sorted(found) == sorted(whole[: len(found)])


def test_torch_has_documents_and_learns(source: Path) -> None:
    torch = pytest.importorskip("torch")
    batches = tokenmill.open(source).batches(LENGTH, 8, seed=1, epochs=None)
    loader = torch.utils.data.DataLoader(batches.torch(documents=True), batch_size=None)
    torch.manual_seed(1)
    table = torch.nn.Embedding(50257, 64)  # a bigram model of classes of ids
    optimizer = torch.optim.Adagrad(table.parameters(), lr=0.5)
    losses = []
    for batch in itertools.islice(loader, 200):
        assert int(batch["cu_seqlens"][-1]) == batch["input"].numel()
        assert batch["positions"].shape == batch["segment_ids"].shape == batch["input"].shape
        logits = table(batch["input"])
        kept = batch["loss_mask"]
        loss = torch.nn.functional.cross_entropy(logits[kept], batch["target"][kept] % 64)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-20:]) < 0.5 * losses[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_takes_samples_by_number(source: Path, workers: int) -> None:
    torch = pytest.importorskip("torch")
    dataset = tokenmill.open(source).samples(LENGTH, documents=True).torch()
    assert isinstance(dataset, torch.utils.data.Dataset)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=4, shuffle=True, num_workers=workers, drop_last=False
    )
    found = list(loader)
    whole = expected_rows(source, len(dataset))
    assert len(dataset) - len(whole) < 4
    assert len(rows_of(found)) == len(dataset)
    assert set(map(tuple, whole)) <= set(map(tuple, rows_of(found)))
    assert found[0]["positions"].shape == (4, LENGTH)


def test_without_torch_it_is_said_what_is_needed(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.loading.samples.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tokenmill\[torch\]'"):
        tokenmill.open(source).samples(LENGTH).torch()


def test_grain_shuffles_batches_and_resumes(source: Path) -> None:
    grain = pytest.importorskip("grain")
    samples = tokenmill.open(source).samples(LENGTH)
    assert isinstance(samples, grain.sources.RandomAccessDataSource)
    dataset = grain.MapDataset.source(samples).shuffle(seed=1).batch(4).to_iter_dataset()
    found = list(dataset)
    rows = rows_of(found)
    whole = [[*one["input"].tolist(), int(one["target"][-1])] for one in samples]
    assert sorted(rows) == sorted(whole)
    assert rows != whole
    iterator = iter(dataset)
    first = [next(iterator) for _ in range(3)]
    state = iterator.get_state()
    again = iter(dataset)
    again.set_state(state)
    assert rows_of([*first, *again]) == rows


def test_the_data_loader_of_grain_has_every_sample_once(source: Path) -> None:
    grain = pytest.importorskip("grain")
    samples = tokenmill.open(source).samples(LENGTH, documents=True)
    sampler = grain.samplers.IndexSampler(len(samples), num_epochs=1, shuffle=True, seed=1)
    operations = [grain.transforms.Batch(4)]
    loader = grain.DataLoader(data_source=samples, sampler=sampler, operations=operations)
    whole = [[*one["input"].tolist(), int(one["target"][-1])] for one in samples]
    assert sorted(rows_of(loader)) == sorted(whole)
