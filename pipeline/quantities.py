"""Numbers as people write them on a command line, `100M`, `8Gi`, `1%`, and read them: `1 unit`."""

import argparse
import re

_FACTORS = {
    "": 1,
    **{letter: int(1000**power) for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}I": int(1024**power) for power, letter in enumerate("KMGT", 1)},
}
_NUMBER = re.compile(r"(\d[\d_]*(?:\.\d+)?)\s*([KMGT]?I?)B?", re.IGNORECASE)


def count(text: str) -> int:
    """A whole number; K, M, G and T are powers of 1000; Ki, Mi, Gi and Ti are powers of 1024.

    >>> count("250"), count("100M"), count("1.5k"), count("64Mi"), count("8GiB")
    (250, 100000000, 1500, 67108864, 8589934592)

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2].upper() not in _FACTORS:
        raise argparse.ArgumentTypeError(f"expected a number such as 250, 100M or 8Gi, not {text}")
    digits, factor = match[1].replace("_", ""), _FACTORS[match[2].upper()]
    if "." not in digits:
        return int(digits) * factor
    value = float(digits) * factor
    if value != int(value):
        raise argparse.ArgumentTypeError(f"expected a whole number, not {text}")
    return int(value)


def counted(number: int, noun: str) -> str:
    """A number of things, for people.

    >>> counted(1, "unit"), counted(0, "unit"), counted(1_200, "input")
    ('1 unit', '0 units', '1,200 inputs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def count_or_none(text: str) -> int | None:
    """A number as `count` takes it, or `none`.

    >>> count_or_none("256M"), count_or_none("none")
    (256000000, None)

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    return None if text.strip().lower() == "none" else count(text)


def share(text: str) -> float:
    """A share of a whole: `1%` or `0.01`.

    >>> share("1%"), share("0.25"), share("100 %")
    (0.01, 0.25, 1.0)

    Raises:
        argparse.ArgumentTypeError: it is not from 0 to 1, or from 0% to 100%.
    """
    number = text.strip()
    try:
        value = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, or such as 1%, not {text}")
    return value


def accepted_share(text: str) -> float:
    """A share of what may be faulty, which nobody can take for a number of records.

    >>> accepted_share("1%"), accepted_share("0.01"), accepted_share("0"), accepted_share("100%")
    (0.01, 0.01, 0.0, 1.0)

    Raises:
        argparse.ArgumentTypeError: it is no share, or it is 1: one record, or all of them?
    """
    if text.strip() == "1":
        raise argparse.ArgumentTypeError(
            "expected a share such as 1% or 0.01, found 1: to accept anything, write 100%"
        )
    return share(text)


def minutes(text: str) -> float:
    """Minutes, more than none: `15` or `0.5`.

    >>> minutes("15"), minutes("0.5")
    (15.0, 0.5)

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected minutes, more than 0, not {text}")
    return value


def seconds(text: str) -> float:
    """Seconds, none or more: `60` or `0.5`.

    >>> seconds("60"), seconds("0")
    (60.0, 0.0)

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, 0 or more, not {text}")
    return value


def _number(text: str) -> float:
    """The number; NaN, which is within no bounds, where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
