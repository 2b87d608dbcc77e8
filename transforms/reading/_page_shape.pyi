"""What of an HTML page could cost its parser too much; see native/page_shape.cc."""

def measure(page: str) -> tuple[int, int, int, int]:
    """Formatting elements left open, options, attributes of the tag that has most, and depth.

    Linear, without the GIL. Raises UnicodeEncodeError for lone surrogates.
    """
