"""Jobs on other runners as the command sees them: what ends, what is cancelled, what is said."""

import base64
import contextlib
import errno
import logging
import os
import pickle
import shutil
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from sample_inputs import json_lines, output_bytes

from pipeline.commands.build import build
from pipeline.config import BuildConfig
from pipeline.runners import on_beam
from pipeline.runners.engines import EngineJob, engine_job
from pipeline.runners.remote_job import RemoteJob
from tokenizer import Tokenizer
from transforms.passes.verify import VerifyPass
from transforms.settings import TokenizeSettings
from transforms.shards import recovery
from transforms.shards.build import Build
from transforms.shards.layout import owner_path
from transforms.shards.manifest import TokenizerEntry
from transforms.shards.staged_file import digest_of

PATTERN = r"\p{L}+|\P{L}"


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

    def do_GET(self) -> None:
        answers = {
            "/v1/jobs/overview": b'{"jobs": [{"jid": "f00d", "name": "ours", "state": "RUNNING"}]}',
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


@pytest.fixture
def flink() -> Iterator[tuple[str, list[str]]]:
    """The address of such an interface, and what was to be cancelled."""
    asked: list[str] = []
    handler = type("Handler", (FakeFlink,), {"asked": asked})
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


class FakeServer:
    """What Beam starts for a job, and would end as Python exits."""

    is_running = True

    def __init__(self, options: object) -> None:
        pass

    def stop(self) -> None:
        self.is_running = False


class FakeRunner:
    def default_job_server(self, options: object) -> FakeServer:
        return FakeServer(options)


def test_a_server_that_beam_started_for_a_job_ends_with_it() -> None:
    runner = FakeRunner()
    with contextlib.suppress(KeyboardInterrupt), on_beam._ending_servers(runner):
        server = runner.default_job_server(None)
        assert server.is_running
        raise KeyboardInterrupt
    assert not server.is_running


def test_beam_does_not_keep_the_answer_to_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    with on_beam._keeping_interrupts():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_an_engine_logs_is_for_verbose(caplog: pytest.LogCaptureFixture) -> None:
    with on_beam._quiet_engine(verbose=False):
        logging.error("784 lines")
    with on_beam._quiet_engine(verbose=True):
        logging.error("for those who ask")
    assert caplog.messages == ["for those who ask"]


def test_a_worker_without_tokenmill_is_named() -> None:
    report = "... ModuleNotFoundError: No module named 'transforms' [while running 'x']"
    assert "a worker of this runner has no tokenmill" in str(on_beam._readable(None, report))
    report = "Pipeline job-7 failed in state FAILED: unknown error"  # all that Spark says
    assert "often workers have no tokenmill" in str(on_beam._readable(None, report))


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """A file of a token a byte."""
    path = tmp_path / "given/bytes.tiktoken"
    path.parent.mkdir()
    path.write_text("".join(f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256)))
    return path


def test_a_vocabulary_keeps_its_name_where_workers_load_a_copy(
    vocabulary: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    settings = TokenizeSettings(
        tokenizer=str(vocabulary), split_pattern=PATTERN, special_tokens={}, end_of_text="none"
    )
    outputs = []
    for flags in ((), ("--runner=BundleBasedDirectRunner",)):
        output = tmp_path / f"out{len(flags)}"
        build(
            BuildConfig(
                inputs=(f"{tmp_path}/a.jsonl",),
                output=str(output),
                settings=settings,
                beam_flags=flags,
            )
        )
        outputs.append(output_bytes(output))
    assert outputs[0] == outputs[1]


def test_a_verification_carries_its_vocabulary_by_content(vocabulary: Path, tmp_path: Path) -> None:
    target = Build.at(str(tmp_path / "out"))
    kept = "vocabulary/tokenizer.tiktoken"
    target.write(kept, vocabulary.read_bytes())
    given = Tokenizer.load(vocabulary, split_pattern=PATTERN, special_tokens={})
    entry = TokenizerEntry("bytes", digest_of(vocabulary).sha256, kept, PATTERN, {}, 256, None)
    pickled = pickle.dumps(VerifyPass(target, "f", {}, given, 0.0, entry))
    assert b"given" not in pickled
    work = pickle.loads(pickled)
    assert pickle.loads(pickle.dumps(work)) is not work  # Beam pickles it again, unprepared
    work.prepare()
    assert work.tokenizer.fingerprint == given.fingerprint


def test_workers_that_write_while_a_run_is_cleared_do_not_keep_its_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Build.at(str(tmp_path), "run")
    target.write(owner_path("run"), b"{}")
    staging = Path(target.staging)
    staging.mkdir(parents=True, exist_ok=True)
    left = ["one", "two"]

    def listed_before(folder: str) -> None:
        if left:  # a worker makes a file after the folder was listed
            (staging / left.pop()).touch()
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), folder)
        rmtree(folder)

    rmtree = shutil.rmtree
    monkeypatch.setattr(recovery.shutil, "rmtree", listed_before)
    recovery.clear_run(target, "run")
    assert not staging.exists()
    assert not target.exists(owner_path("run"))
