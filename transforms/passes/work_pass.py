"""What a pass is, and how one unit of it is done, once, wherever it runs.

    Pass ── describes itself (the fingerprint), does one unit, reads its own receipts
      │
      ▼
    run_unit(pass, unit, build)          the one place where a unit is done or done again
      │ receipt there, of this fingerprint, with its files?  ──yes──► that receipt
      ├─ pass.run: files are written, published, synced
      ├─ does the run still own the build?                 ───no───► BuildLostError
      ├─ receipt written: from now on the unit is done       ───────► the new receipt
      ├─ shared build, and another attempt was faster        ───────► the receipt of that one
      └─ it failed: why is written below runs/<run>/failures ───────► UnitFailedError

To run a unit twice is harmless, also at the same time: it gives the same bytes under the same
names, and an attempt that is ended by a faster one finds what that has committed.
"""

import contextlib
import errno
import platform
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tokenizer.errors import ConfigurationError, TokenmillError
from transforms.errors import (
    BuildLostError,
    MismatchError,
    StorageError,
    UnitFailedError,
    UnitTakenError,
)
from transforms.filesystem import naming_place
from transforms.shards.build import Build
from transforms.shards.layout import failure_path, receipt_path
from transforms.shards.noted_uploads import end_attempts
from transforms.shards.unit_names import input_name
from transforms.shards.unit_records import UnitFailure

# What is wrong with the machine and not with a unit: no other unit would fare better.
_FULL_OR_GONE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE})
_TRACE_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """One input, or a part of one.

    Attributes:
        name: the input's path below the common root of all inputs, made safe (unit_names.py), and
            of a part its number; every output file of the unit is named after it.
        path: where to open it, on any filesystem.
        size_bytes: of the raw file, as it was listed; of a part, how many of them are its own.
        version: what tells a replaced file from the one that was listed; "" where nothing does.
        part: start and stop of the part in the raw file; None: all of it.
    """

    name: str
    path: str
    size_bytes: int
    version: str = ""
    part: tuple[int, int] | None = None

    @property
    def input(self) -> str:
        """The name of the input; of a part, that of the whole."""
        return self.name if self.part is None else input_name(self.name)


