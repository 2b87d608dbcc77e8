"""Stages to the fewest tables that cut the same: one, wherever that can be proved.

A table by itself (isolating, on code points) takes the fast path of the native engine; a list of
stages takes the slow one. So each stage is first made plain, a table whose matches alone are the
pieces, and plain ones are then composed, the last two first:

*   A stage that matches the characters of a set, one by one or in runs, is rewritten as the pattern
    its behavior amounts to: Digits, Punctuation, Split by a string of one character.
*   A table that covers all text has no gaps, so most behaviors come to the same for it.
*   Others are made to match their gaps as well, where that needs no memory of what came before.
*   Composing is in `tokenizer.split.fast.composition`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenizer.errors import ConfigurationError
from tokenizer.split.dialect import Dialect
from tokenizer.split.fast.composition import compose
from tokenizer.split.fast.windows import Windows, windows_of
from tokenizer.split.implied import implied_split
from tokenizer.split.pattern import parse_split_pattern
from tokenizer.split.pattern_tree import Character, Choice, Node, Repeat
from tokenizer.split.pattern_tree import Sequence as Items
from tokenizer.split.stages import Behavior, SplitStage, literal
from tokenizer.split.table import SplitTable, compile_split_pattern, compile_split_tree
from tokenizer.split.unicode_properties import EVERYTHING
from tokenizer.text.byte_alphabet import BYTE_ALPHABET
from tokenizer.text.normalizers import TO_MARKS
from tokenizer.vocabulary import Vocabulary

_BEHAVIORS = list(Behavior)


@dataclass(frozen=True, eq=False)
class CompiledStage:
    """A stage with its pattern compiled. on_bytes: `table` has the classes of bytes 0 to 255."""

    table: SplitTable
    behavior: Behavior = Behavior.ISOLATED
    invert: bool = False
    on_bytes: bool = False

    def native(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int, bool, bool]:
        """As `_native.Engine` takes it."""
        table = self.table
        number = _BEHAVIORS.index(self.behavior)
        return (
            table.page_of, table.pages, table.transitions, number, self.invert, self.on_bytes
        )  # fmt: skip

    def cut(self, piece: bytes) -> list[bytes]:
        """The pieces of a piece of UTF-8: the slow specification of the native split."""
        encoding = "latin-1" if self.on_bytes else "utf-8"
        text = piece.decode(encoding)
        made: list[list[Any]] = []  # text, whether it is a match, whether it was joined
        for start, stop, matched in self.table.spans(text):
            is_match = matched != self.invert
            if made and self._joins(made[-1][1], made[-1][2], is_match):
                made[-1][0] += text[start:stop]
                made[-1][2] = True
            else:
                made.append([text[start:stop], is_match, False])
        if self.behavior is Behavior.REMOVED:
            made = [one for one in made if not one[1]]
        return [one[0].encode(encoding) for one in made]

    def _joins(self, before_is_match: bool, before_was_joined: bool, is_match: bool) -> bool:
        """Whether a match or gap joins the piece before it, which may have been joined."""
        if self.behavior is Behavior.CONTIGUOUS:
            return is_match == before_is_match
        if self.behavior is Behavior.MERGED_WITH_PREVIOUS:
            return is_match and not before_is_match and not before_was_joined
        if self.behavior is Behavior.MERGED_WITH_NEXT:
            return before_is_match and not is_match and not before_was_joined
        return False


def split(plan: Iterable[CompiledStage], text: str) -> list[bytes]:
    """The pretokens of a text by all stages of a plan, as UTF-8; the slow specification."""
    pieces = [text.encode()] if text else []
    for stage in plan:
        pieces = [part for piece in pieces for part in stage.cut(piece)]
    return pieces


def windows_of_plan(plan: Sequence[CompiledStage]) -> Windows | None:
    """`windows_of` its only table; None for a plan that the native engine takes by stages."""
    first = plan[0]
    is_one_table = len(plan) == 1 and first.behavior is Behavior.ISOLATED and not first.on_bytes
    return windows_of(first.table) if is_one_table else None


def plan_of(vocabulary: Vocabulary) -> Sequence[CompiledStage]:
    """The stages of a vocabulary.

    Raises:
        ConfigurationError: They would lose text.
    """
    if vocabulary.split_pattern is not None:
        table = compile_split_pattern(vocabulary.split_pattern)
        if not table.covers_all_text:
            raise ConfigurationError(
                f"{vocabulary.name}: the split pattern leaves some text unmatched: "
                f"{vocabulary.split_pattern}"
            )
        return [CompiledStage(table)]
    stages = vocabulary.pre_tokenizer.stages
    if vocabulary.byte_tokens is None:
        return plan_split(stages)
    # Where the normalizer has replaced all blanks there are none to cut at (Gemma).
    if vocabulary.normalizer[-1:] == (TO_MARKS,):
        stages = tuple(stage for stage in stages if stage.pattern != literal(" "))
    return plan_split((*stages, SplitStage(implied_split(vocabulary), dialect=Dialect.FANCY)))


def plan_split(stages: Sequence[SplitStage]) -> tuple[CompiledStage, ...]:
    """The fewest compiled stages that cut any text as `stages` do; at least one.

    Raises:
        PatternError: A pattern that does not compile.
    """
    plan: list[CompiledStage] = []
    for stage in reversed(list(map(_compile, stages))):
        joined = _joined(stage, plan[0]) if plan else None
        plan[:1] = [joined] if joined else [stage, *plan[:1]]
    everything = Repeat(Character(EVERYTHING), 1, None, False, 0)
    return tuple(plan) or (CompiledStage(compile_split_tree(r"(?:.|\n)+", everything)),)


def _joined(first: CompiledStage, second: CompiledStage) -> CompiledStage | None:
    plain = first.behavior is second.behavior is Behavior.ISOLATED
    if not plain or first.on_bytes != second.on_bytes:
        return None
    table = compose(first.table, second.table)
    return CompiledStage(table, on_bytes=first.on_bytes) if table else None


def _compile(stage: SplitStage) -> CompiledStage:
    tree = parse_split_pattern(stage.pattern, stage.dialect)
    behavior, invert = stage.behavior, stage.invert
    if rewritten := _rewritten(tree, behavior, invert):
        tree, behavior = rewritten, Behavior.ISOLATED
    table = compile_split_tree(stage.pattern, tree)
    # Without gaps there is nothing to merge with; and gaps that are removed are none.
    merged = behavior in (Behavior.MERGED_WITH_PREVIOUS, Behavior.MERGED_WITH_NEXT)
    if table.covers_all_text and (merged or (behavior is Behavior.REMOVED and invert)):
        behavior = Behavior.ISOLATED
    invert = invert and behavior is not Behavior.ISOLATED
    table = _table_of_bytes(table) if stage.on_bytes else table
    return CompiledStage(table, behavior, invert, stage.on_bytes)


def _rewritten(tree: Node, behavior: Behavior, invert: bool) -> Node | None:
    """What isolates the same pieces, for a set of characters or runs of it; else None.

    A piece of MergedWithPrevious is a gap and the match after it, or a match by itself, since
    before a second match stands a match; MergedWithNext is its mirror.
    """
    item = tree.item if isinstance(tree, Repeat) and (tree.low, tree.high) == (1, None) else tree
    if not isinstance(item, Character):
        return None
    gap = _run(Character(~item.members))
    match, other = (gap, tree) if invert else (tree, gap)
    if behavior is Behavior.ISOLATED:
        return Choice((match, other))
    if behavior is Behavior.CONTIGUOUS:
        return Choice((_run(item), gap))
    if behavior is Behavior.MERGED_WITH_PREVIOUS:
        return Choice((Items((other, _optional(match))), match))
    if behavior is Behavior.MERGED_WITH_NEXT:
        return Choice((Items((match, _optional(other))), other))
    return None


def _run(item: Node) -> Node:
    return Repeat(item, 1, None, False, 0)


def _optional(item: Node) -> Node:
    return Repeat(item, 0, 1, False, 0)


def _table_of_bytes(table: SplitTable) -> SplitTable:
    """The table with each byte in the class of the character that ByteLevel puts in its place."""
    pages = table.classes_of(BYTE_ALPHABET).reshape(1, 256)
    page_of = np.zeros_like(table.page_of)
    return SplitTable(table.pattern, page_of, pages, table.transitions, table.covers_all_text)
