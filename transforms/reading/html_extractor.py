"""Which version turns pages into text; apart from html_text.py, whose library takes time."""

from importlib import metadata


def html_extractor() -> str:
    """What turns pages into text here: another version of it gives other text.

    >>> html_extractor().startswith("resiliparse ")
    True
    """
    return f"resiliparse {metadata.version('resiliparse')}"
