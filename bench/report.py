"""Results of a measurement: the machine it ran on, tables to read, JSON to keep."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"

_PACKAGES = (
    "tokenmill",
    "apache-beam",
    "awkward",
    "gigatoken",
    "isal",
    "msgspec",
    "numpy",
    "pyarrow",
    "tiktoken",
    "zstandard",
)


def machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that names the machine."""
    return {
        "cpu": _first_value("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints columns, the first one to the left, the others to the right."""
    cells = [list(map(str, row)) for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(padded).rstrip(), flush=True)


def write_results(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Writes `<name>.json` with the facts of the machine beside the content."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), **content}, indent=2)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"written: {name}.json", flush=True)


def kept_results(folder: Path, name: str) -> dict[str, Any]:
    """What `<name>.json` holds; nothing where there is none."""
    path = folder / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def keep_results(folder: Path, name: str, section: str, key: str, content: dict[str, Any]) -> None:
    """Puts the content into a section of `<name>.json` and leaves all else of it as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    results = kept_results(folder, name)
    results.setdefault(section, {})[key] = content
    (folder / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"written: {name}.json, {section}: {key}", flush=True)


def _first_value(path: str, key: str) -> str | None:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(key))
    return next(values, None)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
