"""The command, run as a user runs it, against an engine."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
from engines import Engine

_SECONDS = 200.0
_END_SECONDS = 10.0  # in which workers see that their engine is gone


def build_arguments(inputs: str | Path, vocabulary: Path, output: str | Path) -> list[str | Path]:
    """A build of the inputs with a vocabulary that is in a file."""
    arguments: list[str | Path] = ["build", "--input", f"{inputs}/*.*", f"{inputs}/sub/*"]
    arguments += ["--output", output, "--max-rejects", "0.5", "--end-of-text", "none"]
    arguments += ["--tokenizer", vocabulary, "--special-tokens", "{}"]
    return [*arguments, "--split-pattern", r"\p{L}+|\P{L}"]


def start(
    engine: Engine | None,
    *arguments: str | Path,
    cwd: Path,
    faults: Path | None = None,
    env: Mapping[str, str] | None = None,
    python: str | Path = sys.executable,
) -> "subprocess.Popen[str]":
    """Starts `tokenmill ARGUMENTS` with the flags of the engine, or at home.

    Args:
        faults: what workers are asked for (worker_faults.py). env: of workers, beside what they
            have of their engine; the command has that of the tests.
    """
    asked = {} if faults is None else {"TOKENMILL_FAULTS": str(faults)}
    flags = engine.flags({**(env or {}), **asked}) if engine else ()
    given = [*map(str, arguments), *flags]
    return subprocess.Popen(
        [python, "-m", "tokenmill", *given],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(
    engine: Engine | None,
    *arguments: str | Path,
    cwd: Path,
    faults: Path | None = None,
    env: Mapping[str, str] | None = None,
    python: str | Path = sys.executable,
) -> "subprocess.CompletedProcess[str]":
    """Runs it to its end."""
    return finish(start(engine, *arguments, cwd=cwd, faults=faults, env=env, python=python))


def finish(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    """Waits for the end of a command, which must leave no process behind."""
    with _no_child_left(process):
        output, error = process.communicate(timeout=_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)


@contextlib.contextmanager
def _no_child_left(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Ends what a command that did not end, or ended badly, has left; says so."""
    group = process.pid  # it leads a session: so do all that it starts belong to it
    try:
        yield
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    finally:
        started = [one for one in psutil.process_iter() if _is_of(one, group)]
        _, left = psutil.wait_procs(started, timeout=_END_SECONDS)
        for one in left:
            one.kill()
    assert not left, f"the command left {left}"


def _is_of(process: psutil.Process, group: int) -> bool:
    with contextlib.suppress(ProcessLookupError, psutil.Error):
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_for(has_happened: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Waits until something has happened; fails where the command ends before it."""
    until = time.monotonic() + _SECONDS
    while not has_happened():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)
