"""The arrows run one way: pipeline -> transforms -> tokenizer -> native core."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("tokenizer", "transforms", "pipeline", "tokenmill")
CODE = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
EVERYTHING = CODE + sorted(
    path for folder in ("tests", "bench", "tools") for path in (REPOSITORY / folder).rglob("*.py")
)

# What a package may not import: what lies above it, and what it must know nothing of.
FORBIDDEN = {
    "tokenizer": {"transforms", "pipeline", "tokenmill", "apache_beam", "argparse"},
    "transforms": {"pipeline", "tokenmill", "argparse"},
    "pipeline": {"tokenmill"},
    "tokenmill": set[str](),
}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports, anywhere in it; for `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_module_imports_nothing_that_lies_above_it(path: Path) -> None:
    package = path.relative_to(REPOSITORY).parts[0]
    above = {name for name in imports_of(path) if name.split(".")[0] in FORBIDDEN[package]}
    assert not above


@pytest.mark.parametrize("package", ["tokenizer", "transforms"])
def test_only_the_pipeline_reads_the_command_line(package: str) -> None:
    for path in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and node.attr == "argv"), name_of(path)
            assert not (isinstance(node, ast.alias) and node.name == "argv"), name_of(path)


def test_the_reference_encoder_is_imported_by_tests_and_bench_alone() -> None:
    importers = {
        name_of(path).split("/")[0]
        for path in EVERYTHING
        if "tokenizer.reference" in set(imports_of(path))
    }
    assert importers <= {"tests", "bench"}
    assert "tests" in importers


def test_imports_are_absolute() -> None:
    for path in EVERYTHING:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), name_of(path)


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {part for path in EVERYTHING for part in path.relative_to(REPOSITORY).parts}
    assert not {part.removesuffix(".py").lower() for part in parts} & VAGUE_NAMES


def test_every_module_says_what_it_is() -> None:
    for path in EVERYTHING:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not tree.body or ast.get_docstring(tree), name_of(path)


def test_the_version_stands_in_one_place() -> None:
    metadata = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.+)"$', metadata, re.MULTILINE)
    for path in [*CODE, REPOSITORY / "setup.py"]:
        source = path.read_text(encoding="utf-8")
        assert version not in source, name_of(path)
        assert not re.search(r"^__version__ *=", source, re.MULTILINE), name_of(path)


def test_what_the_page_on_reliability_names_is_there() -> None:
    page = (REPOSITORY / "docs/reliability.md").read_text(encoding="utf-8")
    promises = page.partition("## Promises")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([\w/*]+\.(?:py|h))`", promises))
    assert len(named) > 50
    folders = ("pipeline", "transforms", "tokenizer", "tests")
    missing = [
        name
        for name in named
        if not any(next((REPOSITORY / folder).rglob(name), None) for folder in folders)
    ]
    assert not missing


def test_the_packages_are_the_ones_that_are_installed() -> None:
    folders = {path.parent.relative_to(REPOSITORY).as_posix() for path in CODE}
    setup = ast.parse((REPOSITORY / "setup.py").read_text(encoding="utf-8"))
    (listed,) = (
        ast.literal_eval(node.value)
        for node in ast.walk(setup)
        if isinstance(node, ast.keyword) and node.arg == "packages"
    )
    assert {name.replace(".", "/") for name in listed} == folders
