"""`Section`: an object of a vocabulary's JSON, read field by field, each of the type it must have.

    Section({"type": "Digits"}, "tokenizer.json: pre_tokenizer").get("individual_digits", bool)
    VocabularyError: tokenizer.json: pre_tokenizer: expected 'individual_digits' to be bool, ...

A vocabulary file comes from anywhere. Read so, whatever is in it is either what it must be or an
error that names the place; nothing is found out by a TypeError somewhere below.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from tokenizer.errors import VocabularyError

_T = TypeVar("_T")
_REQUIRED: Any = object()


class Section:
    """The fields of a JSON object, and where it stands. Every error is a VocabularyError."""

    def __init__(self, fields: Any, place: str) -> None:
        if not isinstance(fields, Mapping):
            raise VocabularyError(f"{place}: expected an object, found {_shown(fields)}")
        self.fields = fields
        self.place = place

    @staticmethod
    def parse(content: bytes, place: str) -> "Section":
        """The object that a file holds."""
        try:
            root = json.loads(content)
            if b"\\ud" in content.lower():  # half a surrogate pair is JSON, but no text
                json.dumps(root, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise VocabularyError(f"{place}: not JSON: {error}") from error
        return Section(root, place)

    def get(self, name: str, kind: type[_T], default: Any = _REQUIRED) -> _T:
        """A field of that type, `default` where it is missing. No bool is an int."""
        found = self.fields.get(name, default)
        if found is default and default is not _REQUIRED:
            return found  # type: ignore[no-any-return]
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            what = "nothing" if found is _REQUIRED else _shown(found)
            raise self.error(f"expected {name!r} to be {kind.__name__}, found {what}")
        return found

    def section(self, name: str) -> "Section":
        """A field that is an object."""
        return Section(self.fields.get(name), f"{self.place}: {name}")

    def optional(self, name: str) -> "Section | None":
        """A field that is an object; None where it is null or missing."""
        return None if self.fields.get(name) is None else self.section(name)

    def sections(self, name: str, default: Any = _REQUIRED) -> Iterator["Section"]:
        """A field that is a list of objects."""
        for number, one in enumerate(self.get(name, list, default) or ()):
            yield Section(one, f"{self.place}: {name}[{number}]")

    def expect_only(self, names: Iterable[str]) -> None:
        """Refuses a field that nobody knows: it might change ids."""
        if unknown := sorted(set(self.fields) - set(names)):
            raise self.error(f"{unknown[0]}: an unknown field")

    def error(self, message: str) -> VocabularyError:
        """To be raised: what is wrong here."""
        return VocabularyError(f"{self.place}: {message}")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        text = "something deeply nested"
    return text if len(text) <= 100 else f"{text[:100]}..."
