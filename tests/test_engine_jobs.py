"""What an engine is asked of a job, and told: how it does, and to stop it, and no other."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.runners.engines import EngineJob, engine_job
from pipeline.runners.remote_job import RemoteJob


class FakeResult:
    """A job that goes on until it is cancelled, where that works."""

    def __init__(self, error: str | None = None, *, hangs: bool = False) -> None:
        self._error = error
        self._hangs = hangs
        self.ended = threading.Event()

    def wait_until_finish(self) -> str:
        self.ended.wait(30)
        return "CANCELLED"

    def cancel(self) -> None:
        if self._hangs:
            self.ended.wait(30)
        if self._error is not None:
            raise RuntimeError(self._error)
        self.ended.set()


class FakeFlink(BaseHTTPRequestHandler):
    """Flink's REST interface, as far as a job is cancelled by it."""

    asked: list[str]
    jobs: list[dict[str, str]]

    def do_GET(self) -> None:
        answers = {
            "/v1/jobs/overview": json.dumps({"jobs": self.jobs}).encode(),
            "/v1/overview": b'{"slots-total": 2, "slots-available": 0, "taskmanagers": 2}',
        }
        self._answer(answers[self.path])

    def do_PATCH(self) -> None:
        self.asked.append(self.path)
        self._answer(b"{}")

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


OURS = {"jid": "f00d", "name": "ours", "state": "RUNNING"}


@pytest.fixture
def flink(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    """The address of such an interface, and what was to be cancelled; its jobs are parameters."""
    asked: list[str] = []
    jobs = getattr(request, "param", [OURS])
    handler = type("Handler", (FakeFlink,), {"asked": asked, "jobs": jobs})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_a_job_is_cancelled_by_its_runner() -> None:
    job = RemoteJob(FakeResult(), EngineJob("ours", id="7"))
    assert job.cancel() == "the job 7 was cancelled"
    assert job.wait(10)
    assert job.outcome() == "CANCELLED"
    assert job.cancel() == "the job 7 has ended"


@pytest.mark.parametrize("job_id", ["f00d", None])
def test_where_beam_can_not_flink_itself_is_asked(
    flink: tuple[str, list[str]], job_id: str | None
) -> None:
    address, asked = flink
    result = FakeResult("404")
    job = RemoteJob(result, EngineJob("ours", "Flink job", job_id, f"http://{address}"))
    assert job.engine_state() == "it is RUNNING; 0 of the 2 slots of 2 TaskManagers are free"
    assert job.cancel() == f"the Flink job {job_id or 'ours'} was cancelled"
    assert asked == ["/v1/jobs/f00d?mode=cancel"]
    result.ended.set()


@pytest.mark.parametrize(
    "flink",
    [
        [],
        [OURS, {**OURS, "jid": "other"}],
        [{**OURS, "state": "FINISHED"}],
        [{**OURS, "name": "another's"}],
    ],
    indirect=True,
)
def test_a_job_that_may_be_another_s_is_not_cancelled(flink: tuple[str, list[str]]) -> None:
    address, asked = flink
    assert not EngineJob("ours", "Flink job", None, f"http://{address}").cancel()
    assert asked == []


@pytest.mark.parametrize(
    "flink",
    [
        [{**OURS, "jid": "other", "state": "FAILED"}, OURS],
        [{**OURS, "state": "FAILED"}, {**OURS, "jid": "other"}],
    ],
    indirect=True,
)
def test_where_its_id_is_known_jobs_of_its_name_are_not_looked_at(
    flink: tuple[str, list[str]], request: pytest.FixtureRequest
) -> None:
    ours = EngineJob("ours", "Flink job", "f00d", f"http://{flink[0]}")
    jobs = request.node.callspec.params["flink"]
    state = next(job["state"] for job in jobs if job["jid"] == "f00d")
    assert ours.state().startswith(f"it is {state};")
    # By name it is the one that is still at work.
    named = EngineJob("ours", "Flink job", None, f"http://{flink[0]}")
    assert named.state().startswith("it is RUNNING;")


def test_a_job_that_can_not_be_cancelled_goes_on_and_how_to_stop_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.runners.remote_job._CANCEL_SECONDS", 0.1)
    options = PipelineOptions(["--runner=FlinkRunner", "--flink_master=127.0.0.1:1"])
    for result, why in (
        (FakeResult("no such\n job"), "no such job"),
        (FakeResult(hangs=True), "its runner did not answer"),
    ):
        job = RemoteJob(result, engine_job(result, "ours", options))
        assert job.cancel() == (
            f"the Flink job ours GOES ON ({why}): stop it with curl -X PATCH "
            "'http://127.0.0.1:1/v1/jobs/<id>?mode=cancel'"
        )
        result.ended.set()
    other = FakeResult("no")
    assert RemoteJob(other, engine_job(other, "ours", PipelineOptions([]))).cancel() == (
        "the job ours GOES ON (no): stop it by its runner's own tools"
    )
    other.ended.set()


def test_what_a_job_ended_with_is_its_outcome() -> None:
    result = FakeResult()
    job = RemoteJob(result, EngineJob("ours"))
    assert not job.wait(0)
    result.ended.set()
    assert job.wait(30)
    assert job.outcome() == "CANCELLED"

    class Failing(FakeResult):
        def wait_until_finish(self) -> str:
            raise RuntimeError("no worker is left")

    job = RemoteJob(Failing(), EngineJob("ours"))
    assert job.wait(30)
    with pytest.raises(RuntimeError, match="no worker is left"):
        job.outcome()
