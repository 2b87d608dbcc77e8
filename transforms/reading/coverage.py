"""How much of an input could be read: filled in by the decoder and the record reader."""

from dataclasses import dataclass


@dataclass(slots=True)
class Coverage:
    """What became of the bytes of one input, beside its records.

    A gzip file of 900 bytes whose second member is damaged at byte 500 and whose third begins at
    byte 700 has 200 undecoded bytes. Cut at byte 800 it is truncated, and how much is missing
    nobody can know.

    Attributes:
        decoded_bytes: decompressed bytes that the decoder gave; Parquet: uncompressed size of the
            column chunks that were read.
        undecoded_bytes: raw bytes of the file that were never decoded; Parquet: compressed size of
            what could not be read.
        is_truncated: the file ends inside a member, a frame or a WARC record.
    """

    decoded_bytes: int = 0
    undecoded_bytes: int = 0
    is_truncated: bool = False
