"""Sets of code points by Unicode property, pinned to one Unicode version.

Python's own `unicodedata` changes with the interpreter, and with it would change where a text is
cut and so its token ids. The data therefore ships with the package, in
`bundled/unicode-16.0.0.json`: the version of the engines that define the published ids (tiktoken's
and Hugging Face tokenizers' agree on every code point). `tools/make_unicode_properties.py` makes
the file; its format is:

    unicode_version   "16.0.0"
    categories        names, and runs over 0..0x10FFFF: lengths[i] code points of names[values[i]]
    scripts           the same; long names as in \\p{Han}
    script_aliases    four-letter name -> long name
    white_space       the set \\s, as bounds: [start, stop) pairs, flattened
    word              the set \\w, the same way
    folds             simple case folding: each list is one class of equivalent code points
"""

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNICODE_VERSION = "16.0.0"
CODE_POINTS = 0x110000

_DATA = Path(__file__).parents[1] / "bundled" / f"unicode-{UNICODE_VERSION}.json"

_CATEGORY_NAMES = {
    "letter": "L", "casedletter": "LC", "l&": "LC", "uppercaseletter": "Lu",
    "lowercaseletter": "Ll", "titlecaseletter": "Lt", "modifierletter": "Lm", "otherletter": "Lo",
    "mark": "M", "combiningmark": "M", "nonspacingmark": "Mn", "spacingmark": "Mc",
    "enclosingmark": "Me",
    "number": "N", "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl", "othernumber": "No",
    "punctuation": "P", "punct": "P", "connectorpunctuation": "Pc", "dashpunctuation": "Pd",
    "openpunctuation": "Ps", "closepunctuation": "Pe", "initialpunctuation": "Pi",
    "finalpunctuation": "Pf", "otherpunctuation": "Po",
    "symbol": "S", "mathsymbol": "Sm", "currencysymbol": "Sc", "modifiersymbol": "Sk",
    "othersymbol": "So",
    "separator": "Z", "spaceseparator": "Zs", "lineseparator": "Zl", "paragraphseparator": "Zp",
    "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf", "surrogate": "Cs",
    "privateuse": "Co", "unassigned": "Cn",
}  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class CodePointSet:
    """An immutable, hashable set of code points 0..0x10FFFF.

    `bounds` is int32, strictly increasing and of even length: the set is
    [bounds[0], bounds[1]) + [bounds[2], bounds[3]) + ... Operations cost O(n log n) in the
    number of ranges, not of code points.
    """

    bounds: NDArray[np.int32]

    @classmethod
    def of_ranges(cls, ranges: Iterable[tuple[int, int]]) -> "CodePointSet":
        """The union of inclusive ranges (first, last), in any order, overlapping or not."""
        flat = np.array(list(ranges), dtype=np.int32).reshape(-1, 2)
        return _merge(flat[:, 0], flat[:, 1] + 1)

    @classmethod
    def of_code_points(cls, code_points: Iterable[int]) -> "CodePointSet":
        """The set of the given code points."""
        starts = np.fromiter(code_points, dtype=np.int32)
        return _merge(starts, starts + 1)

    @classmethod
    def union(cls, sets: Iterable["CodePointSet"]) -> "CodePointSet":
        """Everything that is in any of `sets`; the empty set when there are none."""
        every = list(sets)
        if len(every) == 1:
            return every[0]
        flat = np.concatenate([_NO_BOUNDS, *(one.bounds for one in every)])
        return _merge(flat[0::2], flat[1::2])

    def __or__(self, other: "CodePointSet") -> "CodePointSet":
        return CodePointSet.union((self, other))

    def __and__(self, other: "CodePointSet") -> "CodePointSet":
        return ~(~self | ~other)

    def __sub__(self, other: "CodePointSet") -> "CodePointSet":
        return ~(~self | other)

    def __invert__(self) -> "CodePointSet":
        bounds = self.bounds
        head = [] if bounds.size and bounds[0] == 0 else [0]
        tail = [] if bounds.size and bounds[-1] == CODE_POINTS else [CODE_POINTS]
        inner = bounds[1 - len(head) : bounds.size - (1 - len(tail))]
        return CodePointSet(np.array([*head, *inner.tolist(), *tail], dtype=np.int32))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodePointSet) and np.array_equal(self.bounds, other.bounds)

    def __hash__(self) -> int:
        return hash(self.bounds.tobytes())

    def __bool__(self) -> bool:
        return bool(self.bounds.size)

    def __len__(self) -> int:
        return int((self.bounds[1::2] - self.bounds[0::2]).sum())

    def __contains__(self, code_point: int) -> bool:
        return bool(np.searchsorted(self.bounds, code_point, side="right") & 1)

    def contains(self, code_points: NDArray[Any]) -> NDArray[np.bool_]:
        """For each of `code_points` (any integer dtype and shape), whether it is in the set."""
        return (np.searchsorted(self.bounds, code_points, side="right") & 1).astype(np.bool_)

    def mask(self) -> NDArray[np.bool_]:
        """bool[0x110000], true at the members; about a millisecond."""
        edges = np.concatenate(([0], self.bounds, [CODE_POINTS]))
        return np.repeat(np.arange(edges.size - 1) % 2 == 1, np.diff(edges))


