"""Would the tests notice? Single changes that a reviewer would call bugs, made one at a time.

    python tools/mutate.py --count 150 --seed 1        what `make mutate` runs

    a seeded sample of changes ─► a scratch copy of the tree ─► pytest -x on the files that cover it
                                                              └► noticed, hung, or survived

Python is changed in its syntax tree (`<` to `<=`, `and` to `or`, a call left out ...), C++ by its
operators, with a rebuild each. The tests that noticed are run once more without any change: one
that fails then, too, has noticed nothing. The table goes to docs/reliability.md. A change that
makes no difference is listed with the reason in EQUIVALENT, and counts as neither.

It takes an hour or more. With `--journal FILE` each result is kept, and the same command goes on
after an interruption; what survived is tried again, since tests may have been added.
"""

import argparse
import ast
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

REPOSITORY = Path(__file__).resolve().parent.parent
REPORT = REPOSITORY / "docs/reliability.md"
PACKAGES = ("pipeline", "transforms", "tokenizer")
SKIPPED = ("__init__.py", "__main__.py", "reference.py", "sample.py", "preload.py")

# Which tests cover a module: the first line whose prefix fits, and always those named after it.
COVERING = {
    "pipeline/lease.py": "lease recovery",
    "pipeline/plan.py": "resume ownership",
    "pipeline/inputs.py": "inputs plan ownership",
    "pipeline/books.py": "books build",
    "pipeline/failures.py": "failures plan",
    "pipeline/config.py": "books build",
    "pipeline/runners/remote_job.py": "failures lease stores_commands",
    "pipeline/runners/": "failures workers run_pass build",
    "pipeline/commands/build.py": "ownership resume books build",
    "pipeline/commands/verify.py": "verify retokenize inputs",
    "pipeline/commands/inspect.py": "inspect",
    "pipeline/commands/export.py": "export_commands export",
    "pipeline/commands/find.py": "find",
    "pipeline/document_search.py": "find inspect",
    "pipeline/tokenizers.py": "verify hub inspect",
    "pipeline/preview.py": "inspect inputs",
    "pipeline/token_view.py": "inspect",
    "pipeline/token_text.py": "inspect find",
    "pipeline/verify_": "verify verify_export retokenize",
    "pipeline/export_": "export_commands export verify_export",
    "pipeline/shuffling.py": "shuffle export",
    "pipeline/calls.py": "tokenmill export_commands",
    "pipeline/": "cli progress plan build books",
    "transforms/shards/mark.py": "ownership fuzz/records",
    "transforms/shards/receipt.py": "resume fuzz/records books verify",
    "transforms/shards/json_records.py": "fuzz/records ownership resume",
    "transforms/shards/index.py": "unit_writer verify",
    "transforms/shards/formats/": "unit_writer verify",
    "transforms/shards/unit_names.py": "inputs",
    "transforms/shards/layout.py": "inputs recovery ownership resume",
    "transforms/shards/input_versions.py": "resume",
    "transforms/shards/recovery.py": "recovery lease staged_file",
    "transforms/shards/staged_file.py": "staged_file recovery",
    "transforms/shards/build.py": "staged_file failures lease inputs recovery",
    "transforms/tokenize_shards.py": "run_pass",
    "transforms/shards/unit_writer.py": "unit_writer build verify",
    "transforms/shards/": "staged_file unit_writer resume ownership verify hub",
    "transforms/passes/tokenize.py": "resume unit_writer failures hub",
    "transforms/passes/work_pass.py": "failures run_pass",
    "transforms/passes/export.py": "export sequences",
    "transforms/passes/scatter.py": "shuffle export",
    "transforms/passes/verify_export.py": "verify_export",
    "transforms/passes/": "verify verify_limits retokenize fuzz/records",
    "transforms/reading/raw_input.py": "raw_input reading_streams",
    "transforms/reading/parquet": "reading_parquet* reading_field_sample reading_coverage",
    "transforms/reading/thrift": "reading_parquet*",
    "transforms/reading/json_": "reading_json_lines reading_json_objects reading_field_sample",
    "transforms/reading/gzip_": "reading_streams reading_coverage reading_record_lengths",
    "transforms/reading/zstd_": "reading_streams reading_coverage reading_record_lengths",
    "transforms/reading/byte_stream": "reading_streams reading_coverage reading_web_archive",
    "transforms/reading/record_": "reading_record_lengths reading_web_archive reading_coverage",
    "transforms/reading/web_": "reading_record_lengths reading_web_archive reading_coverage",
    "transforms/reading/h": "reading_payloads reading_web_archive",
    "transforms/reading/": "reading_* build",
    "transforms/stores/object_": "stores stores_commands",
    "transforms/stores/hadoop": "hadoop_store",
    "transforms/stores/hub": "web_stores hub",
    "transforms/stores/web_": "web_stores",
    "transforms/stores/read_only": "web_stores stores",
    "transforms/stores/": "filesystem staged_file stores",
    "transforms/exports/formats/": "export_formats verify_export export",
    "transforms/exports/index.py": "export_formats export",
    "transforms/exports/": "export sequences splits mixtures shuffle verify_export",
    "transforms/token_coders.py": "shuffle run_pass",
    "transforms/filesystem.py": "filesystem staged_file",
    "transforms/apply_merge_rules.py": "apply_merge_rules",
    "transforms/": "run_pass build apply_merge_rules books",
    "tokenizer/split/": "split_* native_split unicode_properties",
    "tokenizer/vocabularies/": "vocabulary tokenizer_json tekken hub tokenizer",
    "tokenizer/text/": "normalizers tokenizer_json tokenizer",
    "tokenizer/native/": "native_split tokenizer vocabulary split_table",
    "tokenizer/": "tokenizer vocabulary tokenizer_json",
}
# What a change that makes no difference begins with, and why it makes none.
EQUIVALENT: dict[str, str] = {
    "pipeline/lease.py: `1` -> `2` in `self._beat": "a beat that is another will do",
    "transforms/exports/formats/arrayrecord.py: `self._writer.close()` -> `pass`": (
        "whoever calls `finish` calls `close` next, before the file is looked at"
    ),
    "transforms/reading/json_lines.py: `2` -> `3` in `if len(piece)": (
        "two ways to one result, and when to take which"
    ),
    "transforms/reading/json_lines.py: `len(piece) - begin` -> `(len(piece) + begin)`": (
        "two ways to one result, and when to take which"
    ),
    "transforms/reading/parquet.py: `2 * settings.batch_bytes`": "how much is decoded at a time",
    "transforms/reading/parquet_pages.py: `page is None and wanted <=": (
        "reads on after a header that is known, and finds the same"
    ),
    "transforms/reading/record_heads.py: `offset // _BYTES_A_STEP`": (
        "a limit of time alone, which honest files never come near"
    ),
    "transforms/reading/record_window.py: `0` -> `1` in `bare =": (
        "an empty line is never the first thing in the window"
    ),
    'transforms/reading/thrift_compact.py: `raise ValueError(f"a field of type': (
        "None can not be unpacked: the same refusal by another error"
    ),
    "transforms/stores/beam_store.py: `not has_wildcard(pattern)`": "the same files, by a listing",
    "transforms/stores/object_store.py: `not has_wildcard(pattern)`": "the same files, by a listing",
    "tokenizer/split/fast/composition.py: `0` -> `1` in `columns =": "all rows are of one length",
    "tokenizer/native/encoder.cc: `if (token.size() > ShortKey": (
        "which of two tables keeps a token of 15 bytes"
    ),
    "tokenizer/native/pretoken_cache.cc: `return pretoken.size() <= ShortKey": (
        "which of two kinds of key a pretoken of 15 bytes has"
    ),
    "tokenizer/native/binding.cc: `if (size + TokenBytes::kAtOnce > sizeof few)": (
        "which of two buffers holds a text of just that length"
    ),
    "tokenizer/native/split.cc: `while (count <= kBlockPretokens - 65": (
        "how many pretokens are split at a time"
    ),
    "tokenizer/native/vocabulary.cc: `is_in_order_ &= result > std::max": (
        "no merge makes one of its own parts"
    ),
}


