"""Which version turns pages into text; apart from html_text.py, whose library takes time."""

from functools import cache
from importlib import metadata


@cache  # 0.4 ms of reading the package's metadata, and a resume asks for each receipt
def html_extractor() -> str:
    """What turns pages into text here: another version of it gives other text.

    >>> html_extractor().startswith("resiliparse ")
    True
    >>> html_extractor() is html_extractor()
    True
    """
    return f"resiliparse {metadata.version('resiliparse')}"
