"""What the decoders of compressed members have in common: how they say what is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from transforms.reading.raw_input import RawInput

PIECE_BYTES = 1 << 20  # decoders hand out pieces of at most about this size


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where a compressed stream is broken, in the order of the bytes around it.

    Attributes:
        compressed_offset: in the raw file, where the decoder noticed.
        detail: what was expected and what was found.
        ends_stream: nothing could be read after it.
        loses_bytes: the bytes before and after do not belong together. False for a failed checksum:
            everything was decoded, something in it is wrong.
        suspect: what a small member gave whose checksum failed; not delivered otherwise.
    """

    compressed_offset: int
    detail: str
    ends_stream: bool
    loses_bytes: bool = True
    suspect: bytes = b""


@dataclass(frozen=True, slots=True)
class MemberStart:
    """The next piece is the first of another member."""


@dataclass(frozen=True, slots=True)
class PartEnd:
    """What was asked for of the file ends here; what follows tells how its last record goes on."""


Event = bytes | Damage | MemberStart | PartEnd
"""What a decompressed file is told as, in its order."""


class MemberDamaged(Exception):
    """Inside a member, after all that could be decoded of it was handed out."""

    def __init__(self, offset: int, detail: str) -> None:
        super().__init__(detail)
        self.offset = offset
        self.detail = detail


class MemberTruncated(MemberDamaged):
    """The file ends inside a member."""


class ChecksumFailed(MemberDamaged):
    """A member was decoded to its end, where its checksum says that it is another."""

    def __init__(self, offset: int, detail: str, suspect: bytes) -> None:
        super().__init__(offset, detail)
        self.suspect = suspect


class Codec(Protocol):
    """One compression format; a file is a sequence of its members (frames, streams)."""

    name: str
    magic: bytes

    def small_member(self, raw: RawInput) -> bytes | None:
        """The member that `raw` stands at, where it is sound and buffered whole.

        Moves over it; None, and does not move, where `member` has to look.
        """

    def member(self, raw: RawInput) -> Iterator[bytes]:
        """Decodes the member that `raw` stands at, and leaves `raw` at its end.

        Raises a MemberDamaged, after everything that can be decoded was yielded.
        """

    def starts_here(self, raw: RawInput) -> bool:
        """Whether a member that can be decoded begins at `raw`; does not move."""


def without_first(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Leaves out the first `count` bytes."""
    for piece in pieces:
        if len(piece) > count:
            yield piece[count:]
        count = max(0, count - len(piece))


class StepwiseDecoder(Protocol):
    """What bz2, lzma and a wrapped zlib offer."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...


_FED_BYTES = 4 << 10  # also how exactly the place of damage is told


def decode_stepwise(
    raw: RawInput,
    start: int,
    decoder: StepwiseDecoder,
    errors: tuple[type[Exception], ...],
    step: Callable[[int], int],
) -> Iterator[bytes]:
    """Decodes the member that began at `start`.

    `step(bytes decoded so far)` is how much to ask for at once. A decoder that
    fails keeps what it decoded in that very call, so the smaller the step, the
    nearer to the damage the output ends.
    """
    decoded = 0
    while not decoder.eof:
        fed: memoryview | bytes = b""
        if decoder.needs_input:
            if not raw.ensure(1):
                raise MemberTruncated(
                    raw.position, f"the file ends inside the member that begins at {start}"
                )
            fed = raw.window(_FED_BYTES)
        try:
            piece = decoder.decompress(fed, step(decoded))
        except errors as error:
            raise MemberDamaged(
                raw.position, f"{error}, in the member that begins at {start}"
            ) from error
        raw.advance(len(fed))
        decoded += len(piece)
        if piece:
            yield piece
    raw.rewind(raw.position - len(decoder.unused_data))
