"""A Spark standalone cluster: a master that takes submissions over REST, and two workers."""

import json
import urllib.request
from typing import Any

from engines import JAVA_OPTIONS, Engine
from processes import free_ports


class SparkCluster(Engine):
    """A cluster whose drivers run on its workers, as on a real one."""

    STARTS_JVMS = True
    RESTARTS_WORKERS = True

    def start(self) -> None:
        self._port, self._rest_port, self._page_port, *more = free_ports(5)
        master = f"spark://127.0.0.1:{self._port}"
        rest = {
            "spark.master.rest.enabled": "true",
            "spark.master.rest.host": "127.0.0.1",
            "spark.master.rest.port": str(self._rest_port),
            # An application gets a core of each worker: two units are done at once, as on Flink.
            "spark.deploy.defaultCores": "2",
        }
        self._start_java(
            "master",
            "master.Master",
            *(f"-D{name}={value}" for name, value in rest.items()),
            arguments=("--port", str(self._port), "--webui-port", str(self._page_port)),
        )
        self.processes.wait_until(lambda: self._page() is not None, "the master")
        for number, page in enumerate(more, start=1):
            folder = str(self.folder / f"work-{number}")
            limits = ("--cores", "2", "--memory", "3g", "--work-dir", folder)
            self._start_java(
                f"worker-{number}",
                "worker.Worker",
                arguments=(*limits, "--webui-port", str(page), master),
            )
        self.processes.wait_until(
            lambda: (self._page() or {}).get("aliveworkers") == 2, "two workers"
        )

    def submit_flags(self) -> list[str]:
        return [
            "--runner=SparkRunner",
            "--spark_submit_uber_jar",
            f"--spark_rest_url=http://127.0.0.1:{self._rest_port}",
            f"--spark_job_server_jar={self.home}/jars/submit.jar",
        ]

    def wait_until_idle(self) -> None:
        self.processes.wait_until(lambda: not self._active(), "no driver and no application")

    def drivers(self) -> dict[str, str]:
        """The state of each job that was submitted, by the id of its driver."""
        page = self._page() or {}
        drivers = [*page.get("activedrivers", []), *page.get("completeddrivers", [])]
        return {driver["id"]: driver["state"] for driver in drivers}

    def _active(self) -> list[Any]:
        page = self._page() or {}
        return [*page.get("activedrivers", []), *page.get("activeapps", [])]

    def _page(self) -> dict[str, Any] | None:
        """What the master's own page shows, as JSON; None where it does not answer."""
        try:
            url = f"http://127.0.0.1:{self._page_port}/json/"
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return None

    def _start_java(
        self, name: str, entry: str, *options: str, arguments: tuple[str, ...] = ()
    ) -> None:
        environment = {
            "SPARK_HOME": str(self.home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
            "SPARK_NO_DAEMONIZE": "1",
            "SPARK_SCALA_VERSION": "2.12",
            # Drivers and executors are started by others; all of Java's processes read this.
            "JDK_JAVA_OPTIONS": " ".join(JAVA_OPTIONS),
        }
        command = ["java", "-Xmx512m", *options, "-cp", f"{self.home}/jars/*"]
        entry = f"org.apache.spark.deploy.{entry}"
        self.processes.start(
            name, [*command, entry, "--host", "127.0.0.1", *arguments], environment
        )
