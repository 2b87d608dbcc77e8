"""What is measured of a page, against what its parser makes of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree, traverse_dom

from transforms.reading._page_shape import measure
from transforms.reading.html_text import PageTooComplex, main_text

# What may stand around `<font>` and `<div>` so that they look closed and are not.
TRICKS = [
    "", "<p>", "</p>", "</i>", "</b>", "</font>", "</FONT >", "</div>", "</span>", "x",
    "<!--</font></div>-->", "<!--></font>-->", "<!---></div>-->", "<!--", "-->", "--!>",
    "<b title='</font></div>'>", "</font\v>", "<object>", "</object>", "<table>", "</table>",
    "<td>", "</td>", "<select>", "</select>", "<svg>", "</svg>", "<title>", "</title>", "<desc>",
    "<xmp>", "</xmp>", "<style>", "</style>", "<script><!--<script></script>", "</script>",
    "<template>", "</template>", "<![CDATA[", "]]>", "<button>", "</button>", "<a href=b>", "</a>",
    "<textarea>", "</textarea>", "<math><mi>", "</mi>", "</math>", "<marquee>", "</marquee>",
    "<noscript>", "</noscript>", "<frameset>", "<body a>", "<li>", "</ul>", "<br/>", "='", '"',
]  # fmt: skip
UNITS = st.lists(st.sampled_from(TRICKS), max_size=4).map("".join)


def elements_and_depth(page: str) -> tuple[int, int]:
    found, deepest = 0, 0

    def note(context: object) -> None:
        nonlocal found, deepest
        found += 1
        deepest = max(deepest, context.depth)  # type: ignore[attr-defined]

    tree = HTMLTree.parse(page)
    if tree.body is not None:
        traverse_dom(tree.body, note, elements_only=True)
    return found, deepest


@given(UNITS, UNITS, UNITS)
@settings(derandomize=True, deadline=None, max_examples=400)
def test_what_multiplies_elements_is_counted_as_left_open(a: str, b: str, c: str) -> None:
    """A page of 60 units with far more elements than tags is one that grows with its square."""
    page = a + "".join(f"{b}<p><font a{n}=1>{c}" for n in range(60))
    elements, _ = elements_and_depth(page)
    reopened, raw_formatting, *_ = measure(page)
    is_seen = "<table>" not in page and "<select>" not in page and "<object>" not in page
    if is_seen and elements > 12 * page.count("<"):
        assert reopened + 60 * raw_formatting > elements / 4


@given(UNITS, UNITS, UNITS)
@settings(derandomize=True, deadline=None, max_examples=400)
def test_a_tree_is_not_deeper_than_is_measured(a: str, b: str, c: str) -> None:
    page = a + f"{b}<div>{c}" * 60
    _, depth = elements_and_depth(page)
    assert depth <= measure(page)[4] + page.count("<b") + 5


@pytest.mark.parametrize(
    "unit",
    [
        "<p><font a{n}=1></i>",
        "<!--</font>--><p><font a{n}=1>",
        "<p><font a{n}='</font>'>",
        "<p><font a{n}=1></font\v>",
        "<p><font a{n}=1></p></p></p>",
        "<p><font a{n}=1><svg><![CDATA[</font>]]></svg>",
        "<p><font a{n}=1><script><!--<script></script></font>--></script>",
    ],
)
def test_elements_that_only_look_closed_are_left_open(unit: str) -> None:
    page = "</font>" * 999 + "".join(unit.format(n=n) for n in range(999)) + "</font>" * 999
    with pytest.raises(PageTooComplex, match="left open"):
        main_text(page)


def test_a_few_that_are_left_open_before_very_many_paragraphs_are_refused() -> None:
    """26 KB of it took 15 s and 1 GB."""
    opened = "".join(f"<font a{n}=1>" for n in range(490))
    with pytest.raises(PageTooComplex, match="left open"):
        main_text(f"<p>{opened}" + "<p>x" * 5000)


@pytest.mark.parametrize("tag", ["html", "body"])
def test_attributes_of_one_element_in_many_tags_are_added_up(tag: str) -> None:
    with pytest.raises(PageTooComplex, match="500 attributes"):
        main_text("<p>text" + "".join(f"<{tag} a{n}=1>" for n in range(501)))


@pytest.mark.parametrize(
    "unit",
    [
        "<p><a name=x{n}>text",
        "<p><b>text",
        "<p><b c={n}>text</b>",
        "<i class='icon'><svg><path d='M0'></path></svg></i><p>text</p>",
        "<em>text <math><mi>x</mi></math> and more</em>",
        "<font size=2><table><tr><td>text</td></tr></table></font>",
        "<select><option>a<option>b<option>c</select><p>text</p>",
        "<script>'<b>text</b>'</script><p>text</p>",
    ],
)
def test_what_a_parser_closes_or_keeps_a_few_of_is_no_reason(unit: str) -> None:
    page = "".join(unit.format(n=n) for n in range(2000))
    assert "text" in (main_text(page) or "")


@pytest.mark.parametrize(
    "unit", ["<div><!--</div>-->", "<div a='</div>'>", "<div><table></div></table>"]
)
def test_a_deep_page_can_not_look_flat(unit: str) -> None:
    with pytest.raises(PageTooComplex, match="2000 deep"):
        main_text(unit * 3000 + "text")


@pytest.mark.parametrize(
    ("page", "shape"),
    [
        ("", (0, 0, 0, 0, 0)),
        ("<", (0, 0, 0, 0, 0)),
        ("<p a='", (0, 0, 0, 1, 1)),
        ("<p =a b = c>", (0, 0, 0, 2, 1)),
        ("<b><i c></I></B><b><p>", (2, 0, 0, 1, 2)),
        ("<script>a<b c d e></script><p f>", (0, 1, 0, 1, 3)),
        ("<select><option><OPTGROUP x></select>", (0, 0, 2, 1, 3)),
        ("<table><tr><td>", (0, 0, 0, 0, 6)),
        ("<br><img src=x><h1>é</h1>", (0, 0, 0, 1, 1)),
        ("<select><option><select><option>", (0, 0, 1, 0, 4)),
    ],
)
def test_a_page_has_this_shape(page: str, shape: tuple[int, ...]) -> None:
    assert measure(page) == shape
