"""Single changes of Python and C++ that a reviewer would call bugs, for tools/mutate.py."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.mutations_covered import EQUIVALENT, KNOWN

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Change:
    """One change: bytes start to stop of a file become `new`. before, after, source: to show."""

    path: str
    line: int
    start: int
    stop: int
    new: str
    before: str
    after: str
    source: str

    @property
    def equivalence(self) -> str:
        """Why it makes no difference; empty where it does."""
        return self._reason_in(EQUIVALENT)

    @property
    def why_unnoticed(self) -> str:
        """Why no test notices it, where that is known; also of what makes no difference."""
        return self.equivalence or self._reason_in(KNOWN)

    def _reason_in(self, reasons: dict[str, str]) -> str:
        return next((why for start, why in reasons.items() if str(self).startswith(start)), "")

    def __str__(self) -> str:
        change = f"{self.path}: `{_short(self.before)}` -> `{_short(self.after)}`"
        return change if self.source in self.before else f"{change} in `{_short(self.source)}`"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- changes of Python ----------------------------------------------------------------------------

_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult}


def python_changes(path: Path) -> Iterator[Change]:
    """Every change of a module, one syntax node each; messages and annotations are left alone."""
    source = path.read_text(encoding="utf-8")
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    name = path.relative_to(REPOSITORY).as_posix()
    for node in _nodes(ast.parse(source)):
        new = _changed(node)
        if new is None:
            continue
        start = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        stop = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        old = source.encode()[start:stop].decode()
        line: int = node.lineno  # type: ignore[attr-defined]
        text = lines[line - 1].decode().strip()
        yield Change(name, line, start, stop, new, old, new, text)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases"):
            continue
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift | ast.RShift):
            continue  # sizes of buffers
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.ImportFrom | ast.Import | ast.Assert):
                continue
            if isinstance(child, ast.Raise):
                yield child
                continue  # what a message says is for people to judge
            yield child
            yield from _nodes(child)


def _changed(node: ast.AST) -> str | None:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _COMPARISONS:
            new = ast.Compare(node.left, [_COMPARISONS[type(operator)]()], node.comparators)
            return f"({ast.unparse(new)})"
        case ast.BoolOp(op=operator):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            return f"({ast.unparse(ast.BoolOp(other, node.values))})"
        case ast.UnaryOp(op=ast.Not()):
            return f"({ast.unparse(node.operand)})"
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS:
            new_operation = ast.BinOp(node.left, _OPERATORS[type(operator)](), node.right)
            return f"({ast.unparse(new_operation)})"
        case ast.Constant(value=bool() as value):
            return str(not value)
        case ast.Constant(value=int() as value) if value <= 64:
            return str(value + 1)
        case ast.Expr(value=ast.Call()) | ast.Raise():
            return "pass"
        case ast.Break():
            return "continue"
        case ast.Continue():
            return "break"
    return None


# -- changes of C++ -------------------------------------------------------------------------------

_CPP = [
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r" != ", " == "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r" \+ 1\b", " + 0"),
    (r" - 1\b", " - 0"),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r"\bbreak;", ";"),
]


def cpp_changes(path: Path) -> Iterator[Change]:
    """Every change of an operator, outside comments."""
    name = path.relative_to(REPOSITORY).as_posix()
    at = 0
    for number, line in enumerate(path.read_bytes().decode().splitlines(keepends=True), 1):
        code = line.split("//")[0]
        if not line.lstrip().startswith(("#", "//", "*", "template", "static_assert")):
            for pattern, new in _CPP:
                for found in re.finditer(pattern, code):
                    start = at + len(line[: found.start()].encode())
                    stop = start + len(found.group().encode())
                    after = (line[: found.start()] + new + line[found.end() :]).strip()
                    before = line.strip()
                    yield Change(name, number, start, stop, new, before, after, before)
        at += len(line.encode())
