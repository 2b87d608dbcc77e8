"""Patterns of file names: what they match, and what has to be listed for them.

    *         any run of characters but "/"        web/*.gz
    ?         one character but "/"                web/part-?.gz
    [a-c]     one of these characters              [!a]: none of these
    **        any run of characters                web/**.gz, also web/2024/05/a.gz

They are Beam's, with one difference: Beam's `?` matches a "/" too.
"""

import re
from collections.abc import Callable, Iterable

from transforms.stores.store import FoundFile

_WILDCARDS = "*?["


def has_wildcard(text: str) -> bool:
    """Whether a path is a pattern.

    >>> has_wildcard("s3://bucket/web/*.gz"), has_wildcard("s3://bucket/web/a.gz")
    (True, False)
    """
    return any(wildcard in text for wildcard in _WILDCARDS)


def literal_folder(pattern: str) -> str:
    """The folder that everything a pattern matches lies in, with its "/", or nothing.

    >>> literal_folder("s3://bucket/web/part-*/a.gz")
    's3://bucket/web/'
    >>> literal_folder("*.gz")
    ''
    """
    literal = re.match(r"[^*?\[]*", pattern)
    assert literal is not None
    return literal.group()[: literal.group().rfind("/") + 1]


def crosses_folders(pattern: str) -> bool:
    """Whether what it matches may lie deeper than directly in its literal folder.

    >>> crosses_folders("web/*.gz"), crosses_folders("web/*/a.gz"), crosses_folders("web/**.gz")
    (False, True, True)
    """
    rest = pattern[len(literal_folder(pattern)) :]
    return "/" in rest or "**" in rest


def find_by_listing(
    pattern: str,
    look_up: Callable[[str], FoundFile | None],
    list_folder: Callable[[str, bool], Iterable[FoundFile]],
) -> list[FoundFile]:
    """What a pattern stands for, by one listing of its literal folder.

    Args:
        pattern: A path, with or without wild cards.
        look_up: The file of a path without wild cards, or None.
        list_folder: The files of a folder; with True, also of those below it.
    """
    if not has_wildcard(pattern):
        found = look_up(pattern)
        return [found] if found else []
    matches = compile_pattern(pattern).fullmatch
    listed = list_folder(literal_folder(pattern), crosses_folders(pattern))
    return [file for file in listed if matches(file.path)]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression over whole paths.

    >>> bool(compile_pattern("a/*.gz").fullmatch("a/b.gz"))
    True
    >>> bool(compile_pattern("a/*.gz").fullmatch("a/b/c.gz"))
    False
    """
    expression = re.sub(
        r"(?P<all>\*\*)|(?P<run>\*)|(?P<one>\?)|\[(?P<set>!?\]?[^\]]*)\]|(?P<other>.)",
        _translate,
        pattern,
        flags=re.DOTALL,
    )
    return re.compile(expression, re.DOTALL)


def _translate(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "all":
            return ".*"
        case "run":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "set":
            characters = token["set"]
            negation = "^" if characters.startswith("!") else ""
            members = characters.removeprefix("!").replace("\\", "\\\\").replace("[", "\\[")
            return f"[{negation}{'' if negation or members[:1] != '^' else chr(92)}{members}]"
        case _:
            return re.escape(token[0])
