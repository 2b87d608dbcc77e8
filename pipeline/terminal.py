"""Text that came from elsewhere, made safe to show: it may neither move the cursor nor lie."""


def escaped(text: str) -> str:
    r"""The text with every control character, line break and lone surrogate escaped.

    >>> escaped("naïve 🧵"), escaped("a\x1b[2J\ncomplete: yes")
    ('naïve 🧵', 'a\\x1b[2J\\ncomplete: yes')
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