@dataclass(frozen=True)
class Change:
    """One change: bytes start to stop of a file become `new`. before, after, source: to show."""

    path: str
    line: int
    start: int
    stop: int
    new: str
    before: str
    after: str
    source: str

    @property
    def equivalence(self) -> str:
        """Why it makes no difference; empty where it does."""
        return next((why for start, why in EQUIVALENT.items() if str(self).startswith(start)), "")

    def __str__(self) -> str:
        change = f"{self.path}: `{_short(self.before)}` -> `{_short(self.after)}`"
        return change if self.source in self.before else f"{change} in `{_short(self.source)}`"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- changes of Python ----------------------------------------------------------------------------

_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult}


def python_changes(path: Path) -> Iterator[Change]:
    """Every change of a module, one syntax node each; messages and annotations are left alone."""
    source = path.read_text(encoding="utf-8")
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    name = path.relative_to(REPOSITORY).as_posix()
    for node in _nodes(ast.parse(source)):
        new = _changed(node)
        if new is None:
            continue
        start = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        stop = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        old = source.encode()[start:stop].decode()
        line: int = node.lineno  # type: ignore[attr-defined]
        text = lines[line - 1].decode().strip()
        yield Change(name, line, start, stop, new, old, new, text)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases"):
            continue
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift | ast.RShift):
            continue  # sizes of buffers
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.ImportFrom | ast.Import | ast.Assert):
                continue
            if isinstance(child, ast.Raise):
                yield child
                continue  # what a message says is for people to judge
            yield child
            yield from _nodes(child)


