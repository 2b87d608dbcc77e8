"""What `tokenmill build` says when it ends: the books as a table for people, or as JSON.

inputs                                               6
records read                                       207
documents written                                  201
rejected: invalid-json                               1
...
first of each reason:
  invalid-json: b.jsonl.gz, record 40: expected a JSON object, found 'not json'
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import exit_codes
from pipeline.books import Shortfall, by_input, faults, total
from pipeline.progress import size_text
from pipeline.quantities import counted
from pipeline.terminal import escaped
from transforms.documents import Reason
from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.index import REJECTS_SCHEMA, read_rows
from transforms.shards.manifest import Totals
from transforms.shards.receipt import Receipt

_WORST_INPUTS = 10
_DETAIL_CHARACTERS = 200


@dataclass(frozen=True)
class FirstReject:
    """The first record of a build that was rejected for a reason, in the order of its units."""

    unit: str
    record: int
    detail: str


@dataclass(frozen=True)
class BuildReport:
    """What there is to say of a build.

    Attributes:
        totals: what the receipts add up to. inputs: the books of each input, by name.
        output_bytes: of all files of the units. first_rejects: by reason.
        seconds: this run took. text_bytes_read: in this run.
    """

    totals: Totals
    inputs: Mapping[str, Totals]
    output_bytes: int
    first_rejects: Mapping[str, FirstReject]
    seconds: float
    text_bytes_read: int

    def table(self) -> str:
        """All of it for people, several lines."""
        return "\n".join([*self._rows(), *self._firsts(), *self._worst_inputs()])

    def to_json(self) -> dict[str, Any]:
        """All of it for scripts, as plain values."""
        return {
            "totals": dataclasses.asdict(self.totals),
            "output_bytes": self.output_bytes,
            "bytes_a_token": self._bytes_a_token,
            "seconds": round(self.seconds, 3),
            "text_bytes_a_second": round(self._speed),
            "first_rejects": {
                reason: dataclasses.asdict(first) for reason, first in self.first_rejects.items()
            },
        }

    @property
    def _bytes_a_token(self) -> float | None:
        tokens = self.totals.tokens
        return round(self.totals.text_bytes / tokens, 3) if tokens else None

    @property
    def _speed(self) -> float:
        return self.text_bytes_read / self.seconds if self.seconds else 0.0

    def _rows(self) -> Iterator[str]:
        totals = self.totals
        rows: list[tuple[str, int | str]] = [
            ("inputs", totals.inputs),
            ("records read", totals.records),
            ("documents written", totals.documents),
            *((f"rejected: {reason}", count) for reason, count in totals.rejects.items()),
            ("tokens", totals.tokens),
            ("text bytes", totals.text_bytes),
            ("text bytes a token", f"{self._bytes_a_token or 0:.2f}"),
            ("special-token texts, as text", totals.special_token_texts),
            *(
                (label, count)
                for label, count in (
                    ("bytes lost in broken records", totals.lost_bytes),
                    ("compressed bytes never decoded", totals.undecoded_bytes),
                    ("truncated inputs", totals.truncated_inputs),
                )
                if count
            ),
            ("size of the output", size_text(self.output_bytes)),
            ("time of this run", f"{self.seconds:,.1f} s"),
        ]
        if self.text_bytes_read:
            rows.append(("speed, of text", f"{size_text(int(self._speed))}/s"))
        shown = [(name, f"{one:,}" if isinstance(one, int) else one) for name, one in rows]
        width, digits = (max(map(len, column)) for column in zip(*shown, strict=True))
        for label, text in shown:
            yield f"{label:<{width}}  {text:>{digits}}"
        balance = totals.documents + sum(totals.rejects.values())
        sign = "==" if totals.records == balance else "!="
        yield f"books: {counted(totals.records, 'record')} {sign} {balance:,} documents and rejects"

    def _firsts(self) -> Iterator[str]:
        if self.first_rejects:
            yield "first of each reason:"
        for reason, first in self.first_rejects.items():
            detail = escaped(first.detail[:_DETAIL_CHARACTERS])
            yield f"  {reason}: {escaped(first.unit)}, record {first.record:,}: {detail}"

    def _worst_inputs(self) -> Iterator[str]:
        worst = sorted(
            (item for item in self.inputs.items() if faults(item[1].rejects)),
            key=lambda item: (-faults(item[1].rejects), item[0]),
        )
        if worst:
            yield f"inputs with faults: {len(worst)}"
        for name, book in worst[:_WORST_INPUTS]:
            reasons = ", ".join(
                f"{count} {reason}"
                for reason, count in book.rejects.items()
                if Reason(reason).counts_as_fault
            )
            yield f"  {escaped(name)}: {reasons} of {counted(book.records, 'record')}"
        if len(worst) > _WORST_INPUTS:
            yield f"  ... and {len(worst) - _WORST_INPUTS} more"


def report_of(
    build: Build, receipts: Sequence[Receipt], new_units: Sequence[str], seconds: float
) -> BuildReport:
    """Gathers what there is to say.

    Args:
        build: where the receipts come from. receipts: of all units, in the order of their names.
        new_units: those that this run did. seconds: it took.
    """
    new = set(new_units)
    return BuildReport(
        totals=total(receipts),
        inputs=by_input(receipts),
        output_bytes=sum(sum(receipt.sizes().values()) for receipt in receipts),
        first_rejects=_first_rejects(build, receipts),
        seconds=seconds,
        text_bytes_read=sum(r.input.text_bytes for r in receipts if r.unit in new),
    )


def _first_rejects(build: Build, receipts: Sequence[Receipt]) -> dict[str, FirstReject]:
    """Opens at most one index a reason."""
    first: dict[str, FirstReject] = {}
    for receipt in receipts:
        missing = receipt.input.rejects.keys() - first.keys()
        if not missing or receipt.rejects is None:
            continue
        path = receipt.rejects.path
        try:
            with build.local_copy(path) as local_path:
                _look_for(missing, first, receipt.unit, local_path, path)
        except MismatchError as error:  # the file has been changed: that is for verify to say
            first.update({one: FirstReject(receipt.unit, -1, str(error)) for one in missing})
    return dict(sorted(first.items()))


def _look_for(
    missing: set[str], first: dict[str, FirstReject], unit: str, local_path: str, path: str
) -> None:
    for batch in read_rows(local_path, path, REJECTS_SCHEMA, ["record", "reason", "detail"]):
        for row in batch.to_pylist():
            if row["reason"] in missing:
                missing.remove(row["reason"])
                first[row["reason"]] = FirstReject(unit, row["record"], row["detail"])
        if not missing:
            return


_SHOWN = 10


@dataclass(frozen=True)
class BuildResult:
    """How a build ended.

    Attributes:
        report: the books, and what the run took.
        manifest: its path; None where it was withheld. why_incomplete: then the reasons.
        units_done: in this run. units_kept: found done.
    """

    report: BuildReport
    manifest: str | None
    why_incomplete: tuple[str, ...]
    units_done: int
    units_kept: int

    @property
    def is_complete(self) -> bool:
        """Whether there is a manifest."""
        return self.manifest is not None

    @property
    def exit_code(self) -> int:
        """COMPLETE, or TOO_MANY_REJECTS: all was read, and no manifest written."""
        return exit_codes.COMPLETE if self.is_complete else exit_codes.TOO_MANY_REJECTS

    @property
    def totals(self) -> Totals:
        """What the receipts add up to."""
        return self.report.totals

    def text(self) -> str:
        """All of it for people, several lines."""
        table = self.report.table()
        return table if self.manifest is None else f"{table}\ncomplete: {escaped(self.manifest)}"

    def to_json(self) -> dict[str, Any]:
        """All of it for scripts, as plain values."""
        return {
            "complete": self.is_complete,
            "manifest": self.manifest,
            "why_incomplete": list(self.why_incomplete),
            "units_done": self.units_done,
            "units_kept": self.units_kept,
            **self.report.to_json(),
        }


def explain_incomplete(why: Sequence[Shortfall], max_rejects: float, root: str) -> str:
    """Why there is no manifest, and what to do, several lines."""
    lines = ["no manifest:", *(f"  {one.text}" for one in why[:_SHOWN])]
    if len(why) > _SHOWN:
        lines.append(f"  ... and {len(why) - _SHOWN} more")
    settings = {one.setting for one in why}
    if "max_rejects" in settings:
        lines.append(
            f"--max-rejects {max_rejects:.4g} allows less. What is wrong with each record is in "
            f"{escaped(root)}/rejects"
        )
    if "allow_truncated" in settings:
        lines.append(
            "A truncated input: fetch it anew, and run the same command again: only what has "
            "changed is read"
        )
    accepting = [how for setting, how in _ACCEPTING.items() if setting in settings]
    lines.append(f"To accept it, run again with {' and '.join(accepting)}: nothing is read twice")
    return "\n".join(lines)


_ACCEPTING = {
    "max_rejects": "a larger --max-rejects",
    "allow_truncated": "--allow-truncated",
    "allow_empty": "--allow-empty",
}


def as_json(value: Any) -> str:
    """A result as one JSON object, indented, keys in their order."""
    return json.dumps(value, indent=2, ensure_ascii=True)
