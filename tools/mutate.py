"""Would the tests notice? Single changes that a reviewer would call bugs, made one at a time.

    python -m tools.mutate --count 150 --seed 1       what `make mutate` runs

    a seeded sample of changes ─► a scratch copy of the tree ─► pytest -x on the files that cover it
                                       (fast tests first) └► noticed, hung, or survived

Python is changed in its syntax tree (`<` to `<=`, `and` to `or`, a call left out ...), C++ by its
operators, with a rebuild each. The tests that noticed are run once more without any change: one
that fails then, too, has noticed nothing. The table goes to docs/reliability.md. A change that
makes no difference is listed with the reason in EQUIVALENT, and counts as neither.

It takes an hour or more. With `--journal FILE` each result is kept, and the same command goes on
after an interruption; what survived is tried again, since tests may have been added.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tools.mutations import REPOSITORY, Change, cpp_changes, python_changes
from tools.mutations_covered import tests_of

REPORT = REPOSITORY / "docs/reliability.md"
PACKAGES = ("pipeline", "transforms", "tokenizer")
SKIPPED = ("__init__.py", "__main__.py", "reference.py", "sample.py", "preload.py")


def sample(count: int, native: int, seed: int, only: str) -> list[Change]:
    """A seeded sample, the same for the same code: each module by how much of it can be changed."""
    generator = random.Random(seed)
    modules = [
        path
        for package in PACKAGES
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if path.name not in SKIPPED
    ]
    python = [change for path in modules for change in python_changes(path)]
    cpp = [
        change
        for path in sorted((REPOSITORY / "tokenizer/native").glob("*.cc"))
        for change in cpp_changes(path)
    ]
    chosen = generator.sample(python, min(count - native, len(python)))
    chosen += generator.sample(cpp, min(native, len(cpp)))
    generator.shuffle(chosen)
    return [change for change in chosen if re.search(only, change.path)]


def copy_tree(folder: Path) -> Path:
    """The files that git knows, the built extension, and bytecode that knows what it is made of."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    built = [str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "tokenizer").glob("*.so")]
    for name in [*filter(None, listed.stdout.decode().split("\0")), *built]:
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    by_content = ["--invalidation-mode", "checked-hash", "-q", "."]
    subprocess.run([sys.executable, "-m", "compileall", *by_content], cwd=folder, check=True)
    return folder


@dataclass(frozen=True)
class Result:
    """What became of a change. by: the test that noticed it; empty for the compiler, or nobody."""

    change: Change
    outcome: str
    by: str = ""


def attempt(change: Change, tree: Path, timeout: float) -> Result:
    """Makes one change in a tree of its own, runs the tests that cover it, and takes it back."""
    path = tree / change.path
    sound = path.read_bytes()
    path.write_bytes(sound[: change.start] + change.new.encode() + sound[change.stop :])
    built = {file: file.read_bytes() for file in (tree / "tokenizer").glob("*.so")}
    try:
        if change.path.endswith(".cc"):
            build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
            if _run(build, tree, 600)[0] != 0:
                return Result(change, "noticed")  # by the compiler
        code, said = _run([*_PYTEST, "-x", *tests_of(change.path, tree)], tree, timeout)
        if code in (None, -signal.SIGXCPU):
            return Result(change, "hung")
        if code in (0, _NO_TESTS):
            return Result(change, "survived")
        return Result(change, "noticed", next(iter(_FAILED.findall(said)), ""))
    finally:
        path.write_bytes(sound)
        for file, content in built.items():
            if file.read_bytes() != content:
                file.write_bytes(content)


_PYTEST = (
    *(sys.executable, "-m", "pytest", "-rfE", "--tb=no"),
    *("-p", "no:cacheprovider", "-p", "tools.fast_first"),
)
_NO_TESTS = 5
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::\w+)?)", re.MULTILINE)


def fail_without_a_change(tests: set[str], tree: Path, timeout: float) -> set[str]:
    """Those of the tests that fail on the sound tree: what they noticed was something else."""
    if not tests:
        return set()
    _, said = _run([*_PYTEST, *sorted(tests)], tree, timeout)
    return set(_FAILED.findall(said))


def _run(command: list[str], tree: Path, timeout: float) -> tuple[int | None, str]:
    """The exit code, None when it took too long, and what was printed.

    A process has four minutes of processor time, which is over twice what the tests of a module
    take, and 16 GB of addresses: a loop without an end is found out on a busy machine, too.
    """
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKENMILL_SHARED_DATA": "/nowhere",  # real files take minutes
        "CFLAGS": "-O1",
    }
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_limit,
        )
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that it has left, too
        process.wait()
        output.seek(0)
        return code, output.read().decode(errors="replace")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (240, 250))
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))


