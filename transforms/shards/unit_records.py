"""Small records of a run about one unit: what it is about to publish, and why it failed.

runs/<run>/staging/<hash>.intent   files without a receipt are of no build: who takes a dead
                                   run over may remove them, because this names them; on an
                                   object store what is uploaded in parts (noted_uploads.py)
runs/<run>/failures/<unit>.json    for the command to tell, whatever the runner says
"""

from dataclasses import asdict, dataclass

from transforms.shards.json_records import FORMAT, canonical_json, parse_record


@dataclass(frozen=True, slots=True)
class Intent:
    """The files, relative to the build, that a unit is about to publish, or to remove."""

    unit: str
    paths: tuple[str, ...]

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, content: bytes, place: str) -> "Intent":
        """Reads what to_json wrote.

        Raises:
            MismatchError: anything else; the message names `place`.
        """
        return parse_record(content, cls, place, "remove it")


@dataclass(frozen=True, slots=True)
class UnitFailure:
    """What a worker wrote of a unit that it could not do, or of itself.

    Attributes:
        unit: its name; None where a worker could not begin at all.
        message: one line for people. trace: of the error.
        is_configuration: content that does not fit the settings: a column that is not there, say.
    """

    unit: str | None
    message: str
    trace: str
    is_configuration: bool

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, content: bytes, place: str) -> "UnitFailure":
        """Reads what to_json wrote.

        Raises:
            MismatchError: anything else; the message names `place`.
        """
        return parse_record(content, cls, place, "it is of no use any more")