class PassReceipt(Protocol):
    """What a pass leaves of a unit, written last."""

    @property
    def unit(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    def is_of(self, size_bytes: int, part: tuple[int, int] | None) -> bool:
        """Whether it can be of an input of that size, or of that part of one."""

    def sizes(self) -> Mapping[str, int]:
        """Path and bytes of every file that it stands for."""

    def counts(self) -> Iterator[tuple[str, int]]:
        """What to add up while the pass runs: name and number."""

    def to_json(self) -> bytes:
        """Canonical JSON."""


class Pass(Protocol):
    """A pass over the units of a build: frozen and picklable."""

    def described(self) -> Mapping[str, Any]:
        """All that decides its bytes, as plain JSON values."""

    @property
    def fingerprint(self) -> str:
        """fingerprint_of over what `described` gives."""

    def prepare(self) -> None:
        """Loads what all units need, once a process.

        Raises:
            ConfigurationError: the settings can not work.
        """

    def run(self, unit: WorkUnit, build: Build) -> PassReceipt:
        """Does one unit: its files appear, durably. The receipt is written by run_unit."""

    def read_receipt(self, content: bytes, place: str) -> PassReceipt:
        """Reads a receipt of this pass.

        Raises:
            MismatchError: it is no such receipt; the message names `place`.
        """


def run_unit(work: Pass, unit: WorkUnit, build: Build) -> PassReceipt:
    """Does one unit, unless it is done, and commits it with its receipt.

    Returns:
        The receipt: the one that was there with the right fingerprint and files, or a new one.

    Raises:
        UnitFailedError: this unit could not be done, and why is written below the run's folder;
            the others can be done. UnitTakenError: the build is shared, and the unit's receipt is
            not of this input.
        StorageError: the disk is full or gone: no unit can be done.
        BuildLostError: somebody has taken the build over: no receipt is written.
    """
    if (receipt := committed_receipt(work, unit, build)) is not None:
        return receipt
    try:
        build.check_free(unit.name)
        with naming_place(build.root):
            receipt = work.run(unit, build)
            build.check_owned()  # its files may have taken minutes to upload
            build.write(receipt_path(unit.name), receipt.to_json())
            build.drop_intent(unit.name)
    except Exception as error:
        if is_fatal(error):
            if isinstance(error, OSError):
                raise StorageError(_where_it_is_full(unit, error)) from error
            raise
        # A faster attempt ends our uploads when it has committed the unit.
        receipt = committed_receipt(work, unit, build) if build.is_shared else None
        if receipt is None:
            if isinstance(error, UnitTakenError):
                raise
            message = explain(unit, error)
            _write_failure(unit.name, build, message, error)
            raise UnitFailedError(message) from error
    end_attempts(build, unit.name, receipt.sizes())
    return receipt


def committed_receipt(work: Pass, unit: WorkUnit, build: Build) -> PassReceipt | None:
    """The receipt of a unit that another attempt has committed already; None when it is to do."""
    path = receipt_path(unit.name)
    if not build.exists(path):
        return None
    try:
        receipt = work.read_receipt(build.read(path), path)
    except MismatchError:
        return None  # it is written anew
    if receipt.unit != unit.name or receipt.fingerprint != work.fingerprint:
        return None
    if not receipt.is_of(unit.size_bytes, unit.part):
        return None
    found = {entry: build.size(entry) for entry in receipt.sizes()}
    return receipt if found == receipt.sizes() else None


def is_fatal(error: BaseException) -> bool:
    """Whether no other unit would fare better."""
    if isinstance(error, BuildLostError):
        return True
    return isinstance(error, OSError) and error.errno in _FULL_OR_GONE


def explain(unit: WorkUnit, error: BaseException) -> str:
    """One line: the input, where in it if that is known, and the cause."""
    where = "".join(f" {note}" for note in getattr(error, "__notes__", []))
    return _as_unicode(f"{unit.name}:{where} {_text_of(error)}")


def prepare_worker(work: Pass, build: Build) -> None:
    """Has a pass load what it needs; why it could not is written for the command to tell.

    Some engines say no more of a worker's error than that there was one.
    """
    try:
        work.prepare()
    except Exception as error:
        message = f"a worker on {platform.node()} could not begin: {_text_of(error)}"
        _write_failure(None, build, message, error)
        raise


def _where_it_is_full(unit: WorkUnit, error: OSError) -> str:
    """The error has its place: `naming_place` saw it."""
    return (
        f"{error.filename}: {error.strerror}, while {unit.name} was written. What is committed is "
        "kept: when there is room, run the same command again"
    )


def _text_of(error: BaseException) -> str:
    kind = type(error).__name__
    text = " ".join(str(error).split()) or kind
    return text if isinstance(error, TokenmillError | OSError) else f"{kind}: {text}"


def _as_unicode(text: str) -> str:
    """A path may hold bytes that are not UTF-8; JSON and Beam's coders can not."""
    return text.encode(errors="backslashreplace").decode()


def _write_failure(unit: str | None, build: Build, message: str, error: Exception) -> None:
    trace = "".join(traceback.format_exception(error))[-_TRACE_CHARACTERS:]
    failure = UnitFailure(
        unit, _as_unicode(message), _as_unicode(trace), isinstance(error, ConfigurationError)
    )
    name = f"worker-{platform.node()}" if unit is None else unit
    build.write(failure_path(build.run, name), failure.to_json())


# -- progress inside a unit ------------------------------------------------------------------------

Progress = Callable[[int], None]
_listener: Progress | None = None


@contextlib.contextmanager
def progress_to(listener: Progress) -> Iterator[None]:
    """Has `report_progress` of this process call the listener, while the block runs."""
    global _listener
    _listener, before = listener, _listener
    try:
        yield
    finally:
        _listener = before


def report_progress(raw_bytes: int) -> None:
    """Tells that so many more bytes of inputs were read; nothing listens on most runners."""
    if _listener is not None:
        _listener(raw_bytes)
