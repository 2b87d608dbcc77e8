"""What of an HTML page could cost its parser too much; see native/page_shape.h."""

def measure(page: str) -> tuple[int, int, int, int, int]:
    """At most open at a time: formatting elements; formatting elements in raw text; options;
    attributes of the tag that has most; depth: at most open at a time, of all elements.

    Linear, without the GIL. Raises TypeError for lone surrogates.
    """
