"""Cases of torture.py: processes that are killed, disks and outputs that are full."""

import contextlib
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
from fault_points import compare, content_of
from sample_inputs import json_lines
from torture_harness import (
    REPOSITORY,
    Outcome,
    Ran,
    build,
    case,
    ended,
    is_complete,
    measured,
    simple,
    totals_of,
    write,
)


@case("standard output and standard error are /dev/full", quick=True)
def full_outputs(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", json_lines("a", 50))
    arguments = ["build", "--input", str(folder / "in/*"), "--output", str(folder / "out")]
    started = time.monotonic()
    with open("/dev/full", "wb") as full:
        code = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=REPOSITORY,
            stdout=full,
            stderr=full,
            check=False,
        ).returncode
    seconds = time.monotonic() - started
    ran = Ran(code, "", seconds, 0, totals_of(folder / "out"))
    outcome = simple(ran, code == 1 and is_complete(folder) and ran.documents == 50)
    outcome.happened = "the build is complete, and exit code 1 says that nobody could be told"
    return outcome


@case("killed at every point where a build changes the disk, and resumed")
def kills(folder: Path, quick: bool) -> Outcome:
    return at_points(folder, ["kill-before:all", "kill-after:all"], "SIGKILL")


@case("its processes killed one after another while it works, and resumed")
def process_kills(folder: Path, quick: bool) -> Outcome:
    """Each of the command, its fork server and its workers in turn, as soon as it is at work."""
    for number in range(6):
        write(folder / f"in/{number}.jsonl", json_lines(f"n{number}", 200) * (20 if quick else 200))
    clean = build(folder, "--workers", "2")
    expected = content_of(folder / "out")
    (folder / "out").rename(folder / "clean")
    arguments = ["build", "--workers", "2", "--input", str(folder / "in/*")]
    arguments += ["--output", str(folder / "out")]
    killed = 0
    generator = random.Random(20261126)
    for _ in range(2 if quick else 12):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wanted = generator.randrange(1, 4)
        family: list[psutil.Process] = []
        while process.poll() is None and len(family) <= wanted:
            with contextlib.suppress(psutil.NoSuchProcess):
                one = psutil.Process(process.pid)
                family = [one, *one.children(recursive=True)]
        with contextlib.suppress(psutil.NoSuchProcess):
            generator.choice(family or [psutil.Process(process.pid)]).kill()
            killed += 1
        process.wait(300)
    again = build(folder, "--workers", "2")
    differs = compare(content_of(folder / "out"), expected)
    outcome = simple(again, clean.code == again.code == 0 and not differs and killed > 0)
    outcome.happened = f"{killed} builds killed; after the same command again {len(differs)} differ"
    return outcome


@case("every such call fails: no space left, input/output error")
def full_disk(folder: Path, quick: bool) -> Outcome:
    return at_points(folder, ["ENOSPC:all", "EIO:all"], "1")


def at_points(folder: Path, points: list[str], expected: str) -> Outcome:
    from small_build import write_inputs

    write_inputs(folder / "in")
    (folder / "scratch").mkdir()
    ran = measured(
        [
            sys.executable,
            "tests/fault_points.py",
            "build",
            str(folder / "in"),
            str(folder / "scratch"),
        ],
        points,
    )
    tried = [json.loads(line) for line in ran.said.splitlines()[1:]]
    met = [point for point in tried if point["ended"] == expected]
    wrong = [point for point in tried if point["resumed"] != "0" or point["differs"]]
    return Outcome(
        not wrong and bool(met),
        f"{len(met)} of {len(tried)} builds ended by it; after the same command again "
        f"{len(wrong)} differ",
        "0 documents",
        ran,
    )


@case("a disk of 2 MB", quick=True)
def small_disk(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", json_lines("a", 60_000))
    (folder / "disk").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder / "disk"],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        return Outcome(True, "skipped: no right to mount a disk here", "", Ran(0, "", 0, 0))
    try:
        (folder / "out").symlink_to(folder / "disk/out")
        (folder / "disk/out").mkdir()
        ran = build(folder)
        subprocess.run(["mount", "-o", "remount,size=200m", folder / "disk"], check=True)
        again = build(folder)
    finally:
        subprocess.run(["umount", folder / "disk"], check=True)
    is_kept = ran.code == 1 and re.search(r"No space.*out|out.*No space", ran.line()) is not None
    is_kept &= again.code == 0
    outcome = simple(ran, is_kept, "0 documents")
    outcome.happened = f"failed, names the place; with more room: {ended(again)}"
    return outcome