class Journal:
    """Results as they come, a line of JSON each; none where there is no path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.known: dict[tuple[str, int], tuple[str, str]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                change, at, outcome, by = json.loads(line)
                self.known[change, at] = outcome, by

    def find(self, change: Change) -> Result | None:
        """What became of a change in an earlier run, unless it survived then."""
        outcome, by = self.known.get((str(change), change.line), ("survived", ""))
        return None if outcome == "survived" else Result(change, outcome, by)

    def add(self, result: Result) -> None:
        if self._path is not None:
            line = [str(result.change), result.change.line, result.outcome, result.by]
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--native", type=int, default=15, help="how many of them in C++")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin none after that")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for the tests of one")
    parser.add_argument("--jobs", type=int, default=2, help="changes that are tried at a time")
    parser.add_argument("--only", default="", metavar="REGEX", help="paths to change")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="keep results, and go on")
    parser.add_argument("--no-report", action="store_true")
    options = parser.parse_args()
    changes = sample(options.count, options.native, options.seed, options.only)
    until = time.monotonic() + 60 * options.minutes
    journal = Journal(options.journal)
    with tempfile.TemporaryDirectory(prefix="tokenmill-mutate-") as scratch:
        os.environ.setdefault("TOKENMILL_DURATIONS", f"{scratch}/durations.json")
        trees: Queue[Path] = Queue()
        for number in range(options.jobs):
            trees.put(copy_tree(Path(scratch, str(number))))

        def try_one(change: Change) -> Result | None:
            result = journal.find(change)
            if result is None and time.monotonic() < until:
                tree = trees.get()
                try:
                    result = attempt(change, tree, options.timeout)
                finally:
                    trees.put(tree)
                journal.add(result)
                print(f"{result.outcome:9} {change.line} {change}  {result.by}", flush=True)
            return result

        with ThreadPoolExecutor(options.jobs) as pool:
            tried = [one for one in pool.map(try_one, changes) if one is not None]
        noticed_by = {one.by for one in tried if one.by}
        unsound = fail_without_a_change(noticed_by, trees.get(), 10 * options.timeout)
    for test in sorted(unsound):
        print(f"{test} fails without any change", flush=True)
    tried = [Result(one.change, "survived", one.by) if one.by in unsound else one for one in tried]
    text = table(tried, options.seed, len(changes))
    print(text)
    if not options.no_report:
        write_section("mutate", text)


def table(tried: list[Result], seed: int, count: int) -> str:
    """The results as Markdown: a line a package, then each survivor."""
    said = f"{count} changes" if len(tried) == count else f"{len(tried)} changes of {count}"
    lines = [
        f"{said}, seed {seed}. A change after which the tests did not end counts as noticed.",
        "",
        "| place | tried | no difference | noticed | survived | share |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    places = ["pipeline/", "transforms/reading/", "transforms/", "tokenizer/native/", "tokenizer/"]
    left = list(tried)
    rows = []
    for place in places:
        rows.append((place, [one for one in left if one.change.path.startswith(place)]))
        left = [one for one in left if not one.change.path.startswith(place)]
    for name, those in [*rows, ("all", tried)]:
        survived = sum(one.outcome == "survived" for one in those)
        noticed = len(those) - survived
        alike = sum(one.outcome == "survived" and bool(one.change.equivalence) for one in those)
        counted = len(those) - alike
        share = f"{noticed / counted:.0%}" if counted else ""
        lines.append(
            f"| {name} | {len(those)} | {alike} | {noticed} | {survived - alike} | {share} |"
        )
    survivors = [one.change for one in tried if one.outcome == "survived"]
    if survivors:
        lines += ["", "| survivor | line | why |", "| --- | ---: | --- |"]
    for change in sorted(survivors, key=str):
        shown = str(change).replace("|", chr(92) + "|")
        lines.append(f"| {shown} | {change.line} | {change.why_unnoticed} |")
    return "\n".join(lines)


def section(name: str) -> str:
    """What stands between the markers in docs/reliability.md."""
    page = REPORT.read_text(encoding="utf-8")
    return page.partition(f"<!-- {name} -->")[2].partition(f"<!-- end of {name} -->")[0].strip()


def write_section(name: str, text: str) -> None:
    """Puts a table between its markers in docs/reliability.md."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    page = REPORT.read_text(encoding="utf-8")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    REPORT.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
