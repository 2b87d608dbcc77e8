"""Engines on 127.0.0.1 as the tests see them: flags that submit to one, and what it does of a job.

    with running_engine("flink", home, folder) as engine:
        engine.flags(faults)      # for `tokenmill build`, and for any pipeline

`home` is where `make test-flink` and the like have installed the engine, `folder` for its logs.
"""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from processes import Processes

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# What Flink, Spark and Beam reach into since Java 17 asks for it by name.
_OPENED = (
    *("java.io", "java.lang", "java.lang.invoke", "java.lang.reflect", "java.net", "java.nio"),
    *("java.text", "java.time", "java.util", "java.util.concurrent"),
    *("java.util.concurrent.atomic", "java.util.concurrent.locks", "sun.nio.ch"),
    "sun.util.calendar",
)
JAVA_OPTIONS = (
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    # A cluster of a few minutes: what compiles less is up sooner.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
)


class Engine(ABC):
    """An engine that is running.

    Args:
        home: where it is installed. processes: that end with it. folder: for files of its own.
    """

    STARTS_JVMS = False  # for each job, which takes half a minute
    RESTARTS_WORKERS: bool  # whether a job goes on when one of its workers was killed

    def __init__(self, home: Path, processes: Processes, folder: Path) -> None:
        self.home = home
        self.processes = processes
        self.folder = folder

    @abstractmethod
    def start(self) -> None:
        """Starts its processes; returns when it can be given a job."""

    @abstractmethod
    def submit_flags(self) -> list[str]:
        """Beam's flags that submit to it, whatever its workers are."""

    def flags(self, environment: Mapping[str, str]) -> list[str]:
        """Beam's flags that submit to it, with workers of that environment beside its own."""
        return [*self.submit_flags(), *self.worker_flags(environment)]

    @abstractmethod
    def wait_until_idle(self) -> None:
        """Waits until it works on no job any more."""

    def worker_flags(self, environment: Mapping[str, str]) -> list[str]:
        """Beam's flags for workers that are processes of this machine."""
        path = os.pathsep.join([str(REPOSITORY), str(HERE)])
        return process_flags(self._worker_command(), {"PYTHONPATH": path, **environment})

    def _worker_command(self) -> Path:
        """A program that starts a worker; engines know no arguments of their own for it."""
        command = self.folder / "start_worker"
        if not command.exists():
            script = f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "start_worker.py"}" "$@"\n'
            command.write_text(script)
            command.chmod(0o755)
        return command


def process_flags(command: Path, environment: Mapping[str, str]) -> list[str]:
    """Beam's flags for workers that a program of this machine starts, in that environment."""
    config = {"command": str(command), "env": dict(environment)}
    return ["--environment_type=PROCESS", f"--environment_config={json.dumps(config)}"]


@contextmanager
def running_engine(name: str, home: Path, folder: Path) -> Iterator[Engine]:
    """Runs an engine until the block ends.

    Args:
        name: flink, bare-flink, spark or prism. home: where it is installed.
        folder: for its logs and files.
    """
    from flink_cluster import BareFlinkCluster, FlinkCluster
    from prism_server import PrismServer
    from spark_cluster import SparkCluster

    kinds: dict[str, type[Engine]] = {
        "flink": FlinkCluster,
        "bare-flink": BareFlinkCluster,
        "spark": SparkCluster,
        "prism": PrismServer,
    }
    with Processes(folder / "logs") as processes:
        engine = kinds[name](home, processes, folder)
        engine.start()
        yield engine
