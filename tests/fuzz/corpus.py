"""The fuzzer's inputs in one file: packs a folder of them, unpacks them into one.

    python tests/fuzz/corpus.py pack   tests/fuzz/corpus.tar.zst build/fuzz/corpus
    python tests/fuzz/corpus.py unpack tests/fuzz/corpus.tar.zst build/fuzz/corpus

Each input is named by the SHA-1 of its bytes, as libFuzzer does; equal folders give equal files.
"""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import zstandard


def pack(archive: Path, folder: Path) -> int:
    """Writes the inputs of a folder to the archive; returns how many there are."""
    inputs = {hashlib.sha1(data).hexdigest(): data for data in map(Path.read_bytes, _files(folder))}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted(inputs.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    archive.write_bytes(zstandard.ZstdCompressor(level=19).compress(packed.getvalue()))
    return len(inputs)


def unpack(archive: Path, folder: Path) -> int:
    """Writes the archive's inputs to a folder, which has no others then; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in _files(folder):
        file.unlink()
    packed = zstandard.ZstdDecompressor().decompress(archive.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for entry in tar:
            data = tar.extractfile(entry)
            if data is None or "/" in entry.name:
                raise SystemExit(f"{archive}: expected plain files, found {entry.name!r}")
            (folder / entry.name).write_bytes(data.read())
        return len(tar.getmembers())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def main() -> int:
    """The command; returns its exit code."""
    commands = {"pack": pack, "unpack": unpack}
    if len(sys.argv) != 4 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    print(commands[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])), "inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