_NO_BOUNDS = np.zeros(0, dtype=np.int32)


def _merge(starts: NDArray[np.int32], stops: NDArray[np.int32]) -> CodePointSet:
    """The union of [starts[i], stops[i]), none of them empty."""
    edges = np.concatenate((starts, stops))
    step = np.repeat(np.array([1, -1]), (starts.size, stops.size))
    # Starts stand before stops and the sort is stable, so ranges that touch never close between.
    order = np.argsort(edges, kind="stable")
    depth = np.cumsum(step[order])
    keep = depth == 0
    keep[1:] |= depth[:-1] == 0
    keep[:1] = True
    return CodePointSet(edges[order][keep].astype(np.int32))


EVERYTHING = CodePointSet(np.array([0, CODE_POINTS], dtype=np.int32))
NOTHING = CodePointSet(_NO_BOUNDS)


@functools.cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(_DATA.read_text(encoding="ascii"))
    return data


@functools.cache
def _runs(table: str) -> tuple[list[str], NDArray[np.int32], NDArray[np.int32]]:
    """Value names, the bounds of the runs (one more than there are runs), the value of each."""
    raw = _data()[table]
    bounds = np.concatenate(([0], np.cumsum(raw["lengths"]))).astype(np.int32)
    return raw["names"], bounds, np.array(raw["values"], dtype=np.int32)


def _runs_with(table: str, wanted: set[str]) -> CodePointSet:
    names, bounds, values = _runs(table)
    chosen = np.array([name in wanted for name in names])[values]
    return _merge(bounds[:-1][chosen], bounds[1:][chosen])


@functools.cache
def white_space() -> CodePointSet:
    """The members of \\s: the White_Space property, 25 code points."""
    return CodePointSet(np.array(_data()["white_space"], dtype=np.int32))


@functools.cache
def word() -> CodePointSet:
    """The members of \\w as UTS #18 has it: Alphabetic, M, Nd, Pc and Join_Control.

    Oniguruma's differs in eight code points (it adds U+00B2, U+00B3, U+00B9, U+00BC..U+00BE).
    """
    return CodePointSet(np.array(_data()["word"], dtype=np.int32))


@functools.cache
def _script_names() -> dict[str, str]:
    long_names = {_loose(name): name for name in _data()["scripts"]["names"]}
    short_names = {_loose(short): name for short, name in _data()["script_aliases"].items()}
    return {**short_names, **long_names}


def _loose(name: str) -> str:
    """Loose matching of property names, UAX #44 LM3: case, blanks, `_` and `-` do not count."""
    return re.sub(r"[\s_-]", "", name).lower()


@functools.cache
def category(name: str) -> CodePointSet | None:
    """The code points of a general category by short or long name; None where there is none.

    One letter stands for all categories that begin with it, LC for Lu, Ll and Lt.
    """
    loose = _loose(name)
    short = _CATEGORY_NAMES.get(loose, loose.capitalize() if loose != "lc" else "LC")
    names = _runs("categories")[0]
    if short == "LC":
        return _runs_with("categories", {"Lu", "Ll", "Lt"})
    wanted = {one for one in names if one == short or (len(short) == 1 and one[0] == short)}
    return _runs_with("categories", wanted) if wanted else None


@functools.cache
def script(name: str) -> CodePointSet | None:
    """The code points of a script by long or four-letter name; None where there is none."""
    long_name = _script_names().get(_loose(name))
    return _runs_with("scripts", {long_name}) if long_name else None


@functools.cache
def named_set(name: str) -> CodePointSet | None:
    """What stands in \\p{...}: `Lu`, `Letter`, `gc=Lu`, `Han`, `Script=Han`, `IsHan`, `Any`.

    None where the name is not known.
    """
    key, equals, value = name.partition("=")
    if equals:
        if _loose(key) in ("gc", "generalcategory"):
            return category(value)
        return script(value) if _loose(key) in ("sc", "script") else None
    if _loose(name) == "any":
        return EVERYTHING
    found = category(name) or script(name)
    if not found and _loose(name).startswith("is"):
        return named_set(_loose(name)[2:])
    return found or None


@functools.cache
def _folds() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """All code points that have a case, and the number of the class each is in."""
    classes: list[list[int]] = _data()["folds"]
    members = np.array([one for members in classes for one in members], dtype=np.int32)
    sizes = [len(members) for members in classes]
    return members, np.repeat(np.arange(len(classes), dtype=np.int32), sizes)


def close_over_case(members: CodePointSet) -> CodePointSet:
    """`members` and everything equal to one of them under simple case folding."""
    cased, class_of = _folds()
    hit = np.zeros(int(class_of[-1]) + 1, dtype=np.bool_)
    hit[class_of[members.contains(cased)]] = True
    return members | CodePointSet.of_code_points(cased[hit[class_of]])
