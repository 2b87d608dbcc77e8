"""A whole shuffled export of ten times the data needs the same memory."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from small_build import make_build

import tokenmill
from transforms.settings import TokenizeSettings

DOCUMENTS = 1500
# In a process of its own, whose peak is its own; its pages at most, so that nothing else counts.
SCRIPT = """
import sys, tokenmill
tokenmill.export(
    *sys.argv[1:3], format="bin", shuffle=1, shuffle_tokens=200_000, shard_tokens=500_000
)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def write_lines(path: Path, seed: int) -> None:
    source = random.Random(seed)
    words = [f"word{number} " for number in range(300)]
    lines = [
        json.dumps({"id": f"{seed}-{number}", "text": "".join(source.choices(words, k=500))})
        for number in range(DOCUMENTS)
    ]
    path.write_text("\n".join(lines) + "\n")


def peak_bytes(folder: Path, inputs: int) -> int:
    (folder / "in").mkdir(parents=True)
    for seed in range(inputs):
        write_lines(folder / "in" / f"{seed:02d}.jsonl", seed)
    make_build(folder / "in", folder / "build", TokenizeSettings(tokenizer="gpt2"))
    command = [sys.executable, "-c", SCRIPT, str(folder / "build"), str(folder / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(list((folder / "out/tokens/train").iterdir())) >= 3 * inputs
    return int(ended.stdout) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.slow
def test_ten_times_the_data_is_shuffled_in_the_same_memory(tmp_path: Path) -> None:
    small, large = peak_bytes(tmp_path / "small", 1), peak_bytes(tmp_path / "large", 10)
    tokens = tokenmill.open(tmp_path / "large/build").tokens
    assert tokens > 15_000_000
    # All ids once, as uint16, would be 30 MB more.
    assert large - small < 15e6, f"{small / 1e6:.0f} and {large / 1e6:.0f} MB, {tokens:,} ids"
