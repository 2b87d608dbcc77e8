"""Make tokenizer/bundled/normalization-<version>.json: what is surely normalized already, and where
text may be cut so that its parts are normalized each on its own.

Run it only to move to another Unicode version, which may change token ids:

    pip install tokenizers==0.23.3
    python tools/make_normalization_data.py        # half a minute; needs perl, which knows ages

Hugging Face tokenizers normalizes by Unicode 9.0, unlike its regular expressions, which are of
16.0. Python's own data is newer, but normalization never changes for characters that are assigned,
so all that is needed is which ones were; the others are left alone. That this is what tokenizers
does is checked here, code point by code point and in context, before anything is written.
`tokenizer/text/normalizers.py` says what the file is for and how it is read.

Why text may be cut in front of a starter: a character of combining class 0 that does not change
alone, and whose decomposition begins with a character c that composition joins to nothing before
it. c has combining class 0, for what decomposes to marks is never composed again. Decomposition
looks at one character at a time. Canonical order moves nothing across c. Composition joins a
character to the last one of combining class 0 before it: what is before c never gets c, and what is
after c looks no further than c. (UAX #15, 9.1, Stable Code Points.)

Why also after a starter that nothing joins (class 0 of the table): what follows could only be
joined to it. Where it is decomposed it is composed again, for a mark that came between its parts
and joined the first would have changed the two characters alone.
"""

import json
import re
import subprocess
import sys
import unicodedata as ud
from collections import defaultdict
from pathlib import Path

import numpy as np
from tokenizers import normalizers

UNICODE_VERSION = "9.0.0"
OUTPUT = Path(__file__).parent.parent / f"tokenizer/bundled/normalization-{UNICODE_VERSION}.json"
FORMS = ("NFC", "NFD", "NFKC", "NFKD")
EVERY_CHARACTER = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
_AGES = r'for (0 .. 0x10FFFF) { print "$_\n" if chr($_) =~ /\p{Present_In: 9.0}/ }'
_ASSIGNED = set(map(int, subprocess.check_output(["perl", "-e", _AGES]).split()))
CHARACTERS = [c for c in EVERY_CHARACTER if ord(c) in _ASSIGNED]


def seconds_of_pairs() -> list[str]:
    """Every character that composition can join to the one before it."""
    found = {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    for character in CHARACTERS:
        canonical = ud.decomposition(character)
        composite = canonical and not canonical.startswith("<") and " " in canonical
        if composite and ud.normalize("NFC", character) == character:
            found.add(chr(int(canonical.split()[1], 16)))
    return sorted(found)


def firsts_of_pairs() -> list[str]:
    """Every character that may change when one of the others follows it."""
    found = {chr(c) for c in (*range(0x1100, 0x1113), *range(0xAC00, 0xD7A4))}
    for character in CHARACTERS:
        canonical = ud.decomposition(character)
        if canonical and not canonical.startswith("<"):
            found.add(character)
            found.update(chr(int(one, 16)) for one in canonical.split())
    return sorted(found)


def table_of(form: str) -> dict[str, object]:
    """The class of each code point as runs, and which class may follow which."""
    composes = form in ("NFC", "NFKC")
    seconds = seconds_of_pairs() if composes else []
    joins: dict[str, frozenset[str]] = defaultdict(frozenset)
    for first in firsts_of_pairs() if composes else []:
        joins[first] = frozenset(
            second for second in seconds if ud.normalize(form, first + second) != first + second
        )
    # (changes alone, combining class, what it begins with where that may join, what may join it)
    kinds: dict[tuple[bool, int, str, frozenset[str]], int] = {(False, 0, "", frozenset()): 0}
    values = np.zeros(0x110000, np.int32)
    for character in CHARACTERS:
        first = ud.normalize("NFD", character)[0]
        kind = (
            ud.normalize(form, character) != character,
            ud.combining(character),
            first if first in seconds else "",
            joins.get(character, frozenset()),
        )
        values[ord(character)] = kinds.setdefault(kind, len(kinds))
    follows = np.array([[may_follow(one, other) for other in kinds] for one in kinds], np.uint8)
    is_starter = np.array(
        [not (changes or combining or first) for changes, combining, first, _ in kinds]
    )
    values, follows, starters = smallest(values, follows, is_starter)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(values)) + 1))
    return {
        "lengths": np.diff(np.concatenate((starts, [0x110000]))).tolist(),
        "values": values[starts].tolist(),
        "starters": starters,
        "follows": [np.packbits(row).tobytes().hex() for row in follows],
    }


def may_follow(
    before: tuple[bool, int, str, frozenset[str]], after: tuple[bool, int, str, frozenset[str]]
) -> bool:
    """Whether `after` right after `before` is surely as normalization leaves it."""
    changes, combining, first, _ = after
    if changes:
        return False
    if first:
        return before[1] == 0 and first not in before[3]
    return combining == 0 or before[1] <= combining


def smallest(
    values: np.ndarray[tuple[int], np.dtype[np.int32]],
    follows: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    is_starter: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> tuple[np.ndarray, np.ndarray, int]:
    """The same with classes merged that behave alike, starters first; and how many those are."""
    keys = [
        row.tobytes() + column.tobytes() + starter.tobytes()
        for row, column, starter in zip(follows, follows.T, is_starter, strict=True)
    ]
    in_order = list(dict.fromkeys(keys[at] for at in np.argsort(~is_starter, kind="stable")))
    if len(in_order) > 256:
        sys.exit(f"{len(in_order)} classes")
    first = [keys.index(key) for key in in_order]
    new = np.array([in_order.index(key) for key in keys], np.int32)
    return new[values], follows[np.ix_(first, first)], int(is_starter[first].sum())


def check_version(unassigned: list[int]) -> None:
    """Exits where tokenizers does not normalize what lies between unassigned code points."""
    bounds = zip(unassigned[::2], unassigned[1::2], strict=True)
    inert = re.compile("([" + "".join(f"\\U{a:08x}-\\U{b - 1:08x}" for a, b in bounds) + "])")
    for form in FORMS:
        engine = getattr(normalizers, form)()
        for context in ("{}", "a{}\u0301", "\u0301{}\u0323", "e{}\u0301\u0323\u0327", "a\u0301{}"):
            for character in EVERY_CHARACTER:
                text = context.format(character)
                parts = inert.split(text)
                parts[::2] = [ud.normalize(form, part) for part in parts[::2]]
                if engine.normalize_str(text) != "".join(parts):
                    sys.exit(f"{form} of {text!r} differs")


def main() -> None:
    """Compares, then writes."""
    missing = np.zeros(0x110002, np.int8)
    missing[[1 + c for c in range(0x110000) if c not in _ASSIGNED]] = 1
    unassigned = np.flatnonzero(np.diff(missing)).tolist()
    check_version(unassigned)
    data = {
        "unicode_version": UNICODE_VERSION,
        "forms": {form: table_of(form) for form in FORMS},
    }
    OUTPUT.write_text(json.dumps(data, separators=(",", ":")) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
