"""What is asked of an engine itself, beside Beam: a job's id there, how it does, and to stop.

    Flink      GET   /v1/jobs/<id>    PATCH /v1/jobs/<id>?mode=cancel
    Spark      GET   /v1/submissions/status/<id>    POST /v1/submissions/kill/<id>
    Dataflow   gcloud dataflow jobs cancel <id>
    Prism      ends with the command that started it

Beam keeps the id that a cluster gave a job to itself, and its way to cancel an uber jar on Flink is
answered 404.
"""

import json
import logging
import urllib.request
from dataclasses import dataclass
from typing import Any

_REQUEST_SECONDS = 2.0
# What Flink says of a job that is still there.
_ALIVE = {"INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "RECONCILING", "SUSPENDED"}


@dataclass(frozen=True)
class EngineJob:
    """A job as its engine knows it.

    Attributes:
        name: that Beam gave it; holds that of the run, so that no other job has it.
        kind: such as "Flink job". id: there; None where it is not known.
        url: of the engine's REST interface; None without one.
        how_to_stop: a command for people; None where only the engine's own tools can.
        ends_with_command: the engine itself was started for this job, and is ended after it.
    """

    name: str
    kind: str = "job"
    id: str | None = None
    url: str | None = None
    how_to_stop: str | None = None
    ends_with_command: bool = False

    def __str__(self) -> str:
        return f"the {self.kind} {self.id or self.name}"

    def cancel(self) -> bool:
        """Asks the engine itself to stop the job; whether it said that it will."""
        if self.kind != "Flink job" or self.url is None:
            return False
        try:
            jobs = [self.id] if self.id else self._flink_jobs_at_work()
            if len(jobs) == 1:  # of several of a name, which is ours?
                _ask(f"{self.url}/v1/jobs/{jobs[0]}?mode=cancel", "PATCH")
                return True
        except (OSError, ValueError, KeyError, TypeError) as error:
            logging.getLogger(__name__).info("Flink did not cancel: %s", error)
        return False

    def state(self) -> str:
        """What the engine says of the job, in a few words; "" where it says nothing."""
        try:
            if self.kind == "Flink job" and self.url is not None:
                return self._flink_state()
            if self.kind == "Spark driver" and self.url is not None:
                answer = _ask(f"{self.url}/v1/submissions/status/{self.id}")
                return f"it is {answer['driverState']}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"its engine does not answer: {error}"
        return ""

    def _flink_state(self) -> str:
        states = sorted(self._flink_jobs().values(), key=lambda state: state not in _ALIVE)
        cluster = _ask(f"{self.url}/v1/overview")
        state = f"it is {states[0]}" if states else "Flink does not know it"
        return (
            f"{state}; {cluster['slots-available']} of the {cluster['slots-total']} slots of "
            f"{cluster['taskmanagers']} TaskManagers are free"
        )

    def _flink_jobs_at_work(self) -> list[str]:
        return [job for job, state in self._flink_jobs().items() if state in _ALIVE]

    def _flink_jobs(self) -> dict[str, str]:
        """Id and state: of the job itself where its id is known, else of all of its name."""
        jobs = _ask(f"{self.url}/v1/jobs/overview")["jobs"]
        key, value = ("name", self.name) if self.id is None else ("jid", self.id)
        return {job["jid"]: job["state"] for job in jobs if job[key] == value}


def engine_job(result: Any, name: str, options: Any) -> EngineJob:
    """The job that was submitted.

    Args:
        result: what `pipeline.run()` gave. name: of the job.
        options: the PipelineOptions it was run with, as they were before: Beam changes them.
    """
    given = options.get_all_options()
    if "Dataflow" in type(result).__name__:
        job, region = result.job_id(), given.get("region")
        stop = f"gcloud dataflow jobs cancel {job} --region={region}"
        return EngineJob(name, "Dataflow job", job, how_to_stop=stop)
    uber_job = _uber_jar_job(result)
    if url := _flink_url(given.get("flink_master")):
        job = getattr(uber_job, "_flink_job_id", None)
        stop = f"curl -X PATCH '{url}/v1/jobs/{job or '<id>'}?mode=cancel'"
        return EngineJob(name, "Flink job", job, url, stop)
    if driver := getattr(uber_job, "_spark_submission_id", None):
        url = str(given.get("spark_rest_url")).rstrip("/")
        stop = f"curl -X POST '{url}/v1/submissions/kill/{driver}'"
        return EngineJob(name, "Spark driver", driver, url, stop)
    job = getattr(result, "_job_id", None)
    is_ours = not given.get("job_endpoint") and "Prism" in str(given.get("runner"))
    return EngineJob(name, id=job, ends_with_command=is_ours)


def _uber_jar_job(result: Any) -> Any:
    """Beam's record of a job that it submitted as a jar; None for other jobs."""
    jobs = getattr(getattr(result, "_job_service", None), "_jobs", None) or {}
    return jobs.get(getattr(result, "_job_id", None))


def _flink_url(master: str | None) -> str | None:
    if not master or master in ("[auto]", "[local]"):
        return None
    return (master if "://" in master else f"http://{master}").rstrip("/")


def _ask(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as answer:
        content = answer.read()
    return json.loads(content) if content else {}
