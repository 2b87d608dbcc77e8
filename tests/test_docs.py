"""What the docs name is there: files, modules, and what is in them."""

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_architecture import CODE, PACKAGES, REPOSITORY

from bench.readme import with_figures

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
# Beside our own modules of these names: fields of records, and modules of others.
_FIELDS = {"tokenizer", "settings", "read", "shards", "input", "documents", "rejects", "receipt"}
_FILE = re.compile(r"[\w/.-]+\.(?:py|pyi|h|cc|md|mk|toml)(?!\w)")
_NAME = re.compile(r"(?:\w+/)*\w+(?:\.\w+)+")


def quoted(page: Path) -> list[str]:
    """What stands in backquotes, outside of blocks."""
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    return re.findall(r"`([^`\n]+)`", text)


@cache
def all_files() -> list[str]:
    """Paths below the repository, each with a slash before it."""
    folders = (*PACKAGES, "tests", "bench", "tools", "docs")
    found = [path for folder in folders for path in (REPOSITORY / folder).rglob("*")]
    found += REPOSITORY.glob("*")
    return [f"/{path.relative_to(REPOSITORY).as_posix()}" for path in found]


def imported(path: Path) -> ModuleType:
    name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    return importlib.import_module(name.removesuffix(".__init__"))


def has(owner: Any, name: str) -> bool:
    """Whether a module or a class has that name, in itself or in what its code assigns."""
    first, _, rest = name.partition(".")
    if hasattr(owner, first):
        return not rest or has(getattr(owner, first), rest)
    if isinstance(owner, ModuleType):
        return False
    fields = {field for base in owner.__mro__ for field in getattr(base, "__annotations__", {})}
    return not rest and (first in fields or f"self.{first} =" in inspect.getsource(owner))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    missing = [
        name
        for text in quoted(page)
        for name in _FILE.findall(text)
        if "*" not in text and "<" not in text
        if not any(file.endswith(f"/{name}") for file in all_files())
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_name_of_a_module_or_class_that_a_page_names_is_there(page: Path) -> None:
    modules: dict[str, list[Path]] = {}
    classes: dict[str, list[Path]] = {}
    for path in CODE:
        modules.setdefault(path.stem, []).append(path)
        for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            classes.setdefault(name, []).append(path)
    missing = []
    for text in quoted(page):
        name = text.partition("(")[0]
        if not _NAME.fullmatch(name) or _FILE.fullmatch(name) or name.endswith(".json"):
            continue
        owner, _, inner = name.rpartition("/")[2].partition(".")
        if owner in classes:
            found = [getattr(imported(path), owner) for path in classes[owner]]
        elif owner not in _FIELDS:
            found = [imported(path) for path in modules.get(owner, [])]
        else:
            continue
        if found and not any(has(one, inner) for one in found):
            missing.append(text)
    assert not missing


def test_figures_of_the_readme_are_those_that_were_measured() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert with_figures(text, REPOSITORY / "bench" / "results") == text
    assert text.count("<!-- figures: ") > 2
    spoilt = text.replace("| cl100k_base |", "| other |")
    assert with_figures(spoilt, REPOSITORY / "bench" / "results") == text
