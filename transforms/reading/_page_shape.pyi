"""What of an HTML page could cost its parser too much; see native/page_shape.h."""

def measure(page: str) -> tuple[int, int, int, int, int]:
    """Formatting elements opened again, at most; formatting elements in raw text; options of the
    select, and attributes of the tag, that has most; elements open at a time.

    Linear, without the GIL. Raises TypeError for lone surrogates.
    """
