r"""Names of units: from any path of an input to a name that is safe to write, print and reverse.

    en/part-0.jsonl          -> en/part-0.jsonl            most names stay as they are
    50%.jsonl                -> 50%25.jsonl                `%` marks what was replaced
    a\nb.jsonl               -> a%0Ab.jsonl                control characters
    caf\xe9.jsonl            -> caf%E9.jsonl               bytes that are not UTF-8
    a.jsonl.npy/b.jsonl      -> a.jsonl%2Enpy/b.jsonl      a folder never looks like a unit's file
    <300 times x>.jsonl      -> xxx...%~<SHA-256>          too long for a file system

Two inputs never get one name: `%` itself is replaced, and only `%~` is followed by a hash.

Where a large input is read as several units, they are named below it, as in a folder:

    en/part-0.jsonl          -> en/part-0.jsonl/part-00000, en/part-0.jsonl/part-00001
    a.parquet                -> a%2Eparquet/part-00000
"""

import hashlib
import os
import re

# A build writes a unit's files as the name with one of these after it, and a folder of inputs may
# carry such a name already: `tokens/a.jsonl.npy` would be file and folder at once.
_SUFFIXES = (".npy", ".parquet", ".json")
# File systems take 255 bytes; a suffix and the number of a shard come after the name.
_MAX_COMPONENT_BYTES = 200
_KEPT_BYTES = 120
_PART = re.compile(r"(.+)/part-\d{5,}")


def unit_name(relative_path: str) -> str:
    """The name of the unit whose input lies there.

    Args:
        relative_path: below the common root of the inputs, `/`-separated, as the operating system
            gives it: bytes that are not UTF-8 stand in it as lone surrogates.

    Returns:
        Printable Unicode, `/`-separated, each component at most 200 bytes; a function of the path.
    """
    *folders, file = relative_path.split("/")
    return "/".join([*map(_folder, folders), _shortened(_escaped(file))])


def part_name(unit: str, number: int, count: int) -> str:
    """The name of one part of an input, number 0 to count - 1; names sort as the parts do.

    >>> part_name("a.jsonl.zst", 3, 12), part_name("web/b.parquet", 0, 2)
    ('a.jsonl.zst/part-00003', 'web/b%2Eparquet/part-00000')
    """
    digits = max(5, len(str(count - 1)))
    return f"{_unlike_a_file(unit)}/part-{number:0{digits}d}"


def input_name(unit: str) -> str:
    """The name that the input of a part has where it is one unit; of no part, the same.

    A receipt tells whether a unit is a part: an input may have such a name of its own.

    >>> input_name("web/b%2Eparquet/part-00000"), input_name("web/b.parquet")
    ('web/b.parquet', 'web/b.parquet')
    """
    match = _PART.fullmatch(unit)
    if match is None:
        return unit
    folder = match[1]
    for suffix in _SUFFIXES:
        if folder.endswith(f"%2E{suffix[1:]}"):
            return folder.removesuffix(f"%2E{suffix[1:]}") + suffix
    return folder


def relative_path(name: str) -> str | None:
    """The path that a unit was named after; None where the name had to be shortened."""
    if "%~" in name:
        return None
    parts = re.split(r"((?:%[0-9A-F]{2})+)", name)
    parts[1::2] = [os.fsdecode(bytes.fromhex(part.replace("%", ""))) for part in parts[1::2]]
    return "".join(parts)


def _folder(component: str) -> str:
    return _shortened(_unlike_a_file(_escaped(component)))


def _unlike_a_file(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)}%2E{suffix[1:]}"
    return name


def _escaped(component: str) -> str:
    if component.isprintable() and "%" not in component:
        return component
    return "".join(
        character
        if character.isprintable() and character != "%"
        else "".join(f"%{byte:02X}" for byte in os.fsencode(character))
        for character in component
    )


def _shortened(component: str) -> str:
    encoded = component.encode()
    if len(encoded) <= _MAX_COMPONENT_BYTES:
        return component
    kept = encoded[:_KEPT_BYTES].decode(errors="ignore")
    return f"{kept}%~{hashlib.sha256(encoded).hexdigest()}"
