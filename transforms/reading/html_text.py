"""The main text of an HTML page."""

import re
from collections.abc import Iterator
from itertools import islice

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree, traverse_dom

# The extractor takes time quadratic in the depth of the tree: 0.05 s at 2,000
# elements inside each other, 5 s at 16,000. Browsers stop at 512.
_MAX_DEPTH = 2000
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"}

# The parser compares each attribute of a tag with all before it: 0.02 s for 2,000, 3.3 s for
# 20,000, minutes for 200,000. Pages of real sites have some tens.
_MAX_ATTRIBUTES = 500
_MAX_QUOTED_ENDS = 100
_MIN_CROWDED_CHARS = 2 * _MAX_ATTRIBUTES  # a letter and a blank each, were they not distinct
_TAG_BEGIN = re.compile(r"<[A-Za-z]")
_QUOTED_END = re.compile(r"""=\s*(?:"[^">]*>|'[^'>]*>)""")
_MARKUP = re.compile(r"<(?:!--|/?([A-Za-z][^\s/>]*))")
_ATTRIBUTE = re.compile(
    r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s>]*))?"""
)
_RAW_TEXT = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"}


# A formatting element that is left open is opened again in every paragraph that follows: 20,000
# `<p><font a1=1>` made 200 million elements and took all memory. Pages leave a few open.
_MAX_LEFT_OPEN = 500
_FORMATTING = re.compile(
    r"<(/?)(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])", re.IGNORECASE
)
# Each option is compared with all before it: 100,000 of them took over 57 s.
_MAX_OPTIONS = 10_000
_OPTION = re.compile(r"<opt(?:ion|group)(?=[\s/>])", re.IGNORECASE)


class PageTooComplex(Exception):
    """The page would take the parser or the extractor time out of all proportion."""


def main_text(page: str) -> str | None:
    """The page's main content, paragraphs on lines of their own; None if it has none.

    Raises:
        PageTooComplex: elements are nested too deeply, one has too many attributes, or too many are
            left open.
    """
    if _leaves_open(page):
        raise PageTooComplex(f"more than {_MAX_LEFT_OPEN} formatting elements are left open")
    if page.count("<") > _MAX_OPTIONS and len(_OPTION.findall(page)) > _MAX_OPTIONS:
        raise PageTooComplex(f"the page has more than {_MAX_OPTIONS} options")
    if _may_be_crowded(page) and _is_crowded(page):
        raise PageTooComplex(f"an element has more than {_MAX_ATTRIBUTES} attributes")
    tree = HTMLTree.parse(page)
    if _may_be_deep(page) and _depth(tree) > _MAX_DEPTH:
        raise PageTooComplex(f"elements are nested more than {_MAX_DEPTH} deep")
    text: str = extract_plain_text(tree, main_content=True)
    return text if text.strip() else None


def _leaves_open(page: str) -> bool:
    """Whether many formatting elements are not closed. Most pages are told by two counts."""
    if page.count("<") - 2 * page.count("</") <= _MAX_LEFT_OPEN:
        return False
    closing = sum(1 for tag in _FORMATTING.finditer(page) if tag[1])
    opening = sum(1 for tag in _FORMATTING.finditer(page) if not tag[1])
    return opening - closing > _MAX_LEFT_OPEN


def _may_be_crowded(page: str) -> bool:
    """False when no tag can have too many attributes, which costs far less to see.

    A tag reaches to the first `>` that is not in quotes, so one that is crowded has a long run
    of characters without `>` from its `<` on, or after a `>` in quotes, or many of the latter.
    """
    runs = list(_runs_without_tag_end(page, _MIN_CROWDED_CHARS))
    for begin, end in runs:
        tag = _TAG_BEGIN.search(page, begin, end)
        if tag and end - tag.start() >= _MIN_CROWDED_CHARS:
            return True
    quoted_ends = sum(1 for _ in islice(_QUOTED_END.finditer(page), _MAX_QUOTED_ENDS))
    return quoted_ends == _MAX_QUOTED_ENDS or bool(quoted_ends and runs)


def _runs_without_tag_end(page: str, min_chars: int) -> Iterator[tuple[int, int]]:
    """Where at least so many characters stand without `>` between them.

    Such a run covers one of the blocks of half its size that the page is divided into. In others
    a `>` is found after a few characters.
    """
    block, at = min_chars // 2, 0
    while at < len(page):
        if page.find(">", at, at + block) < 0:
            begin = page.rfind(">", 0, at) + 1
            end = page.find(">", at + block)
            end = len(page) if end < 0 else end
            if end - begin >= min_chars:
                yield begin, end
            at = end - end % block  # on the block's boundary
        at += block


def _is_crowded(page: str) -> bool:
    """Whether a tag has more attributes than are allowed, read as the HTML standard reads tags."""
    at = 0
    while markup := _MARKUP.search(page, at):
        at = markup.end()
        name = markup[1]
        if name is None:
            end = page.find("-->", at)
            at = end if end >= 0 else len(page)
            continue
        count = 0
        while attribute := _ATTRIBUTE.match(page, at):
            at = attribute.end()
            count += 1
            if count > _MAX_ATTRIBUTES:
                return True
        if name.lower() in _RAW_TEXT and page[markup.start() + 1] != "/":
            end_tag = re.compile(f"</{re.escape(name)}", re.IGNORECASE).search(page, at)
            at = end_tag.start() if end_tag else len(page)
    return False


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
