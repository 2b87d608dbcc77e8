"""A Flink cluster: a JobManager and two TaskManagers of one slot each."""

import json
import os
import urllib.request
from typing import Any

from engines import JAVA_OPTIONS, Engine
from processes import free_ports

_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c{1} %m%n
"""
# Flink refuses to start a TaskManager whose memory is not spelled out in full.
_TASK_MEMORY = {
    "network.min": "64mb",
    "network.max": "64mb",
    "managed.size": "128mb",
    "task.heap.size": "256mb",
    "task.off-heap.size": "64mb",
    "framework.heap.size": "128mb",
    "framework.off-heap.size": "128mb",
    "jvm-metaspace.size": "256mb",
    "jvm-overhead.min": "192mb",
    "jvm-overhead.max": "192mb",
}


class FlinkCluster(Engine):
    """A cluster in which a job restarts, and waits for slots, when a TaskManager dies."""

    RESTARTS_WORKERS = True
    # Beam's jars are on the cluster's own class path: the submitted jar has 4 KB, and no class is
    # missing when a job's own class loader closes before its threads end.
    CLASS_PATH: tuple[str, ...] = ("lib/*.jar", "jars/*.jar")
    SUBMITTED = "jars/submit.jar"
    TASK_MANAGERS = ("taskmanager-1", "taskmanager-2")

    def start(self) -> None:
        self._rpc_port, self._rest_port = free_ports(2)
        configuration = self.folder / "conf"
        configuration.mkdir(parents=True)
        temporary = self.folder / "tmp"
        temporary.mkdir()
        (configuration / "log4j.properties").write_text(_LOGGING)
        settings = {
            "jobmanager.bind-host": "127.0.0.1",
            "jobmanager.rpc.address": "127.0.0.1",
            "jobmanager.rpc.port": self._rpc_port,
            "jobmanager.memory.process.size": "1600m",
            "taskmanager.bind-host": "127.0.0.1",
            "taskmanager.host": "127.0.0.1",
            "taskmanager.numberOfTaskSlots": 1,
            "taskmanager.memory.process.size": "1536m",
            "rest.address": "127.0.0.1",
            "rest.bind-address": "127.0.0.1",
            "rest.port": self._rest_port,
            "classloader.resolve-order": "parent-first",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 3,
            "restart-strategy.fixed-delay.delay": "1s",
            "heartbeat.interval": 1000,
            "heartbeat.timeout": 20_000,
            "parallelism.default": 2,
            "io.tmp.dirs": str(temporary),
        }
        lines = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (configuration / "config.yaml").write_text(lines)
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._start_java("jobmanager", "-Xmx768m", entry)
        for name in self.TASK_MANAGERS:
            self.start_task_manager(name)
        self.wait_for_task_managers()

    def start_task_manager(self, name: str) -> None:
        """Starts a TaskManager, for the first time or in place of one that has ended."""
        memory = [f"taskmanager.memory.{key}={value}" for key, value in _TASK_MEMORY.items()]
        more = [*memory, "taskmanager.cpu.cores=1.0"]
        dynamic = [word for setting in more for word in ("-D", setting)]
        entry = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        self._start_java(name, "-Xmx512m", entry, *dynamic)

    def dead_task_managers(self) -> list[str]:
        """Those that have ended."""
        return [name for name in self.TASK_MANAGERS if self.processes.has_ended(name)]

    def wait_for_task_managers(self) -> None:
        """Waits until both are registered."""
        self.processes.wait_until(
            lambda: self._registered() == len(self.TASK_MANAGERS), "two TaskManagers"
        )

    def submit_flags(self) -> list[str]:
        return [
            "--runner=FlinkRunner",
            f"--flink_master=127.0.0.1:{self._rest_port}",
            "--flink_submit_uber_jar",
            f"--flink_job_server_jar={self.home / self.SUBMITTED}",
            "--parallelism=2",
        ]

    def wait_until_idle(self) -> None:
        over = {"FINISHED", "FAILED", "CANCELED"}
        self.processes.wait_until(lambda: set(self.jobs().values()) <= over, "no job")

    def jobs(self) -> dict[str, str]:
        """The state of each job that was submitted, by its id."""
        return {job["jid"]: job["state"] for job in self._ask("jobs/overview")["jobs"]}

    def _registered(self) -> int:
        try:
            return int(self._ask("overview")["taskmanagers"])
        except OSError:
            return 0

    def _ask(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self._rest_port}/v1/{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)

    def _start_java(self, name: str, heap: str, entry: str, *arguments: str) -> None:
        configuration = self.folder / "conf"
        class_path = [jar for jars in self.CLASS_PATH for jar in sorted(self.home.glob(jars))]
        command = [
            "java",
            heap,
            *JAVA_OPTIONS,
            f"-Dlog4j.configurationFile=file:{configuration}/log4j.properties",
            *("-cp", os.pathsep.join(map(str, class_path))),
            entry,
            *("--configDir", str(configuration)),
            *arguments,
        ]
        self.processes.start(name, command, {"FLINK_CONF_DIR": str(configuration)})


class BareFlinkCluster(FlinkCluster):
    """A cluster that has no SDK and no runner of Beam: a job brings them in its jar.

    Beam reads files that were sent along by the class loader of its own classes: that of the job
    here, which sees them in the submitted jar. gRPC alone is the cluster's: its threads live on for
    a moment when that class loader closes, and then find no more classes.
    """

    CLASS_PATH = ("lib/*.jar", "jars/beam-vendor-grpc-*.jar")
    SUBMITTED = "uber.jar"
