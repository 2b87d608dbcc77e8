"""The main text of an HTML page."""

import re

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree, traverse_dom

# The extractor takes time quadratic in the depth of the tree: 0.05 s at 2,000
# elements inside each other, 5 s at 16,000. Browsers stop at 512.
_MAX_DEPTH = 2000
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"}


def main_text(page: str) -> str | None:
    """Return the page's main content, paragraphs on lines of their own; None if it has none."""
    tree = HTMLTree.parse(page)
    if _may_be_deep(page) and _depth(tree) > _MAX_DEPTH:
        return None
    text: str = extract_plain_text(tree, main_content=True)
    return text if text.strip() else None


def _may_be_deep(page: str) -> bool:
    """False when the tags can not make a tree that is too deep.

    Counts elements as open until a tag of their own name closes them, which a
    parser may do earlier. Asking the tree itself costs far more: 50 ms a page.
    """
    if page.count("<") <= _MAX_DEPTH:
        return False
    open_elements: dict[str, int] = {}
    depth = 0
    for closing, name in _TAG.findall(page.lower()):
        if not closing and name not in _VOID:
            open_elements[name] = open_elements.get(name, 0) + 1
            depth += 1
            if depth > _MAX_DEPTH:
                return True
        elif open_elements.get(name):
            open_elements[name] -= 1
            depth -= 1
    return False


def _depth(tree: HTMLTree) -> int:
    """How deep elements are nested in the body."""
    deepest = 0

    def note(context: object) -> None:
        nonlocal deepest
        deepest = max(deepest, context.depth)  # type: ignore[attr-defined]

    if tree.body is not None:
        traverse_dom(tree.body, note, elements_only=True)
    return deepest
