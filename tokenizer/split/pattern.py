"""Split patterns, parsed: the regular expressions that cut text into pretokens, as trees.

The language is what published vocabularies use; whatever else a regular expression may contain
raises `PatternError`:

    literals; \\r \\n \\t \\f \\v; \\ before ASCII punctuation or a blank
    \\xHH \\x{H} \\uHHHH \\u{H}
    .  \\s \\S \\d \\D \\w \\W  \\pL \\p{..} \\P{..} \\p{^..}    general categories and scripts
    [a-z] [^..], nested classes, && intersections
    ( ) (?: ) (?<name> ) (?P<name> ) (?i: ) (?-i: ), and (?i) at the very start
    ? * + {m} {m,} {m,n}, greedy; followed by +, possessive
    |  first alternative that matches, not the longest
    (?=X) (?!X) where X is one character or the end; $ \\z

Engines read some of it differently; `tokenizer.split.dialect` has the differences.
"""

import re

from tokenizer.errors import PatternError
from tokenizer.split.dialect import Dialect, can_become_a_sequence, may_become_one, shorthands
from tokenizer.split.pattern_tree import (
    END,
    LINE_END,
    Character,
    Choice,
    LookAhead,
    Node,
    Repeat,
    Sequence,
    next_character,
)
from tokenizer.split.unicode_properties import (
    CODE_POINTS,
    EVERYTHING,
    NOTHING,
    CodePointSet,
    close_over_case,
    named_set,
)

# Deeper nesting or larger bounds have no use in a split pattern, and would exhaust the stack; one
# of a megabyte takes minutes to be told that its program is too long. The longest published one
# has 332 characters.
MAX_DEPTH = 50
MAX_REPEAT = 1000
MAX_CHARACTERS = 1 << 16

_CONTROL = {"r": 13, "n": 10, "t": 9, "f": 12, "v": 11}
# Without < and >: after a backslash these are word boundaries in some engines.
_PUNCTUATION = frozenset(" !\"#$%&'()*+,-./:;=?@[\\]^_`{|}~")
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|[xu]\{([0-9A-Fa-f]{1,8})\}")
_PROPERTY = re.compile(r"[pP](?:\{(\^?)([^{}^]*)\}|([A-Za-z]))")
_BOUNDS = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_GROUP = re.compile(r"\(\?(?:(?P<look>[=!])|(?P<flag>-?i)?:|P?<(?![=!])\w+>)|\((?!\?)")


def parse_split_pattern(pattern: str, dialect: Dialect = Dialect.FANCY) -> Node:
    """The tree of a split pattern, case-insensitive parts already folded into its sets.

    >>> parse_split_pattern("a?$").items[1] == END
    True

    Raises:
        PatternError: Anything outside the language above, be it malformed or merely unsupported;
            the message has the construct and its position.
    """
    if len(pattern) > MAX_CHARACTERS:
        raise PatternError(f"a pattern of over {MAX_CHARACTERS} characters", 0, pattern)
    return _Parser(pattern, dialect).parse()


