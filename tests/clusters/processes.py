"""Processes of a cluster: started, watched, and ended with all that they started."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

_START_SECONDS = 60.0
_END_SECONDS = 10.0


class Processes:
    """Named processes that end with the block, whatever happens in it; a context manager.

    Each leads a process group. What it starts belongs to the group and ends with it, also where
    the process itself is dead already: workers of a TaskManager that was killed.

    Args:
        logs: a folder; what a process prints is in NAME.log there.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in reversed(self._running):
            _signal_group(self._running[name].pid, signal.SIGTERM)
        until = time.monotonic() + _END_SECONDS
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, until - time.monotonic()))
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts a process; a second one of a name takes the place of the first, which has ended.

        Args:
            name: of the process. command: of it. environment: beside that of the tests.
        """
        if name in self._running:
            assert self._running[name].poll() is not None, f"{name} is running"
            _signal_group(self._running[name].pid, signal.SIGKILL)
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pid(self, name: str) -> int:
        """The id of a process, dead or alive."""
        return self._running[name].pid

    def has_ended(self, name: str) -> bool:
        """Whether a process is dead."""
        return self._running[name].poll() is not None

    def wait_until(self, is_ready: Callable[[], bool], what: str) -> None:
        """Waits until the processes, all of them alive, have come so far.

        Raises:
            RuntimeError: one has ended, or a minute has passed; its last lines are in the message.
        """
        until = time.monotonic() + _START_SECONDS
        while not is_ready():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended: {self.log(name)[-2000:]}")
            if time.monotonic() > until:
                logs = "\n".join(f"{name}: {self.log(name)[-1000:]}" for name in self._running)
                raise RuntimeError(f"{what}: not after a minute\n{logs}")
            time.sleep(0.1)

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self._logs / f"{name}.log").read_text(errors="replace")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)
