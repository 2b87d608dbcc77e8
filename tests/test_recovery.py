"""Builds that are killed, or meet an error, at each point where they change the disk."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_build import write_inputs

from transforms.shards.build import Build
from transforms.shards.json_records import FORMAT, canonical_json
from transforms.shards.recovery import clear_run

HERE = Path(__file__).resolve().parent
KILLS = ("kill-before", "kill-inside", "kill-after")
# `os.makedirs` asks nobody whether a folder was there before; what is cleared away at the end of a
# run is cleared by the next one where it could not be; there are two ways to link a new file.
FORGIVEN = ("mkdir", "rmdir", "unlink", "link")


def try_points(
    folder: Path, points: list[str], command_name: str = "build"
) -> list[dict[str, Any]]:
    """What fault_points.py tells of those points."""
    write_inputs(folder / "in")
    (folder / "scratch").mkdir()
    script = [sys.executable, str(HERE / "fault_points.py")]
    command = [*script, command_name, folder / "in", folder / "scratch"]
    ended = subprocess.run(
        [*map(str, command), *points],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
        env={"PYTHONPATH": f"{HERE.parent}:{HERE}", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    first, *tried = map(json.loads, ended.stdout.splitlines())
    assert len(first["points"]) > 100, "the build passes fewer points: are they still seen?"
    return tried


def check_killed(points: list[dict[str, Any]]) -> None:
    wrong = [
        point
        for point in points
        # Threads sync files: a point may be one later in one run, and past the end of another.
        if point["ended"] != ("SIGKILL" if point["name"] else "0")
        or point["resumed"] != "0"
        or point["differs"]
    ]
    assert not wrong
    assert sum(point["ended"] == "SIGKILL" for point in points) >= len(points) - 2


def check_failed(points: list[dict[str, Any]], root: Path) -> None:
    for point in points:
        said = [line for line in point["said"].splitlines() if not line.startswith("build: ")]
        assert point["resumed"] == "0", point
        assert not point["differs"], point
        if point["ended"] == "0":
            is_left = "left for the next run to clear" in point["said"]
            assert point["name"] in (*FORGIVEN, "") or (point["name"] == "remove" and is_left), (
                point
            )
        else:
            assert point["ended"] == "1", point
            assert "Traceback (most" not in point["said"], point
            assert said[0].startswith("tokenmill: "), point
            assert str(root) in point["said"], point


def test_a_build_killed_at_a_point_resumes_to_the_same_bytes_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    points = [f"{KILLS[number // 12 % 3]}:{number}" for number in range(3, 120, 12)]
    check_killed(try_points(tmp_path, points))


def test_a_watch_killed_at_a_point_resumes_to_the_same_bytes_and_a_sound_chain(
    tmp_path: Path,
) -> None:
    points = [f"{KILLS[number // 16 % 3]}:{number}" for number in range(5, 140, 16)]
    check_killed(try_points(tmp_path, points, "watch"))


def test_a_full_or_broken_disk_ends_the_build_with_the_place_and_the_next_run_resumes(
    tmp_path: Path,
) -> None:
    points = [f"{('ENOSPC', 'EIO')[number // 9 % 2]}:{number}" for number in range(2, 118, 9)]
    check_failed(try_points(tmp_path, points), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KILLS)
def test_a_build_killed_at_any_point_resumes_to_the_same_bytes(kind: str, tmp_path: Path) -> None:
    check_killed(try_points(tmp_path, [f"{kind}:all"]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ENOSPC", "EIO"])
def test_an_error_at_any_point_names_the_place_and_the_next_run_resumes(
    kind: str, tmp_path: Path
) -> None:
    check_failed(try_points(tmp_path, [f"{kind}:all"]), tmp_path)


def intent_of(build: Build, unit: str, paths: list[str]) -> None:
    folder = Path(build.staging)
    folder.mkdir(parents=True)
    content = canonical_json({"format": FORMAT, "unit": unit, "paths": paths})
    (folder / "x.intent").write_bytes(content)


def test_files_without_a_receipt_go_when_the_run_that_noted_them_is_cleared(
    tmp_path: Path,
) -> None:
    build = Build.at(str(tmp_path), "dead")
    names = ["tokens/a.jsonl.npy", "documents/a.jsonl.parquet", "rejects/a.jsonl.parquet"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    intent_of(build, "a.jsonl", names)
    clear_run(build, "dead")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "runs" / "dead").exists()


def test_files_of_a_unit_that_was_committed_stay(tmp_path: Path) -> None:
    build = Build.at(str(tmp_path), "dead")
    for name in ("tokens/a.jsonl.npy", "receipts/a.jsonl.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    intent_of(build, "a.jsonl", ["tokens/a.jsonl.npy"])
    clear_run(build, "dead")
    assert (tmp_path / "tokens/a.jsonl.npy").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "tokens/../../outside",
        "/etc/outside",
        "tokens/b.jsonl.npy",
        "manifest.json",
        "receipts/b.jsonl.json",
        "tokens/a.jsonl/b.npy",
    ],
)
def test_a_forged_intent_removes_nothing_but_files_of_its_own_unit(
    path: str, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    build = Build.at(str(root), "dead")
    intent_of(build, "a.jsonl", [path])
    lies = root / path
    if not path.startswith("/"):
        lies.parent.mkdir(parents=True, exist_ok=True)
        (root / "tokens").mkdir(exist_ok=True)
        lies.write_bytes(b"x")
    clear_run(build, "dead")
    assert path.startswith("/") or lies.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format":"tokenmill/2"}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_broken_intent_is_cleared_away_like_the_rest(content: bytes, tmp_path: Path) -> None:
    build = Build.at(str(tmp_path), "dead")
    Path(build.staging).mkdir(parents=True)
    (Path(build.staging) / "x.intent").write_bytes(content)
    clear_run(build, "dead")
    assert not Path(build.staging).exists()