class _Parser:
    """Recursive descent; `position` is the next character to read."""

    def __init__(self, pattern: str, dialect: Dialect) -> None:
        self.pattern = pattern
        self.oniguruma = dialect is Dialect.ONIGURUMA
        self.dialect = dialect
        self.position = 0
        self.depth = 0
        self.literal_before = ""  # the one right before, in a case-insensitive part

    def parse(self) -> Node:
        ignore_case = self.take("(?i)")
        tree = self.choice(ignore_case)
        if self.position < len(self.pattern):
            raise self.refuse("an unmatched )")
        return tree

    def refuse(self, construct: str, position: int | None = None) -> PatternError:
        return PatternError(
            construct, self.position if position is None else position, self.pattern
        )

    def peek(self, after: int = 0) -> str:
        where = self.position + after
        return self.pattern[where : where + 1]

    def take(self, expected: str) -> bool:
        found = self.pattern.startswith(expected, self.position)
        self.position += len(expected) * found
        return found

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.refuse(f"nesting deeper than {MAX_DEPTH}")

    # -- sequences and repeats

    def choice(self, ignore_case: bool) -> Node:
        options = [self.sequence(ignore_case)]
        while self.take("|"):
            self.literal_before = ""
            options.append(self.sequence(ignore_case))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self, ignore_case: bool) -> Node:
        items: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            items.append(self.repeat(self.atom(ignore_case)))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def repeat(self, item: Node) -> Node:
        start = self.position
        bounds = self.quantifier()
        if bounds is None:
            return item
        if isinstance(item, LookAhead):
            raise self.refuse("a repeated look-ahead or end", start)
        if self.oniguruma and self.pattern[self.position - 1] == "}" and self.take("+"):
            item, bounds = Repeat(item, *bounds, False, start), (1, None)
        possessive = self.take("+")
        if self.peek() == "?":
            raise self.refuse("a lazy repeat")
        if self.quantifier() is not None:
            raise self.refuse("a repeat of a repeat without a group", start)
        return Repeat(item, *bounds, possessive, start)

    def quantifier(self) -> tuple[int, int | None] | None:
        """Reads one, if there is one: lowest and highest count."""
        for symbol, bounds in (("?", (0, 1)), ("*", (0, None)), ("+", (1, None))):
            if self.take(symbol):
                return bounds
        found = _BOUNDS.match(self.pattern, self.position)
        if not found:
            return None
        low = int(found[1])
        high = low if not found[2] else int(found[3]) if found[3] else None
        if max(low, high or 0) > MAX_REPEAT or (high is not None and high < max(low, 1)):
            raise self.refuse(f"the repeat {found[0]}")
        self.position = found.end()
        return low, high

    # -- atoms

    def atom(self, ignore_case: bool) -> Node:
        start = self.position
        symbol = self.peek()
        if symbol == "(":
            return self.group(ignore_case)
        if symbol == "[":
            return Character(self.bracket(ignore_case))
        if symbol == "\\":
            if self.take("\\z"):
                return END
            found = self.escape(ignore_case, in_class=False)
            if not isinstance(found, CodePointSet):
                return Character(self.one(found, ignore_case, start))
            self.literal_before = ""
            return Character(found)
        if symbol in "*+?{":
            raise self.refuse(f"{symbol} with nothing to repeat", start)
        if symbol == "^":
            raise self.refuse("the anchor ^", start)
        self.position += 1
        if symbol == "$":
            return LINE_END if self.oniguruma else END
        if symbol == ".":
            return Character(~CodePointSet.of_code_points([10]))
        return Character(self.one(ord(symbol), ignore_case, start))

    def one(self, code_point: int, ignore_case: bool, start: int) -> CodePointSet:
        members = CodePointSet.of_code_points([code_point])
        before, self.literal_before = self.literal_before, chr(code_point) if ignore_case else ""
        if not ignore_case:
            return members
        if self.oniguruma and before and may_become_one(before, chr(code_point)):
            raise self.refuse("a case-insensitive sequence that one character may match", start)
        return self.fold(members, start)

    def fold(self, members: CodePointSet, start: int) -> CodePointSet:
        if self.oniguruma and can_become_a_sequence(members):
            raise self.refuse("a case-insensitive character that a sequence may match", start)
        return close_over_case(members)

    def group(self, ignore_case: bool) -> Node:
        start = self.position
        found = _GROUP.match(self.pattern, start)
        if not found or (self.oniguruma and found[0].startswith("(?P")):
            raise self.refuse(f"the group {self.pattern[start : start + 4]}")
        self.position = found.end()
        self.enter()
        body = self.choice(ignore_case if not found["flag"] else found["flag"] == "i")
        if not self.take(")"):
            raise self.refuse("a group without its )", start)
        self.depth -= 1
        if not found["look"]:
            return body
        seen = next_character(body)
        if seen is None:
            raise self.refuse("a look-ahead at anything but one character", start)
        if found["look"] == "=":
            return seen
        return LookAhead(~seen.members, not seen.at_end)

    def escape(self, ignore_case: bool, in_class: bool) -> int | CodePointSet:
        """An escape that stands for one character, inside or outside of a class."""
        start = self.position
        self.position += 1
        symbol = self.peek()
        members = shorthands(self.dialect, in_class).get(symbol.lower())
        if members:
            self.position += 1
            return members if symbol.islower() else ~members
        if symbol in ("p", "P"):
            return self.property(start, ignore_case)
        if found := _HEX.match(self.pattern, self.position):
            self.position = found.end()
            code_point = int(found[1] or found[2] or found[3], 16)
            foreign = found[0].startswith("u{") or (found[1] and code_point > 0x7F)
            if code_point >= CODE_POINTS or (self.oniguruma and foreign):
                raise self.refuse(f"the code point \\{found[0]}", start)
            return code_point
        if symbol in _CONTROL or symbol in _PUNCTUATION:
            self.position += 1
            return _CONTROL.get(symbol, ord(symbol))
        raise self.refuse(f"the escape \\{symbol}", start)

    def property(self, start: int, ignore_case: bool) -> CodePointSet:
        found = _PROPERTY.match(self.pattern, self.position)
        if not found or (self.oniguruma and found[3]):
            raise self.refuse("a malformed \\p", start)
        name = found[2] or found[3] or ""
        members = named_set(name)
        if members is None or (self.oniguruma and not re.fullmatch(r"(?!(?i:is))[\w -]+", name)):
            raise self.refuse(f"the property \\{found[0]}", start)
        self.position = found.end()
        if ignore_case and not self.oniguruma:
            members = close_over_case(members)
        return ~members if (found[0][0] == "P") != bool(found[1]) else members

    # -- character classes

    def bracket(self, ignore_case: bool) -> CodePointSet:
        start = self.position
        self.literal_before = ""
        self.enter()
        self.position += 1
        negated = self.take("^")
        fold_all = ignore_case and self.oniguruma
        ignore_case = ignore_case and not fold_all
        members = EVERYTHING
        first = True
        while first or self.take("&&"):
            operand = self.class_operand(ignore_case, start, first)
            members = operand if first else members & operand
            first = False
        self.position += 1
        self.depth -= 1
        if fold_all:
            # Of a negated class each match is one character, whatever it folds to.
            members = close_over_case(members) if negated else self.fold(members, start)
        return ~members if negated else members

    def class_operand(self, ignore_case: bool, start: int, first: bool) -> CodePointSet:
        """The union of what stands before the next && or the closing bracket, folded."""
        ranges: list[tuple[int, int]] = []
        sets: list[CodePointSet] = []
        while first or (self.peek() != "]" and not self.pattern.startswith("&&", self.position)):
            first = False  # a ] right after the opening bracket is a member
            if not self.peek():
                raise self.refuse("a class without its ]", start)
            if self.pattern.startswith(("--", "~~", "[:", "&&"), self.position):
                raise self.refuse(f"{self.pattern[self.position : self.position + 2]} in a class")
            low = self.class_atom(ignore_case)
            if self.peek() == "-" and self.peek(1) not in ("]", "-"):
                ranges.append(self.range_from(low, ignore_case))
            elif isinstance(low, CodePointSet):
                sets.append(low)
            else:
                ranges.append((low, low))
        if not ranges and not sets:
            raise self.refuse("a class with nothing on one side of &&")
        if ranges:
            sets.append(CodePointSet.of_ranges(ranges))
        members = CodePointSet.union(sets)
        return close_over_case(members) if ignore_case else members

    def range_from(self, low: int | CodePointSet, ignore_case: bool) -> tuple[int, int]:
        start = self.position
        self.position += 1
        high = self.class_atom(ignore_case) if self.peek() else NOTHING
        if isinstance(low, CodePointSet) or isinstance(high, CodePointSet) or high < low:
            raise self.refuse("a range that is not from a lower to a higher character", start)
        return low, high

    def class_atom(self, ignore_case: bool) -> int | CodePointSet:
        if self.peek() == "[":
            return self.bracket(ignore_case)
        if self.peek() == "\\":
            return self.escape(ignore_case, in_class=True)
        self.position += 1
        return ord(self.pattern[self.position - 1])
