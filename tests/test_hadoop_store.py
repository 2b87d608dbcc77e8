"""HDFS's store, over Arrow's local filesystem in the place of a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import fs

from transforms.stores.hadoop_store import HadoopStore


@pytest.fixture
def store() -> HadoopStore:
    return HadoopStore(lambda host: fs.LocalFileSystem())


def test_files_are_written_listed_read_and_deleted(store: HadoopStore, tmp_path: Path) -> None:
    root = f"hdfs://namenode:8020{tmp_path}"
    store.write(f"{root}/a/x.gz", b"1")
    store.write(f"{root}/a/x.gz", b"22")
    (tmp_path / "staged").write_bytes(b"333")
    store.put(f"{tmp_path}/staged", f"{root}/a/b/y.gz")
    assert store.read(f"{root}/a/x.gz")[0] == b"22"
    assert [file[:2] for file in store.find(f"{root}/a/*.gz")] == [(f"{root}/a/x.gz", 2)]
    assert len(store.find(f"{root}/a/**.gz")) == len(list(store.list(f"{root}/a"))) == 2
    assert list(store.list(f"{root}/none")) == store.find(f"{root}/none/*") == []
    assert store.find(f"{root}/a/b/y.gz") == [store.look_up(f"{root}/a/b/y.gz")]
    with pytest.raises(FileNotFoundError):
        store.read(f"{root}/none")
    store.delete([f"{root}/a/x.gz", f"{root}/none"])
    assert not store.exists(f"{root}/a/x.gz")
    assert sorted(os.listdir(tmp_path / "a")) == ["b"]


def test_what_is_being_written_lies_in_the_staging_folder(
    store: HadoopStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"hdfs://namenode{tmp_path}"
    (tmp_path / "local").write_bytes(b"1")
    seen: list[list[str]] = []
    rename = store.rename

    def look(source: str, target: str) -> None:
        seen.append([file.path for file in store.list(f"{root}/out")])
        rename(source, target)

    monkeypatch.setattr(store, "rename", look)
    store.put(f"{tmp_path}/local", f"{root}/out/tokens/a.npy", f"{root}/out/runs/r")
    store.write(f"{root}/out/receipts/a.json", b"2", f"{root}/out/runs/r")
    staged = [[path for path in paths if path.endswith(".tmp")] for paths in seen]
    assert [len(paths) for paths in staged] == [1, 1]
    assert all(path.startswith(f"{root}/out/runs/r/.a.") for paths in staged for path in paths)
    left = sorted(file.path for file in store.list(f"{root}/out"))
    assert left == [f"{root}/out/receipts/a.json", f"{root}/out/tokens/a.npy"]


def test_conditional_writes(store: HadoopStore, tmp_path: Path) -> None:
    path = f"hdfs://namenode{tmp_path}/lease"
    assert not store.write_over(path, b"0", "1")
    assert store.write_new(path, b"1")
    assert not store.write_new(path, b"2")
    version = store.read(path)[1]
    # In the same second, and of the same size.
    store.write(path, b"2")
    assert not store.write_over(path, b"3", version)
    assert store.write_over(path, b"3", store.read(path)[1])
    assert os.listdir(tmp_path) == ["lease"]


def test_without_a_hadoop_client_the_remedy_is_one_line() -> None:
    # In a process of its own: Arrow looks for libhdfs once, and remembers that there was none.
    code = "from transforms.filesystem import find_files; find_files('hdfs://namenode/web/*.gz')"
    environment = {**os.environ, "ARROW_LIBHDFS_DIR": "/nowhere"}
    environment.pop("HADOOP_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    message = done.stderr.splitlines()[-1]
    assert message.startswith(
        "tokenizer.errors.ConfigurationError: hdfs://namenode needs a Hadoop client: set JAVA_HOME"
    )
