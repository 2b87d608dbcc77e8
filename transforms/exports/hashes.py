"""Hashes that decide where a document goes: of its text, its id, its host; never of its place."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]

# The scheme, perhaps a user, then the host, which may be an IPv6 address in brackets.
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:@]+)"


def mixed(values: Hashes, seed: int = 0) -> Hashes:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014): each bit depends on all of them."""
    result: Hashes = values + np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        result = (result ^ (result >> np.uint64(shift))) * np.uint64(factor)
    return result


def hosts_of(urls: pa.Array) -> pa.Array:
    """The host of each URL in lower case, without user and port; null where there is none.

    >>> hosts_of(pa.array(["https://me@Example.org:80/a", "http://[::1]/b", "x", None])).to_pylist()
    ['example.org', '[::1]', None, None]
    """
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _HOST), "host"))
