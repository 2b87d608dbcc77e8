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
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker.data_plane import GrpcClientDataChannel
from sample_inputs import json_lines, output_bytes

import tokenmill
from pipeline.cli import main
from pipeline.commands.build import build
from pipeline.config import BuildConfig
from pipeline.runners import Running, engine_log, on_beam
from pipeline.runners.in_process import run_in_process
from tokenizer import Tokenizer
from transforms.passes.tokenize import TokenizePass
from transforms.passes.verify import VerifyPass
from transforms.settings import TokenizeSettings
from transforms.shards import recovery
from transforms.shards.build import Build
from transforms.shards.layout import owner_path
from transforms.shards.manifest import TokenizerEntry
from transforms.shards.staged_file import digest_of

PATTERN = r"\p{L}+|\P{L}"


@pytest.mark.parametrize(
    ("flags", "prefix"), [(["--job_name=Shared"], "Shared-"), ([], "tokenmill-")]
)
def test_jobs_of_two_runs_never_have_one_name(
    flags: list[str], prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(on_beam, "engine_job", lambda result, name, options: names.append(name))
    monkeypatch.setattr(on_beam, "RemoteJob", lambda result, job: None)
    for run in ("20260101T000000.1Z-a", "20260101T000000.1Z-b"):
        pipeline = beam.Pipeline(options=PipelineOptions(flags))
        monkeypatch.setattr(pipeline, "run", lambda: None)
        work = TokenizePass(TokenizeSettings())
        running = Running(workers=0, beam_flags=tuple(flags))
        on_beam._submit(pipeline, work, [], Build.at(str(tmp_path), run), running)
        assert pipeline.options.view_as(GoogleCloudOptions).job_name == names[-1]
    assert names == [f"{prefix}20260101t000000-1z-{run}" for run in "ab"]


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


class LoggingRunner(FnApiRunner):  # type: ignore[misc]
    """Says how the caller's process is meanwhile."""

    def run_pipeline(self, *arguments: Any, **named: Any) -> Any:
        logging.getLogger("engine").error("784 lines")
        logging.getLogger("engine").info("hook %s", threading.excepthook is HOOK)
        return super().run_pipeline(*arguments, **named)


HOOK = threading.excepthook


@pytest.mark.parametrize("verbose", [False, True])
def test_what_an_engine_logs_is_for_verbose_on_the_command_line(
    verbose: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    arguments = ["--input", f"{tmp_path}/a.jsonl", "--output", f"{tmp_path}/out"]
    runner = f"--runner={__name__}.LoggingRunner"
    assert main(["build", *arguments, runner, *["--verbose"] * verbose]) == 0
    assert caplog.messages.count("784 lines") == verbose
    assert logging.root.manager.disable == 0
    assert threading.excepthook is HOOK


def test_a_call_leaves_the_logging_of_its_caller_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.HOOK", threading.excepthook)
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    with caplog.at_level(logging.INFO, "engine"):
        tokenmill.build(
            f"{tmp_path}/a.jsonl",
            tmp_path / "out",
            beam_flags=[f"--runner={__name__}.LoggingRunner"],
        )
    said = [record.getMessage() for record in caplog.records if record.name == "engine"]
    assert said == ["784 lines", "hook True"]


def test_a_thread_of_beam_that_ends_with_an_engine_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        threading, "excepthook", lambda arguments: told.append(arguments.exc_value.args[0])
    )

    def closed(by: str) -> Iterator[Any]:
        yield from ()
        raise OSError(by)

    with engine_log.silence():
        GrpcClientDataChannel(SimpleNamespace(Data=lambda _: closed("an engine")))
        threading.Thread(target=list, args=(closed("others"),), name="of others").start()
        for thread in threading.enumerate():
            if thread.name in ("read_grpc_client_inputs", "of others"):
                thread.join()
    assert told == ["others"]


@pytest.mark.parametrize(
    ("flags", "is_unsupervised"),
    [
        ("--runner=PortableRunner --job_endpoint=embed", True),
        ("--runner apache_beam.runners.portability.portable_runner.PortableRunner", True),
        ("--runner=portable --job_endpoint embed", True),
        ("--runner=PortableRunner --job_endpoint=flink:8099", False),
        ("--runner=PortableRunner --job_endpoint localhost:8099", False),
        ("--runner=FlinkRunner --job_name=PortableRunner", False),
        ("", False),
    ],
)
def test_a_job_server_of_others_may_restart_workers(flags: str, is_unsupervised: bool) -> None:
    running = Running(workers=0, beam_flags=tuple(flags.split()))
    assert running.is_unsupervised is is_unsupervised


def test_verify_has_the_options_of_a_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    tokenmill.build(f"{tmp_path}/a.jsonl", tmp_path / "out")
    tokenmill.export(tmp_path / "out", tmp_path / "train", format="megatron")
    used: list[Running] = []

    def run_pass(work: Any, units: Any, build: Build, running: Running, on_tick: Any) -> None:
        used.append(running)
        run_in_process(work, units, build, on_tick)

    monkeypatch.setattr("pipeline.verify_build.run_pass", run_pass)
    monkeypatch.setattr("pipeline.verify_export.run_pass", run_pass)
    flags = ["--runner=DirectRunner", "--stall-minutes=3", "--verbose"]
    for directory in ("out", "train"):
        assert main(["verify", str(tmp_path / directory), *flags]) == 0
    expected = Running(
        workers=0, beam_flags=("--runner=DirectRunner",), verbose=True, stall_minutes=3
    )
    assert used == [expected] * 2


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
