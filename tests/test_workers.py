"""Local workers that end in ways a whole build can not be made to show."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_inputs import json_lines

from pipeline.errors import WorkerDiedError
from pipeline.runners import Running, local
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build


class DyingClaims(local.UnitClaims):
    """Whoever claims first is killed while it holds the lock; the others wait for the lock.

    Workers import this by its name.
    """

    def __iter__(self) -> Iterator[WorkUnit]:
        with self._claimed.get_lock():
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().__iter__()


def test_a_worker_killed_while_it_claims_a_unit_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "UnitClaims", DyingClaims)
    units = []
    for name in ("a.jsonl", "b.jsonl"):
        path = tmp_path / name
        path.write_bytes(json_lines(name, 3))
        units.append(WorkUnit(name=name, path=str(path), size_bytes=path.stat().st_size))
    raised: list[WorkerDiedError] = []

    def run_to_the_end() -> None:
        output = str(tmp_path / "out")
        try:
            build = Build.at(output, "test")
            work = TokenizePass(TokenizeSettings())
            local.run_on_workers(work, units, build, Running(workers=2), lambda _: 0)
        except WorkerDiedError as error:
            raised.append(error)

    job = threading.Thread(target=run_to_the_end, daemon=True)
    job.start()
    job.join(60)
    assert not job.is_alive()
    assert "killed by SIGKILL" in str(raised[0])
