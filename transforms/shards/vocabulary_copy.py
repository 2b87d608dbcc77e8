"""The vocabulary that a build was made with, kept in the build: by content, pinned by its hash.

Workers elsewhere need no shared disk and no network for it, and whoever verifies or inspects the
build years later need not find the file again. Bundled vocabularies travel with tokenmill itself.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tokenizer import Tokenizer, vocabulary_file
from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.layout import vocabulary_path


def keep_vocabulary(build: Build, source: str, revision: str | None) -> str | None:
    """Copies the file of a vocabulary into the build, where it is not there yet.

    Args:
        build: of which the mark is written. source, revision: as for Tokenizer.load.

    Returns:
        The copy's path in the build; None for a bundled vocabulary.
    """
    file = vocabulary_file(source, revision)
    if file is None:
        return None
    relative = vocabulary_path(file.suffix)
    content = file.read_bytes()
    if not build.exists(relative) or build.read(relative) != content:
        build.write(relative, content)
    return relative


def load_copy(
    build: Build,
    relative: str,
    sha256: str | None,
    split_pattern: str | None,
    special_tokens: Mapping[str, int] | None,
) -> Tokenizer:
    """The tokenizer of the vocabulary that a build keeps.

    Args:
        relative: where it is in the build. sha256: what its content must have; None: its user
            compares fingerprints.
        split_pattern, special_tokens: as for Tokenizer.load.

    Raises:
        MismatchError: it is missing, or another.
    """
    if build.is_local:
        content = build.read(relative)
        path = build.path(relative)
    else:
        path = _fetched(build, relative)
        content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise MismatchError(f"{relative}: expected SHA-256 {sha256}, found {found}")
    return Tokenizer.load(path, split_pattern=split_pattern, special_tokens=special_tokens)


@functools.lru_cache(maxsize=4)
def _fetched(build: Build, relative: str) -> str:
    """A local file of the same content, once a process."""
    descriptor, path = tempfile.mkstemp(prefix="tokenmill-", suffix=Path(relative).suffix)
    with os.fdopen(descriptor, "wb") as file:
        file.write(build.read(relative))
    return path
