"""Builds that meet a fault at a named point: each write, sync, rename, link and delete in turn.

    python tests/fault_points.py build INPUT SCRATCH kill-before:1 EIO:7 kill-after:all
    python tests/fault_points.py watch INPUT SCRATCH kill-before:1

It imports everything once and forks a process a build, with the calls below replaced. Of each point
it prints a line of JSON: how the build with the fault ended, how the same command ended afterwards,
and what differs from a build that nothing disturbed.

    kill-before, kill-after    SIGKILL around the n-th call
    kill-inside                half of the n-th write, then SIGKILL
    ENOSPC, EIO                the n-th call fails
"""

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

CALLS = ("replace", "rename", "link", "unlink", "remove", "rmdir", "mkdir", "fsync")


class Faults:
    """Counts the calls that change a disk, and does what it is told at the n-th."""

    def __init__(self, kind: str = "", number: int = 0, note: str = os.devnull) -> None:
        """note: a file that gets the name of the point; threads pass theirs in any order."""
        self.kind, self.number = kind, number
        self._note = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.names: list[str] = []
        self._lock = threading.Lock()

    def at_point(
        self, name: str, call: Callable[[], Any], half: Callable[[], Any], *path: str
    ) -> Any:
        """path: where the system names one when the call fails."""
        with self._lock:
            self.names.append(name)
            is_it = len(self.names) == self.number
        if is_it:
            os.write(self._note, name.encode())
        if is_it and self.kind.startswith("E"):
            code = getattr(errno, self.kind)
            raise OSError(code, os.strerror(code), *path)
        if is_it and self.kind == "kill-inside":
            half()
        if is_it and self.kind != "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return call()
        finally:  # also after a call that fails: of a folder that is there already, say
            if is_it:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Has the calls of this process pass through `at_point`."""
        import pyarrow.parquet as pq

        from transforms.shards.formats.npy import NpyWriter

        with contextlib.ExitStack() as stack:
            for name in CALLS:
                stack.enter_context(patch.object(os, name, self._wrapped(name, getattr(os, name))))
            write = NpyWriter._write

            def write_half(writer: NpyWriter, content: Any) -> Any:
                return self.at_point(
                    "write",
                    lambda: write(writer, content),
                    lambda: write(writer, memoryview(content)[: len(content) // 2]),
                )

            stack.enter_context(patch.object(NpyWriter, "_write", write_half))
            table = pq.ParquetWriter.write_table
            stack.enter_context(
                patch.object(pq.ParquetWriter, "write_table", self._wrapped("write table", table))
            )
            stack.enter_context(patch("builtins.open", self._opening(open)))
            stack.enter_context(patch("io.open", self._opening(io.open)))
            yield

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            path = [arguments[0]] if isinstance(arguments[0], str) else []
            return self.at_point(name, lambda: call(*arguments, **named), lambda: None, *path)

        return wrapped

    def _opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            def opened() -> Any:
                return call(file, mode, *more, **named)

            if not set(mode) & set("wxa+"):
                return opened()
            path = [] if isinstance(file, int) else [os.fspath(file)]
            return self.at_point("open", opened, lambda: None, *path)

        return opening


def command(name: str, inputs: Path, output: Path) -> int:
    """The small build that everything here is about, in this very process."""
    from pipeline.cli import main

    patterns = [f"{inputs}/*.*", f"{inputs}/web/*"]
    limits = ["--max-rejects", "0.5", "--max-shard-tokens", "60"]
    if name == "watch":  # a version for each input
        limits += ["--once", "--settle-seconds", "0", "--max-round-bytes", "1"]
    return main([name, "--input", *patterns, "--output", str(output), *limits])


def resume(name: str, inputs: Path, output: Path) -> int:
    """The same command, and a look at the chain of versions."""
    from pipeline.cli import main

    return command(name, inputs, output) or (name == "watch" and main(["verify", str(output)]))


def forked(work: Callable[[], int]) -> tuple[str, str]:
    """Does the work in a process of its own: how that ended, and what it wrote to stderr."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(writer, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 99
        try:
            code = work()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return (signal.Signals(-code).name if code < 0 else str(code)), said


def content_of(output: Path) -> dict[str, bytes]:
    """All files of a build that are reproducible, and the names of what lies below runs/."""
    found = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output).as_posix()
        if not path.is_file():
            continue
        if name.startswith("versions/"):
            continue  # which inputs come together depends on when they were done
        if not name.startswith("runs/"):
            found[name] = path.read_bytes()
        elif not path.name.startswith(("run.json", "inputs")) and "/failures/" not in name:
            found[name] = b""
    return found


def compare(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    names = sorted({*found, *expected})
    return [name for name in names if found.get(name) != expected.get(name)]


def count_points(name: str, inputs: Path, output: Path) -> list[str]:
    """The names of the points that a build passes."""
    reader, writer = os.pipe()

    def work() -> int:
        faults = Faults()
        with faults.installed():
            code = command(name, inputs, output)
        with open(writer, "w") as file:
            json.dump(faults.names, file)
        return code

    ended, said = forked(work)
    os.close(writer)
    with open(reader) as file:
        names: list[str] = json.load(file)
    assert ended == "0", said
    return names


def try_point(name: str, inputs: Path, output: Path, kind: str, number: int) -> dict[str, Any]:
    """A build with the fault, then the same command once more."""

    note = output.with_suffix(".point")

    def disturbed() -> int:
        with Faults(kind, number, str(note)).installed():
            return command(name, inputs, output)

    ended, said = forked(disturbed)
    resumed, said_then = forked(lambda: resume(name, inputs, output))
    return {
        "kind": kind,
        "number": number,
        "name": note.read_text(),
        "ended": ended,
        "said": said,
        "resumed": resumed,
        "said_then": said_then,
        "content": content_of(output),
    }


def main(name: str, inputs: Path, scratch: Path, points: list[str]) -> None:
    from pipeline.config import BuildConfig
    from pipeline.runners import Running, fork_server
    from tokenizer import Tokenizer

    Tokenizer.load("cl100k_base")
    in_process = patch.object(BuildConfig, "running", lambda *_: Running(workers=0))
    with in_process, patch.object(fork_server, "warm_up", lambda *_: None):
        names = count_points(name, inputs, scratch / "undisturbed")
        expected = content_of(scratch / "undisturbed")
        print(json.dumps({"points": names}), flush=True)
        for point in points:
            kind, which = point.split(":")
            for number in range(1, len(names) + 1) if which == "all" else [int(which)]:
                output = scratch / f"{kind}-{number}"
                tried = try_point(name, inputs, output, kind, number)
                tried["differs"] = compare(tried.pop("content"), expected)
                shutil.rmtree(output, ignore_errors=True)
                print(json.dumps(tried), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
