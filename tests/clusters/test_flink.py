"""What only Flink has: TaskManagers that die and are replaced."""

from pathlib import Path

import pytest
from commands import build_arguments, finish, start, wait_for
from engines import Engine
from flink_cluster import FlinkCluster
from sample_inputs import output_bytes
from worker_faults import ask

pytestmark = pytest.mark.clusters


def test_a_killed_task_manager_is_replaced_and_the_job_ends_with_the_same_bytes(
    engine: Engine, inputs: Path, vocabulary: Path, at_home: Path, tmp_path: Path, faults: Path
) -> None:
    if not isinstance(engine, FlinkCluster):
        pytest.skip("of Flink alone")
    ask(faults, "orphan", "e.txt")
    arguments = build_arguments(inputs, vocabulary, tmp_path / "out")
    process = start(engine, *arguments, cwd=tmp_path, faults=faults)
    wait_for(lambda: bool(engine.dead_task_managers()), process)
    (dead,) = engine.dead_task_managers()
    engine.start_task_manager(dead)
    ended = finish(process)
    assert ended.returncode == 0, ended.stderr
    assert output_bytes(tmp_path / "out") == output_bytes(at_home)
    committed = set((faults / "committed").read_text().split())
    after = (faults / "units").read_text().partition("--- killed")[2].split()
    assert committed
    assert not committed & set(after), "a unit that was committed was done again"
