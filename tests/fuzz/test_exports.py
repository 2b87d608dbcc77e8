"""Export files from hostile hands: a difference that is named, never a traceback.

make test                                        a quick share, the same each time
pytest -m slow tests/fuzz/test_exports.py        twenty times as many
"""

import random
import shutil
from pathlib import Path

import pytest
from small_export import exported, make_source
from test_records import flipped
from test_verify_export import reseal

from pipeline.cli import main
from transforms.exports.formats import EXPORT_FORMATS
from transforms.exports.records import ExportManifest


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def check_format(name: str, source: Path, folder: Path, seeds: range) -> None:
    """Checksums are right, so that only the reader of the format can tell."""
    if name == "arrayrecord":
        pytest.importorskip("array_record")
    settings = {"sequence_length": 16} if name == "npy" else {}
    output = exported(source, folder / "out", name, **settings)
    kept = folder / "kept"
    shutil.copytree(output, kept)
    manifest = ExportManifest.from_json((output / "manifest.json").read_bytes(), "")
    paths = [file.path for shard in manifest.shards for file in (*shard.files, shard.index)]
    for seed in seeds:
        generator = random.Random(seed)
        path = output / generator.choice(paths)
        path.write_bytes(flipped(path.read_bytes(), generator))
        reseal(output)
        assert main(["verify", str(output)]) in (0, 1), (path, seed)
        shutil.copytree(kept, output, dirs_exist_ok=True)


@pytest.mark.parametrize("name", sorted(EXPORT_FORMATS))
def test_an_export_with_flipped_bytes_and_right_checksums_is_reported_not_raised(
    name: str, source: Path, tmp_path: Path
) -> None:
    check_format(name, source, tmp_path, range(8))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXPORT_FORMATS))
def test_many_exports_with_flipped_bytes(name: str, source: Path, tmp_path: Path) -> None:
    check_format(name, source, tmp_path, range(100, 250))
