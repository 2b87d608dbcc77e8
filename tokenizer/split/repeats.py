"""The proof that the possessive repeats of a split pattern may be compiled as greedy ones."""

from dataclasses import dataclass

from tokenizer.errors import PatternError
from tokenizer.split.pattern_tree import Character, Choice, LookAhead, Node, Repeat, Sequence
from tokenizer.split.unicode_properties import EVERYTHING, NOTHING, CodePointSet


@dataclass(frozen=True)
class _Next:
    """What is known of the rest of a match at some place of the pattern.

    may:     it can only match if the next character is one of these
    at_end:  it may match at the end of the text
    always:  it matches whatever comes next
    """

    may: CodePointSet
    at_end: bool
    always: bool

    def either(self, other: "_Next") -> "_Next":
        return _Next(self.may | other.may, self.at_end or other.at_end, self.always or other.always)


def prove_repeats(pattern: str, tree: Node) -> None:
    """Proves that every possessive repeat of the tree matches what a greedy one would.

    Raises:
        PatternError: One may not, or an unlimited repeat is of what can be empty.
    """
    _prove(pattern, tree, _Next(EVERYTHING, True, True))


def _prove(pattern: str, node: Node, rest: _Next) -> _Next:
    """What is known before `node`, when `rest` is known after it.

    Raises `PatternError` if a possessive repeat in it may match what a greedy one does not, or if
    an unlimited repeat has a body that can be empty. Greedy and possessive differ only where the
    rest fails after the longest repeat and succeeds after a shorter one. Two proofs that there
    is no such place:

    1.  the rest always matches, so that nothing is ever given back;
    2.  the repeat is of single characters out of a set, and the rest can not begin with one of
        that set: after any shorter repeat such a character comes next, and the rest fails.
    """
    if isinstance(node, Character):
        return _Next(node.members, False, False)
    if isinstance(node, LookAhead):
        return _Next(rest.may & node.members, rest.at_end and node.at_end, False)
    if isinstance(node, Sequence):
        for item in reversed(node.items):
            rest = _prove(pattern, item, rest)
        return rest
    if isinstance(node, Choice):
        known = [_prove(pattern, option, rest) for option in node.options]
        return _Next(
            CodePointSet.union(one.may for one in known),
            any(one.at_end for one in known),
            any(one.always for one in known),
        )
    return _prove_repeat(pattern, node, rest)


def _prove_repeat(pattern: str, node: Repeat, rest: _Next) -> _Next:
    looped = node.high is None or node.high > 1
    if looped and _can_be_empty(node.item):
        raise PatternError("a repeat of what can be empty", node.position, pattern)
    if node.possessive and not rest.always:
        given_back = node.item.members if isinstance(node.item, Character) else EVERYTHING
        if given_back & rest.may:
            raise PatternError(
                "a possessive repeat that a greedy one can not replace", node.position, pattern
            )
    after = rest
    if looped:
        # After the body may come the body again, and below the lowest count it has to.
        may = rest.may | _first(node.item)
        after = _Next(may, rest.at_end, rest.always and node.low <= 1)
    before = _prove(pattern, node.item, after)
    return before.either(rest) if node.low == 0 else before


def _first(node: Node) -> CodePointSet:
    """The characters that a match of `node` can begin with, and perhaps more."""
    if isinstance(node, Character):
        return node.members
    if isinstance(node, Choice):
        return CodePointSet.union(map(_first, node.options))
    if isinstance(node, Repeat):
        return _first(node.item)
    members = NOTHING
    if isinstance(node, Sequence):
        for item in node.items:
            members |= _first(item)
            if not _can_be_empty(item):
                break
    return members


def _can_be_empty(node: Node) -> bool:
    if isinstance(node, Sequence):
        return all(map(_can_be_empty, node.items))
    if isinstance(node, Choice):
        return any(map(_can_be_empty, node.options))
    if isinstance(node, Repeat):
        return node.low == 0 or _can_be_empty(node.item)
    return isinstance(node, LookAhead)
