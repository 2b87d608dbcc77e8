"""Make tokenizer/bundled/unicode-<version>.json by asking the engine that defines the token ids.

Run it only to move to another Unicode version, which may change token ids:

    pip install tiktoken==0.14.0 regex unicodedata2==16.0.0
    python tools/make_unicode_properties.py        # a few seconds

The published vocabularies are what tiktoken's regular expressions make of them, so the memberships
are read out of tiktoken itself: one pattern a property, over a text of every code point. An
encoding of the 256 single bytes shows what a pattern matched, for unmatched text is dropped.
`regex` only supplies the names of the scripts. The categories are compared with `unicodedata2` of
the version that is being pinned, an independent source, before anything is written.
"""

import json
import sys
from pathlib import Path

import numpy as np
import regex
import tiktoken
import unicodedata2

UNICODE_VERSION = "16.0.0"
OUTPUT = Path(__file__).parent.parent / f"tokenizer/bundled/unicode-{UNICODE_VERSION}.json"

CATEGORIES = [
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No"),
    *("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"),
    *("Zs", "Zl", "Zp", "Cc", "Cf", "Co"),
]
SURROGATES = range(0xD800, 0xE000)
EVERY_CHARACTER = "".join(chr(c) for c in range(0x110000) if c not in SURROGATES)
BYTE_RANKS = {bytes([byte]): byte for byte in range(256)}


def matched_by(pattern: str, text: str = EVERY_CHARACTER) -> list[int]:
    """The code points of `text` that tiktoken's engine matches with a one-character pattern."""
    encoding = tiktoken.Encoding(
        "probe", pat_str=pattern, mergeable_ranks=BYTE_RANKS, special_tokens={}
    )
    return [ord(c) for c in encoding.decode(encoding.encode_ordinary(text))]


def bounds_of(code_points: list[int]) -> list[int]:
    """Sorted code points as flattened [start, stop) pairs."""
    members = np.zeros(0x110002, dtype=np.int8)
    members[np.array(code_points) + 1] = 1
    return [int(one) for one in np.flatnonzero(np.diff(members))]


def runs_of(members: dict[str, list[int]], default: str) -> dict[str, list[int] | list[str]]:
    """Every code point's value as runs; code points in none of `members` get `default`."""
    names = [default, *members]
    values = np.zeros(0x110000, dtype=np.int32)
    for number, name in enumerate(names[1:], start=1):
        if values[members[name]].any():
            sys.exit(f"{name} overlaps with another value")
        values[members[name]] = number
    starts = np.concatenate(([0], np.flatnonzero(np.diff(values)) + 1))
    lengths = np.diff(np.concatenate((starts, [0x110000])))
    return {"names": names, "lengths": lengths.tolist(), "values": values[starts].tolist()}


def categories() -> dict[str, list[int]]:
    """Code points by general category, Cn left out, checked against unicodedata2."""
    if unicodedata2.unidata_version != UNICODE_VERSION:
        sys.exit(f"unicodedata2 has Unicode {unicodedata2.unidata_version}, not {UNICODE_VERSION}")
    found = {name: matched_by(rf"\p{{{name}}}") for name in CATEGORIES}
    found["Cs"] = list(SURROGATES)
    for name, code_points in found.items():
        for code_point in code_points:
            if unicodedata2.category(chr(code_point)) != name:
                sys.exit(f"U+{code_point:04X}: {name} in tiktoken, not in unicodedata2")
    if sum(map(len, found.values())) != sum(
        unicodedata2.category(chr(c)) != "Cn" for c in range(0x110000)
    ):
        sys.exit("tiktoken and unicodedata2 assign different code points")
    return found


def scripts() -> tuple[dict[str, list[int]], dict[str, str]]:
    """Code points by long script name, and the long name of every short one."""
    by_value: dict[int, list[str]] = {}
    # The long name of a value stands before its short ones.
    for name, value in regex._regex_core.PROPERTIES["SCRIPT"][1].items():
        by_value.setdefault(value, []).append(name)
    members: dict[str, list[int]] = {}
    aliases: dict[str, str] = {}
    for names in by_value.values():
        long_name, *short_names = names
        try:
            found = matched_by(rf"\p{{Script={long_name}}}")
        except ValueError:  # a script, or a value such as Unknown, that this version does not have
            print(f"no script {long_name}", file=sys.stderr)
            continue
        if found:
            members[long_name.title()] = found
            aliases.update((short.title(), long_name.title()) for short in short_names)
    return dict(sorted(members.items())), dict(sorted(aliases.items()))


def folds() -> list[list[int]]:
    """The classes of two or more code points that are equal under (?i:...)."""
    cased = matched_by(r"[\p{Changes_When_Casefolded}\p{Changes_When_Casemapped}]")
    text = "".join(map(chr, cased))
    classes = {tuple(matched_by(rf"(?i:\x{{{code_point:x}}})", text)) for code_point in cased}
    if sum(map(len, classes)) != len({one for members in classes for one in members}):
        sys.exit("case folding is not an equivalence")
    return [list(members) for members in sorted(classes) if len(members) > 1]


def main() -> None:
    """Write the data file."""
    script_members, script_aliases = scripts()
    data = {
        "unicode_version": UNICODE_VERSION,
        "categories": runs_of(categories(), "Cn"),
        "scripts": runs_of(script_members, "Unknown"),
        "script_aliases": script_aliases,
        "white_space": bounds_of(matched_by(r"\s")),
        "word": bounds_of(matched_by(r"\w")),
        "folds": folds(),
    }
    lines = [f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in data.items()]
    OUTPUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
