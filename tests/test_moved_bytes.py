"""The bench counts each byte that a command moves once, whatever processes it is of."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
READS = "import sys; open(sys.argv[1], 'rb').read()"
READS_IN_A_CHILD = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {READS!r}, sys.argv[1]], check=True)
"""
LEAVES_A_CHILD = """
import os, sys
if os.fork() == 0:
    os.setsid()
    open(sys.argv[1], "rb").read()
"""


def moved(*command: str) -> int:
    arguments = [sys.executable, "-m", "bench.moved_bytes", *command]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="counters of Linux")
@pytest.mark.parametrize("code", [READS_IN_A_CHILD, LEAVES_A_CHILD], ids=["ended", "left"])
def test_what_processes_of_a_command_read_is_counted_once(code: str, tmp_path: Path) -> None:
    large, empty = tmp_path / "large", tmp_path / "empty"
    large.write_bytes(bytes(20_000_000))
    empty.write_bytes(b"")
    more = moved(sys.executable, "-c", code, str(large))
    more -= moved(sys.executable, "-c", code, str(empty))
    assert more == pytest.approx(20_000_000, rel=0.05)
