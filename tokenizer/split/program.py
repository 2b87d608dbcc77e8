"""A split pattern as a program of ordered alternatives (Thompson 1968, priorities as in Pike)."""

from dataclasses import dataclass

from tokenizer.errors import PatternError
from tokenizer.split.pattern_tree import Character, Choice, LookAhead, Node, Repeat, Sequence
from tokenizer.split.unicode_properties import CodePointSet

MAX_PROGRAM = 5000


@dataclass(frozen=True, slots=True)
class Consume:
    """Goes on to `then` after a character of set number `members`."""

    members: int
    then: int


@dataclass(frozen=True, slots=True)
class Look:
    """Goes on to `then` if the next character is of set number `members`, or at the end."""

    members: int
    at_end: bool
    then: int


@dataclass(slots=True)
class Fork:
    """Goes on to all of `targets`, the first with the highest priority."""

    targets: list[int]


@dataclass(frozen=True, slots=True)
class Match:
    """The whole pattern has matched."""


class Program:
    """A tree as instructions, made from the end backwards so that each knows where it goes on."""

    def __init__(self, pattern: str, tree: Node) -> None:
        self.pattern = pattern
        self.instructions: list[Consume | Look | Fork | Match] = [Match()]
        self.numbers: dict[CodePointSet, int] = {}
        self.start = self.place(tree, 0)
        self.sets = list(self.numbers)

    def add(self, instruction: Consume | Look | Fork) -> int:
        if len(self.instructions) >= MAX_PROGRAM:
            raise PatternError(f"a program of over {MAX_PROGRAM} steps", 0, self.pattern)
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def number(self, members: CodePointSet) -> int:
        return self.numbers.setdefault(members, len(self.numbers))

    def place(self, node: Node, then: int) -> int:
        """Adds `node`, going on to `then`; its first instruction."""
        if isinstance(node, Character):
            return self.add(Consume(self.number(node.members), then))
        if isinstance(node, LookAhead):
            return self.add(Look(self.number(node.members), node.at_end, then))
        if isinstance(node, Sequence):
            for item in reversed(node.items):
                then = self.place(item, then)
            return then
        if isinstance(node, Choice):
            return self.add(Fork([self.place(option, then) for option in node.options]))
        return self.place_repeat(node, then)

    def place_repeat(self, node: Repeat, then: int) -> int:
        after = then
        if node.high is None:
            fork = Fork([])
            after = self.add(fork)
            body = self.place(node.item, after)
            fork.targets = [body, then]
            if node.low:
                after = body
        for _ in range(node.low, node.high or 0):
            after = self.add(Fork([self.place(node.item, after), then]))
        for _ in range(node.low - (node.high is None)):
            after = self.place(node.item, after)
        return after
