"""What the README says under "Train from it" runs as it stands there, with the trainers' packages
where they are (`make test-readers`)."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_build import make_build

from pipeline.sample import write_sample
from transforms.settings import TokenizeSettings

README = Path(__file__).resolve().parent.parent / "README.md"
SECTION = README.read_text(encoding="utf-8").partition("\n## Train from it\n")[2].split("\n## ")[0]
# What a block imports before all else that may be missing, and what it must leave behind.
BLOCKS = {"NumPy": None, "nanoGPT": "torch", "Megatron-LM": "megatron", "OLMo-core": "olmo_core"}

pytestmark = pytest.mark.filterwarnings("default")


def block_of(trainer: str) -> str:
    """The code below the line that begins with the trainer's name."""
    found = re.search(rf"^\*\*{trainer}\*\*.*?```python\n(.*?)```", SECTION, re.S | re.M)
    assert found is not None
    return found.group(1)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` builds, with a vocabulary that nanoGPT's files can hold."""
    folder = tmp_path_factory.mktemp("readme")
    write_sample(folder / "input")
    make_build(folder / "input", folder / "shards", TokenizeSettings(tokenizer="gpt2"))
    return folder / "shards"


def run(trainer: str, build: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Runs a block in a folder where the build is called `shards`; the names it leaves."""
    package = BLOCKS[trainer]
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    (folder / "shards").symlink_to(build)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(block_of(trainer), f"README.md, {trainer}", "exec"), names)
    return names


def test_each_trainer_has_about_ten_lines() -> None:
    for trainer in BLOCKS:
        lines = [line for line in block_of(trainer).splitlines() if line.strip()]
        imports = [line for line in lines if re.match("import |from ", line)]
        assert len(lines) - len(imports) <= 12, trainer
        assert max(map(len, lines)) <= 100


def test_a_loop_of_numpy_learns(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run("NumPy", build, tmp_path, monkeypatch)
    assert np.mean(names["losses"][-10:]) < 0.9 * names["losses"][0]
    assert names["state"]["next_sample"] == len(names["batches"].samples) // 8 * 8


def test_nanogpt_finds_its_files(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run("nanoGPT", build, tmp_path, monkeypatch)
    for split in ("train", "val"):
        inputs, targets = names["get_batch"](split)
        assert inputs.shape == targets.shape == (12, 64)
        assert (inputs[:, 1:] == targets[:, :-1]).all()


def test_megatron_blends_the_shards(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run("Megatron-LM", build, tmp_path, monkeypatch)
    sample = names["train"][0]
    assert sample["tokens"].shape == (128,)
    assert (sample["tokens"][1:] == sample["labels"][:-1]).all()
    assert len(names["validation"])


def test_olmo_core_reads_the_shards(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run("OLMo-core", build, tmp_path, monkeypatch)
    assert names["batch"]["input_ids"].shape == (8, 128)
