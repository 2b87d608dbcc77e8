"""Text that does not repeat, made from Debian's packages: `python -m bench.debian FOLDER`.

    kernel          the C sources of Linux                          one language, much markup
    help            LibreOffice's help pages in some 35 languages   many scripts, mixed
    documentation   the manuals of Python, PostgreSQL, Boost, ...   English prose, tables, code
    pages           the HTML of `help` and `documentation`          for WARC

Packages are downloaded and unpacked, never installed. Each text becomes files
FOLDER/<text>/NNNNN.jsonl.zst of about 25 MB of text, one line a file of the packages:
{"id": package and path, "text": text or HTML}. Files come in the order of a hash of their ids, so
that languages are mixed as on the web. Where there is no apt-get the command says so and ends with
exit code 0.
"""

import argparse
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import zstandard

_KERNEL = r"linux-source-\d+\.\d+"
_HELP = r"libreoffice-help-(?!common)[a-z-]+"
_MANUALS = (
    r"python3\.\d+-doc",
    r"postgresql-doc-\d+",
    r"libboost1\.\d+-doc",
    r"openjdk-\d+-doc",
    r"python-django-doc",
    r"octave-doc",
    r"debian-handbook",
    r"gnome-user-docs",
    r"rust-doc",
)
_TEXTS = ("kernel", "help", "documentation", "pages")
_SHARD_BYTES = 25_000_000
_MAX_FILE_BYTES = 1_000_000  # a larger one is a table that a program wrote
_MIN_CHARS = 200
_MARKUP = re.compile(r"(?s)<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>")
_BLANK_LINES = re.compile(r"\n\s*\n+")


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.debian", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=400, help="of each text; default: 400")
    options = parser.parse_args()
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        print("skipped: no apt-get here; these texts are made from Debian's packages")
        return 0
    max_bytes = options.megabytes * 1_000_000
    for text in _TEXTS:
        folder = options.folder / text
        if folder.is_dir():
            print(f"{text}: there already")
            continue
        folder.with_suffix(".part").mkdir(parents=True, exist_ok=True)
        size = _write(_documents(text), folder.with_suffix(".part"), max_bytes)
        folder.with_suffix(".part").rename(folder)
        print(f"{text}: {size / 1e6:,.0f} MB", flush=True)
    return 0


def _documents(text: str) -> Iterator[tuple[str, str]]:
    """Id and text of each file, in any order."""
    if text == "kernel":
        (package,) = _packages([_KERNEL])[-1:]
        for name, content in _members(package, nested=".tar.xz"):
            if name.endswith((".c", ".h", ".S", ".rst")):
                yield f"{package}/{name}", content
        return
    patterns = {"help": [_HELP], "documentation": _MANUALS, "pages": [_HELP, *_MANUALS]}[text]
    for package in _packages(patterns):
        for name, content in _members(package):
            if name.endswith((".html", ".htm")):
                yield f"{package}/{name}", content if text == "pages" else _plain(content)


def _packages(patterns: Sequence[str]) -> list[str]:
    """The packages whose whole names match, of each pattern the last one, or for help all."""
    names = subprocess.run(
        ["apt-cache", "pkgnames"], capture_output=True, text=True, check=True
    ).stdout.split()
    found = []
    for pattern in patterns:
        matches = sorted(name for name in names if re.fullmatch(pattern, name))
        if not matches:
            print(f"skipped: no package {pattern}; has `apt-get update` been run?")
        found += matches if pattern == _HELP else matches[-1:]
    return found


def _members(package: str, nested: str = "") -> Iterator[tuple[str, str]]:
    """Path and content of a package's files that are UTF-8, of the archive in it if `nested`."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        subprocess.run(
            ["apt-get", "download", "-qq", package], cwd=folder, check=True, capture_output=True
        )
        (deb,) = Path(folder).glob("*.deb")
        command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as unpacked,
            tarfile.open(fileobj=unpacked.stdout, mode="r|") as archive,
        ):
            yield from _files_of(archive, nested)


def _files_of(archive: tarfile.TarFile, nested: str) -> Iterator[tuple[str, str]]:
    for member in archive:
        file = archive.extractfile(member) if member.isreg() else None
        if file is None:
            continue
        if nested and member.name.endswith(nested):
            with tarfile.open(fileobj=file, mode="r|xz") as inner:
                yield from _files_of(inner, "")
        elif not nested and member.size <= _MAX_FILE_BYTES:
            try:
                yield member.name, file.read().decode("utf-8")
            except UnicodeDecodeError:
                continue


def _plain(page: str) -> str:
    """A page without its markup."""
    return _BLANK_LINES.sub("\n\n", html.unescape(_MARKUP.sub("", page))).strip()


def _write(documents: Iterator[tuple[str, str]], folder: Path, max_bytes: int) -> int:
    """Write the first documents in the order of their hashes; returns bytes of text."""
    texts: dict[bytes, tuple[str, str]] = {}
    seen: set[bytes] = set()
    for name, text in documents:
        content = hashlib.sha256(text.encode()).digest()
        if len(text) >= _MIN_CHARS and content not in seen:  # translations often are copies
            seen.add(content)
            texts[hashlib.sha256(name.encode()).digest()] = name, text
    size = shard_bytes = 0
    lines: list[bytes] = []
    shards = 0
    for key in sorted(texts):
        name, text = texts[key]
        line = json.dumps({"id": name, "text": text}, ensure_ascii=False).encode() + b"\n"
        lines.append(line)
        size += len(text.encode())
        shard_bytes += len(line)
        if shard_bytes >= _SHARD_BYTES or size >= max_bytes:
            _write_shard(folder, shards, lines)
            lines, shard_bytes, shards = [], 0, shards + 1
        if size >= max_bytes:
            return size
    if lines:
        _write_shard(folder, shards, lines)
    return size


def _write_shard(folder: Path, number: int, lines: Sequence[bytes]) -> None:
    content = zstandard.ZstdCompressor(threads=2).compress(b"".join(lines))
    (folder / f"{number:05d}.jsonl.zst").write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
