"""What a split pattern means, as a tree; `tokenizer.split.pattern` makes it.

[a-c]+|d?$     Choice((
                   Repeat(Character(a to c), 1, None, ...),
                   Sequence((Repeat(Character(d), 0, 1, ...), END)),
               ))
"""

from dataclasses import dataclass
from typing import TypeAlias

from tokenizer.split.unicode_properties import NOTHING, CodePointSet


@dataclass(frozen=True, slots=True)
class Character:
    """Consumes one character out of a set."""

    members: CodePointSet


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Consumes nothing; holds when the next character is in `members`, or at the end if `at_end`.

    All look-arounds of the language come down to this: `(?!\\S)` is LookAhead(\\s, True), `$` is
    LookAhead(nothing, True).
    """

    members: CodePointSet
    at_end: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """One item after the other; no items match the empty string."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The first of the options that lets the whole pattern match."""

    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`low` to `high` times `item` (None: no limit), as many as possible.

    `position` is that of the quantifier, for error messages.
    """

    item: "Node"
    low: int
    high: int | None
    possessive: bool
    position: int


Node: TypeAlias = Character | LookAhead | Sequence | Choice | Repeat

END = LookAhead(NOTHING, True)
LINE_END = LookAhead(CodePointSet.of_code_points([10]), True)


def next_character(node: Node) -> LookAhead | None:
    """What a look-ahead's body says of the next character; None where it says more than that."""
    if isinstance(node, Character):
        return LookAhead(node.members, False)
    if isinstance(node, Choice):
        options = [next_character(option) for option in node.options]
        known = [option for option in options if option]
        if len(known) < len(options):
            return None
        members = CodePointSet.union(option.members for option in known)
        return LookAhead(members, any(option.at_end for option in known))
    return node if node in (END, LINE_END) else None
