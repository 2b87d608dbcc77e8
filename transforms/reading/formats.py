"""Which format an input has, and how its records are to be understood."""

import posixpath
import re
from dataclasses import dataclass
from enum import Enum

from tokenizer.errors import ConfigurationError

_MAX_BYTES = 1 << 30  # an Arrow string array holds at most 2 GiB; a batch stays well below
DEFAULT_UNIT_BYTES = 256_000_000
_RECORD_TO_DOCUMENT = 4  # a JSON line of \u escapes is up to 6 times as long as its text


def printable(name: str) -> str:
    r"""A path, column or field for a message: one line, nothing that a terminal would act upon.

    >>> print(printable("a\nb\udcff\x1b[1m"))
    a\nb\udcff\x1b[1m
    """
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in name
    )


class InputFormat(str, Enum):
    """What an input file contains, whatever compresses it. The values are those of `input_format`.

    Parquet compresses its own pages; the others may be plain or compressed
    with gzip, zstd, bzip2 or xz, which is told by the first bytes of the file.
    """

    JSONL = "jsonl"  # a JSON object a line
    PARQUET = "parquet"
    WET = "wet"  # WARC of `conversion` records: text that others extracted
    WARC = "warc"  # WARC of HTTP responses
    TEXT = "text"  # the whole file is one document


_COMPRESSION = re.compile(r"\.(gz|zst|zstd|bz2|xz)$", re.IGNORECASE)
_ENDINGS = (
    (".jsonl", InputFormat.JSONL),
    (".ndjson", InputFormat.JSONL),
    (".json", InputFormat.JSONL),
    (".parquet", InputFormat.PARQUET),
    (".wet", InputFormat.WET),
    (".warc.wat", InputFormat.WARC),  # read, and each record named as no document
    (".warc", InputFormat.WARC),
    (".txt", InputFormat.TEXT),
)


def detect_format(path: str) -> InputFormat:
    """The format that the name of an input stands for.

    Args:
        path: a path or URL; only its last component is looked at, without regard to case.

    Raises:
        ConfigurationError: the name stands for no known format; the message lists them.
    """
    name = posixpath.basename(path.replace("\\", "/"))
    stem, compressed = _COMPRESSION.subn("", name)
    for ending, input_format in _ENDINGS:
        if stem.lower().endswith(ending) and not (
            compressed and input_format is InputFormat.PARQUET
        ):
            return input_format
    known = ", ".join(ending for ending, _ in _ENDINGS)
    raise ConfigurationError(
        f"{printable(path)}: the name does not tell the format of the file. Known are {known}, "
        "each but .parquet also followed by .gz, .zst, .bz2 or .xz. If it is one of these under "
        f"another name, say one of {', '.join(f.value for f in InputFormat)}",
        setting="input_format",
    )


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """How inputs are read; every field but `batch_bytes` can change what a record becomes.

    Attributes:
        input_format: the format of all inputs, or None to go by each name.
        text_field, id_field, url_field: the field (JSON) or column (Parquet) of each; a dot goes
            one object deeper, so `meta.url` is the `url` inside `meta`. WARC and text ignore them.
        max_document_bytes: a text above this is a reject, in every format.
        max_record_bytes: a line, WARC record or text file above this is a reject and is never held
            in memory; a page of a Parquet file above this costs its row group from there on. At
            least max_document_bytes; 0 stands for four times that, at most 1 GiB.
        max_unit_bytes: an input of more raw bytes is read as several units, where its format has
            places to begin at (parts.py); None: every input is one unit.
        batch_bytes: about how much a RecordBatch holds: text, ids, URLs and rejects together.
    """

    input_format: InputFormat | None = None
    text_field: str = "text"
    id_field: str = "id"
    url_field: str = "url"
    max_document_bytes: int = 64 << 20
    max_record_bytes: int = 0
    max_unit_bytes: int | None = DEFAULT_UNIT_BYTES
    batch_bytes: int = 2 << 20

    def __post_init__(self) -> None:
        if self.input_format is not None and not isinstance(self.input_format, InputFormat):
            raise ConfigurationError(
                f"expected one of {[f.value for f in InputFormat]}, found {self.input_format!r}",
                setting="input_format",
            )
        for name in ("text_field", "id_field", "url_field"):
            if not all(getattr(self, name).split(".")):
                raise ConfigurationError(
                    f"expected a field name or a dotted path, found {getattr(self, name)!r}",
                    setting=name,
                )
        if self.max_record_bytes == 0:
            derived = min(_MAX_BYTES, _RECORD_TO_DOCUMENT * self.max_document_bytes)
            object.__setattr__(self, "max_record_bytes", derived)
        for name in ("max_document_bytes", "max_record_bytes", "batch_bytes"):
            if not 1 <= getattr(self, name) <= _MAX_BYTES:
                raise ConfigurationError(
                    f"expected 1 to {_MAX_BYTES}, found {getattr(self, name)}", setting=name
                )
        if self.max_record_bytes < self.max_document_bytes:
            raise ConfigurationError(
                f"expected at least max_document_bytes, "
                f"{self.max_document_bytes}, found {self.max_record_bytes}; a record holds its "
                "document, so lower max_document_bytes too, or raise max_record_bytes",
                setting="max_record_bytes",
            )
        if self.max_unit_bytes is not None and self.max_unit_bytes < 1:
            raise ConfigurationError(
                f"expected 1 or more, found {self.max_unit_bytes}", setting="max_unit_bytes"
            )
        self._check_paths()

    def _check_paths(self) -> None:
        fields = {n: tuple(getattr(self, n).split(".")) for n in _PATH_FIELDS}
        for name, path in fields.items():
            for other, deeper in fields.items():
                if len(deeper) > len(path) and deeper[: len(path)] == path:
                    raise ConfigurationError(
                        f"{name} {'.'.join(path)!r} would be both a value and the object that "
                        f"holds {other} {'.'.join(deeper)!r}; name another field for one of them"
                    )


Part = tuple[int, int]
"""Start and stop of a part of a file, in its raw bytes; which records are in it, parts.py says."""


_PATH_FIELDS = ("text_field", "id_field", "url_field")