def _changed(node: ast.AST) -> str | None:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _COMPARISONS:
            new = ast.Compare(node.left, [_COMPARISONS[type(operator)]()], node.comparators)
            return f"({ast.unparse(new)})"
        case ast.BoolOp(op=operator):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            return f"({ast.unparse(ast.BoolOp(other, node.values))})"
        case ast.UnaryOp(op=ast.Not()):
            return f"({ast.unparse(node.operand)})"
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS:
            new_operation = ast.BinOp(node.left, _OPERATORS[type(operator)](), node.right)
            return f"({ast.unparse(new_operation)})"
        case ast.Constant(value=bool() as value):
            return str(not value)
        case ast.Constant(value=int() as value) if value <= 64:
            return str(value + 1)
        case ast.Expr(value=ast.Call()) | ast.Raise():
            return "pass"
        case ast.Break():
            return "continue"
        case ast.Continue():
            return "break"
    return None


# -- changes of C++ -------------------------------------------------------------------------------

_CPP = [
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r" != ", " == "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r" \+ 1\b", " + 0"),
    (r" - 1\b", " - 0"),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r"\bbreak;", ";"),
]


def cpp_changes(path: Path) -> Iterator[Change]:
    """Every change of an operator, outside comments."""
    name = path.relative_to(REPOSITORY).as_posix()
    at = 0
    for number, line in enumerate(path.read_bytes().decode().splitlines(keepends=True), 1):
        code = line.split("//")[0]
        if not line.lstrip().startswith(("#", "//", "*", "template", "static_assert")):
            for pattern, new in _CPP:
                for found in re.finditer(pattern, code):
                    start = at + len(line[: found.start()].encode())
                    stop = start + len(found.group().encode())
                    after = (line[: found.start()] + new + line[found.end() :]).strip()
                    before = line.strip()
                    yield Change(name, number, start, stop, new, before, after, before)
        at += len(line.encode())


# -- trying a change ------------------------------------------------------------------------------


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


def tests_of(path: str, tree: Path) -> list[str]:
    """The test files that cover a module, those of its own name first."""
    own = Path(path).stem
    names = next((value for prefix, value in COVERING.items() if path.startswith(prefix)), "build")
    files: list[str] = []
    for name in [own, *names.split()]:
        folder, _, stem = name.rpartition("/")
        pattern = f"tests/{folder}/test_{stem}.py" if folder else f"tests/test_{stem}.py"
        for found in sorted(tree.glob(pattern)):
            relative = found.relative_to(tree).as_posix()
            if relative not in files:
                files.append(relative)
    return files


def copy_tree(folder: Path) -> Path:
    """The files that git knows, and the built extension."""
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
        if code is None:
            return Result(change, "hung")
        if code in (0, _NO_TESTS):
            return Result(change, "survived")
        return Result(change, "noticed", next(iter(_FAILED.findall(said)), ""))
    finally:
        path.write_bytes(sound)
        for file, content in built.items():
            if file.read_bytes() != content:
                file.write_bytes(content)


_PYTEST = (sys.executable, "-m", "pytest", "-rfE", "--tb=no", "-p", "no:cacheprovider")
_NO_TESTS = 5
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::\w+)?)", re.MULTILINE)


def fail_without_a_change(tests: set[str], tree: Path, timeout: float) -> set[str]:
    """Those of the tests that fail on the sound tree: what they noticed was something else."""
    if not tests:
        return set()
    _, said = _run([*_PYTEST, *sorted(tests)], tree, timeout)
    return set(_FAILED.findall(said))


def _run(command: list[str], tree: Path, timeout: float) -> tuple[int | None, str]:
    """The exit code, None when it took too long, and what was printed."""
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
        )
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that it has left, too
        process.wait()
        output.seek(0)
        return code, output.read().decode(errors="replace")


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
        lines.append(f"| {shown} | {change.line} | {change.equivalence} |")
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
