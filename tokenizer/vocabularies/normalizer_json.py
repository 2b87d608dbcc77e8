"""The `normalizer` section of a tokenizer.json, as steps (`tokenizer.text.normalizers`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from tokenizer.errors import VocabularyError
from tokenizer.text.normalizers import FORMS, Prepend, Replace, Step, UnicodeForm
from tokenizer.vocabularies.json_section import Section

_MAX_DEPTH = 16
# How much longer steps may make a text: five that make 64 of one make a gigabyte of one letter.
_MAX_GROWTH = 1 << 10


def parse_normalizer(section: Mapping[str, Any] | None) -> tuple[Step, ...]:
    """The steps of a tokenizer.json's `normalizer` section; none for null.

    Raises:
        VocabularyError: A normalizer is malformed or not supported; the message names it.
    """
    if section is None:
        return ()
    root = Section(section, "tokenizer.json: normalizer")
    steps = tuple(_steps(root, 0))
    growth = 1.0
    for step in steps:
        growth *= _growth(step)
    if growth > _MAX_GROWTH:
        raise root.error(f"makes text more than {_MAX_GROWTH} times as long")
    return steps


def _steps(section: Section, depth: int) -> Iterator[Step]:
    kind = section.get("type", str)
    if kind == "Sequence":
        if depth == _MAX_DEPTH:
            raise section.error(f"Sequences in each other, more than {_MAX_DEPTH} deep")
        for one in section.sections("normalizers"):
            yield from _steps(one, depth + 1)
    elif kind == "Prepend":
        yield Prepend(section.get("prepend", str))
    elif kind == "Replace":
        pattern = section.section("pattern")
        text = pattern.get("String", str, "")
        if not text:
            raise _refusal(section, f"Replace: pattern {dict(pattern.fields)}", "a String")
        yield Replace(text, section.get("content", str))
    else:
        forms = [form for form in FORMS if form == kind]
        if not forms:
            expected = f"null, Sequence, Replace, Prepend, or one of {', '.join(FORMS)}"
            raise _refusal(section, kind, expected)
        yield UnicodeForm(forms[0])


def _growth(step: Step) -> float:
    """How many times longer it makes a text at most."""
    if isinstance(step, Replace):
        return max(1.0, len(step.content.encode()) / len(step.pattern.encode()))
    if isinstance(step, Prepend):
        return 1.0 + len(step.prefix.encode())
    return 1.0 if step.form == "NFC" else 18.0  # U+FDFA becomes 18 characters


def _refusal(section: Section, what: str, expected: str) -> VocabularyError:
    return section.error(f"normalizer {what} is not supported: expected {expected}")
