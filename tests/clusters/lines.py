"""What a pipeline on an engine leaves for a test to read: a file a line."""

import hashlib
import uuid
from pathlib import Path


def write_line(line: str, folder: str) -> None:
    """Writes a line to a file of its own; the same line again is another file."""
    name = f"{hashlib.sha256(line.encode()).hexdigest()[:16]}-{uuid.uuid4().hex[:8]}"
    Path(folder, name).write_text(line)


def read_lines(folder: Path) -> list[str]:
    """All of them, sorted."""
    return sorted(path.read_text() for path in folder.iterdir())
