"""What is measured of a page, against expressions that say the same in another way."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.reading._page_shape import measure

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"}
RAW_TEXT = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"}
TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.ASCII | re.IGNORECASE)
FORMATTING = re.compile(
    r"<(/?)(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])",
    re.ASCII | re.IGNORECASE,
)
OPTION = re.compile(r"<opt(?:ion|group)(?=[\s/>])", re.ASCII | re.IGNORECASE)
MARKUP = re.compile(r"<(?:!--|/?([a-z][^\s/>]*))", re.ASCII | re.IGNORECASE)
ATTRIBUTE = re.compile(
    r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s>]*))?""", re.ASCII
)

PIECES = [
    "<", ">", "/", "=", " ", "\n", '"', "'", "!--", "-->", "a", "B", "p", "é", "&", "x1", "<p ",
    "<b>", "</b>", "<BR/>", "<font a=1>", "<option>", "</option>", "<optgroup x>", "<div><div>",
    "</div>", "<script>", "</SCRIPT", "<style a='>'>", "</style>", "<textarea", "<h1 a b=c d='e'>",
]  # fmt: skip
PAGES = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def depth_of(page: str) -> int:
    open_elements: dict[str, int] = {}
    deepest = 0
    for closing, name in TAG.findall(page):
        if closing:
            open_elements[name.lower()] = max(0, open_elements.get(name.lower(), 0) - 1)
        elif name.lower() not in VOID:
            open_elements[name.lower()] = open_elements.get(name.lower(), 0) + 1
        deepest = max(deepest, sum(open_elements.values()))
    return deepest


def attributes_of(page: str) -> int:
    at = most = 0
    while markup := MARKUP.search(page, at):
        at = markup.end()
        if markup[1] is None:
            end = page.find("-->", at)
            at = end if end >= 0 else len(page)
            continue
        count = 0
        while attribute := ATTRIBUTE.match(page, at):
            at = attribute.end()
            count += 1
        most = max(most, count)
        if markup[1].lower() in RAW_TEXT and page[markup.start() + 1] != "/":
            ending = re.compile(f"</{re.escape(markup[1])}", re.ASCII | re.IGNORECASE)
            end_tag = ending.search(page, at)
            at = end_tag.start() if end_tag else len(page)
    return most


@given(PAGES)
@example("<p a='")
@example("<p a=")
@example("<script><!-- <p a b c></script><p a b>")
@example("<p =a =b>")
@settings(derandomize=True, deadline=None, max_examples=600)
def test_a_page_has_the_shape_that_expressions_find(page: str) -> None:
    closings = sum(1 for tag in FORMATTING.finditer(page) if tag[1])
    openings = sum(1 for tag in FORMATTING.finditer(page) if not tag[1])
    options = len(OPTION.findall(page))
    assert measure(page) == (openings - closings, options, attributes_of(page), depth_of(page))
