"""The main text of an HTML page."""

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree, traverse_dom

from transforms.reading._page_shape import measure

# Limits of what is parsed. Pages of real sites have a few elements left open, some tens of
# attributes, and hundreds of elements inside each other at most: browsers stop at 512.
#
# - A formatting element that is left open is opened again in every paragraph that follows: 20,000
#   `<p><font a1=1>` made 200 million elements and took all memory; 2.4 million took 15 s and 1 GB.
# - Each option is compared with all before it: 100,000 of them took over 57 s.
# - So is each attribute of a tag: 0.02 s for 2,000, 3.3 s for 20,000, minutes for 200,000.
# - The extractor takes time quadratic in the depth of the tree: 0.05 s at 2,000 elements inside
#   each other, 5 s at 16,000.
_MAX_REOPENED = 500_000
_MAX_RAW_FORMATTING = 10_000  # in scripts: tags, where a parser ignores that of the script
_MAX_OPTIONS = 10_000
_MAX_ATTRIBUTES = 500
_MAX_DEPTH = 2000


class PageTooComplex(Exception):
    """The page would take the parser or the extractor time out of all proportion."""


def main_text(page: str) -> str | None:
    """The page's main content, paragraphs on lines of their own; None if it has none.

    Raises:
        PageTooComplex: elements are nested too deeply, one has too many attributes, or too many are
            left open.
    """
    reopened, raw_formatting, options, attributes, depth = measure(page)
    if reopened > _MAX_REOPENED:
        raise PageTooComplex(f"formatting elements are left open: {reopened:,} are made of them")
    if raw_formatting > _MAX_RAW_FORMATTING:
        raise PageTooComplex(f"more than {_MAX_RAW_FORMATTING} formatting elements in scripts")
    if options > _MAX_OPTIONS:
        raise PageTooComplex(f"a select has more than {_MAX_OPTIONS} options")
    if attributes > _MAX_ATTRIBUTES:
        raise PageTooComplex(f"an element has more than {_MAX_ATTRIBUTES} attributes")
    tree = HTMLTree.parse(page)
    # A parser may close elements before their own tag does. Asking the tree costs 50 ms a page.
    if depth > _MAX_DEPTH and _depth(tree) > _MAX_DEPTH:
        raise PageTooComplex(f"elements are nested more than {_MAX_DEPTH} deep")
    text: str = extract_plain_text(tree, main_content=True)
    return text if text.strip() else None


def _depth(tree: HTMLTree) -> int:
    """How deep elements are nested in the body."""
    deepest = 0

    def note(context: object) -> None:
        nonlocal deepest
        deepest = max(deepest, context.depth)  # type: ignore[attr-defined]

    if tree.body is not None:
        traverse_dom(tree.body, note, elements_only=True)
    return deepest
