"""Shards of a store are fetched once, and their copies go with their maps."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_export import exported, make_source

import tokenmill
from transforms.shards.build import Build
from transforms.shards.shard_maps import ShardMaps


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.mark.parametrize("is_export", [False, True])
def test_shards_of_a_store_are_fetched_once_and_leave_no_copy(
    is_export: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = exported(source, tmp_path / "out", "bin") if is_export else source
    expected = [one.tokens.tolist() for one in tokenmill.open(place)]
    line = [row["input"].tolist() for row in tokenmill.open(place).samples(16)]
    copies = tmp_path / "copies"
    copies.mkdir()
    fetched: list[str] = []
    local_copy = Build.local_copy

    @contextmanager
    def noted(build: Build, relative: str) -> Iterator[str]:
        fetched.append(relative)
        with local_copy(build, relative) as local_path:
            assert Path(local_path).is_relative_to(copies)
            yield local_path

    monkeypatch.setattr("tempfile.tempdir", str(copies))
    monkeypatch.setattr(Build, "is_local", property(lambda _: False))
    monkeypatch.setattr(Build, "local_copy", noted)
    corpus = tokenmill.open(place)
    assert [one.tokens.tolist() for one in corpus] == expected
    for _ in range(2):
        assert [row["input"].tolist() for row in corpus.samples(16)] == line
    shards = [path for path in fetched if path.startswith("tokens/")]
    assert len(shards) == len(set(shards)) > 0
    assert list(copies.iterdir()) == []


def test_a_map_is_made_anew_when_nobody_holds_it() -> None:
    made: list[int] = []

    @contextmanager
    def name_of(shard: int) -> Iterator[str]:
        yield str(shard)

    def open_map(shard: int, local_path: str) -> Any:
        made.append(shard)
        return np.full(3, int(local_path))

    maps = ShardMaps(name_of, open_map)
    held = maps.open(7)
    assert maps.open(7) is held
    assert made == [7]
    del held
    gc.collect()
    assert maps.open(7).tolist() == [7, 7, 7]
    assert made == [7, 7]
