"""Object stores: what each function asks of them, and what becomes of it when they fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_proxy import TRANSIENT, Fault, Request, no_faults, share_of
from store_servers import RunningStore, on_hdfs_too

from transforms.filesystem import (
    create_exclusive,
    create_raw,
    delete_files,
    exists,
    find_files,
    list_files,
    look_up,
    open_raw,
    put_file,
    read_version,
    read_whole,
    replace_file,
    replace_version,
    write_whole,
)
from transforms.stores import object_store

pytestmark = pytest.mark.stores


@pytest.fixture(autouse=True)
def clients_lose_patience_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "STALL_SECONDS", 1.0)


def test_each_function_costs_one_request(store: RunningStore) -> None:
    path = f"{store.root}/a"
    write_whole(path, b"content")
    assert read_whole(path) == b"content"
    assert exists(path)
    with open_raw(path) as file:
        assert file.read() == b"content"
    assert [file.path for file in find_files(f"{store.root}/*")] == [path]
    assert [file.path for file in list_files(store.root)] == [path]
    delete_files([path])
    assert len(store.proxy.requests) == 7
    assert not exists(path)


@on_hdfs_too
def test_patterns_are_those_of_local_files(store: RunningStore, tmp_path: Path) -> None:
    names = ["a.gz", "b.txt", "sub/a.gz", "sub/deep/b.gz", "sub2/a.gz", "br[1].gz"]
    for name in names:
        write_whole(f"{store.root}/{name}", name.encode())
        write_whole(f"{tmp_path}/{name}", name.encode())
    patterns = ["*", "*.gz", "**", "**.gz", "sub/*", "s*/*", "?.gz", "[ab].*", "sub/**", "none/*"]
    for pattern in [*patterns, "a.gz", "sub", "br[1].gz", "sub/"]:
        there = sorted(
            (file.path.removeprefix(store.root), file.size_bytes)
            for file in find_files(f"{store.root}/{pattern}")
        )
        here = sorted(
            (file.path.removeprefix(str(tmp_path)), file.size_bytes)
            for file in find_files(f"{tmp_path}/{pattern}")
            if os.path.isfile(file.path)
        )
        assert there == here, pattern


@on_hdfs_too
def test_a_missing_file_is_said_to_be_missing(store: RunningStore) -> None:
    path = f"{store.root}/none"
    assert look_up(path) is None
    assert list(list_files(path)) == []
    with pytest.raises(FileNotFoundError, match=path):
        read_whole(path)
    with pytest.raises(FileNotFoundError, match=path):
        open_raw(path)
    delete_files([path])


def test_a_version_changes_with_the_content_and_is_one_wherever_it_is_seen(
    store: RunningStore,
) -> None:
    path = f"{store.root}/a"
    write_whole(path, b"1")
    before = look_up(path)
    assert before is not None
    assert [before] == find_files(f"{store.root}/*") == list(list_files(store.root))
    write_whole(path, b"2")
    after = look_up(path)
    assert after is not None
    assert after.version != before.version


@on_hdfs_too
def test_conditional_writes(store: RunningStore) -> None:
    path, other = f"{store.root}/lease", f"{store.root}/other"
    write_whole(other, b"0")
    assert not replace_version(path, b"0", read_version(other)[1])
    assert create_exclusive(path, b"1")
    assert not create_exclusive(path, b"2")
    version = read_version(path)[1]
    assert replace_version(path, b"3", version)
    assert not replace_version(path, b"4", version)
    assert read_whole(path) == b"3"


@on_hdfs_too
@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1, (20 << 20) + 7])
def test_a_file_is_uploaded_and_read_back(store: RunningStore, tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "staged").write_bytes(content[:size])
    put_file(f"{tmp_path}/staged", f"{store.root}/a")
    with open_raw(f"{store.root}/a") as file:
        assert b"".join(iter(lambda: file.read(2 << 20), b"")) == content[:size]
        if size > 100:
            file.seek(-50, os.SEEK_END)
            assert file.read() == content[size - 50 : size]
            file.seek(10)
            assert file.read(5) == content[10:15]


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(store: RunningStore) -> None:
    path = f"{store.root}/a"
    write_whole(path, bytes(3 << 20))
    with open_raw(path) as file:
        file.read(10)
        write_whole(path, b"1" * (3 << 20))
        with pytest.raises(OSError, match="replaced while it was read"):
            file.read()


def test_a_file_that_is_left_by_an_exception_does_not_appear(store: RunningStore) -> None:
    def fail() -> None:
        with create_raw(f"{store.root}/a") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not exists(f"{store.root}/a")
    with create_raw(f"{store.root}/a") as file:
        file.write(b"whole")
    assert read_whole(f"{store.root}/a") == b"whole"


@pytest.mark.parametrize("fault", TRANSIENT)
def test_one_fault_is_not_noticed(store: RunningStore, tmp_path: Path, fault: Fault) -> None:
    path = f"{store.root}/a"
    large = bytes(range(256)) * (80 << 10)
    (tmp_path / "staged").write_bytes(large)

    def spoil(number: int) -> None:
        store.proxy.forget()
        store.proxy.faults = lambda request: fault if request.number == number else Fault.NONE

    spoil(0)
    write_whole(path, b"1")
    spoil(0)
    assert read_whole(path) == b"1"
    spoil(0)
    version = read_version(path)[1]
    spoil(0)
    assert replace_version(path, b"2", version)
    spoil(0)
    assert create_exclusive(f"{store.root}/b", b"3")
    spoil(0)
    assert len(find_files(f"{store.root}/*")) == 2
    spoil(0)
    assert len(list(list_files(store.root))) == 2
    spoil(1)
    put_file(f"{tmp_path}/staged", f"{store.root}/large")
    spoil(1)
    with open_raw(f"{store.root}/large") as file:
        assert file.read() == large
    spoil(0)
    replace_file(path, f"{store.root}/c")
    spoil(0)
    delete_files([f"{store.root}/c"])
    store.proxy.faults = no_faults
    assert sorted(file.path[-2:] for file in list_files(store.root)) == ["/b", "ge"]


@pytest.mark.parametrize("fault", [Fault.ERROR_503, Fault.STALL])
def test_an_outage_ends_within_the_bound_and_leaves_nothing(
    store: RunningStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(object_store, "RETRY_SECONDS", 1.0)
    (tmp_path / "staged").write_bytes(bytes(20 << 20))

    def fails(request: Request) -> Fault:
        is_second_part = "partNumber=2" in request.target or "comp=block&" in request.target
        return fault if is_second_part and request.method == "PUT" else Fault.NONE

    store.proxy.faults = fails
    with pytest.raises(OSError, match=f"{store.root}/a"):
        put_file(f"{tmp_path}/staged", f"{store.root}/a")
    store.proxy.faults = no_faults
    assert not exists(f"{store.root}/a")
    assert store.uploads() == []


def test_a_third_of_the_requests_may_fail(store: RunningStore) -> None:
    store.proxy.faults = share_of(0.3, Fault.ERROR_500, Fault.ERROR_503, Fault.LOST_ANSWER)
    for number in range(50):
        write_whole(f"{store.root}/{number}", str(number).encode())
    found = find_files(f"{store.root}/*")
    assert len(found) == 50
    assert all(read_whole(file.path).decode() == file.path.rsplit("/")[-1] for file in found)
    delete_files(file.path for file in found)
    assert find_files(f"{store.root}/*") == []


@pytest.mark.parametrize("store_server", ["hdfs"], indirect=True, scope="module")
def test_java_leaves_interrupts_to_python(store: RunningStore) -> None:
    code = (
        "import signal\n"
        "from transforms.filesystem import exists\n"
        f"exists('{store.root}/none')\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (0, b"interrupted\n")
