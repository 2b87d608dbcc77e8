"""The pass that checks a build: each unit against its receipt, itself, and its input.

    source build ─ receipt ─ unit_check ── files, sums, ids, decoding, encoding again
                           └ retokenize ── the unit done again from its input, and compared
                                  │
    place ◄── receipts/<unit>.json: what differs, a line each

It writes nothing into the build that it checks: its receipts go to a place of their own.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizer import Tokenizer
from transforms.errors import MismatchError
from transforms.passes.findings import Findings, expect
from transforms.passes.retokenize import retokenize_unit
from transforms.passes.unit_check import check_unit
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.json_records import (
    FORMAT,
    Count,
    Sha256,
    canonical_json,
    fingerprint_of,
    parse_record,
)
from transforms.shards.layout import receipt_path
from transforms.shards.manifest import TokenizerEntry
from transforms.shards.receipt import Receipt
from transforms.shards.vocabulary_copy import load_copy


@dataclass(frozen=True, slots=True)
class VerifyReceipt:
    """What was found in one unit: the differences, and how many documents were made again.

    Attributes:
        files_differ: its files are not what the receipt says; `tokenmill build --repair` mends
            that.
    """

    fingerprint: Sha256
    unit: str
    differences: tuple[str, ...]
    compared: Count
    files_differ: bool

    def is_of(self, size_bytes: int, part: tuple[int, int] | None) -> bool:
        return True

    def sizes(self) -> Mapping[str, int]:
        return {}

    def counts(self) -> Iterator[tuple[str, int]]:
        yield "verified_units", 1
        yield "differences", len(self.differences)

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})


@dataclass(frozen=True)
class VerifyPass:
    """Checks units of a build.

    Attributes:
        source: the build that is checked.
        build_fingerprint, settings: what every receipt must carry.
        tokenizer: of the build.
        fraction: the share of the units to do again from their inputs, 0 to 1.
        kept: what the build's manifest says of the copy that it keeps of the vocabulary: workers
            load that one, and need not see the file that it came from. None: it keeps none.
    """

    source: Build
    build_fingerprint: str
    settings: Mapping[str, Any]
    tokenizer: Tokenizer
    fraction: float = 0.0
    kept: TokenizerEntry | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Beam pickles passes on workers, too, before it prepares them.
        is_left_out = self.kept is not None
        return {
            name: value
            for name, value in self.__dict__.items()
            if not (is_left_out and name == "tokenizer")
        }

    def described(self) -> Mapping[str, Any]:
        return {"pass": "verify", "build": self.build_fingerprint, "fraction": self.fraction}

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(self.described())

    def prepare(self) -> None:
        """Loads the tokenizer, where it did not come with the pass by reference."""
        if "tokenizer" not in self.__dict__ and self.kept is not None:
            kept = self.kept
            assert kept.file is not None
            self.__dict__["tokenizer"] = load_copy(
                self.source, kept.file, kept.sha256, kept.split_pattern, kept.special_tokens
            )

    def run(self, unit: WorkUnit, build: Build) -> VerifyReceipt:
        """Checks one unit; unit.path is its input, or "" where that is not to be read."""
        findings = Findings()
        compared = 0
        files_differ = False
        with findings.collect():
            receipt = self._receipt(unit.name)
            findings.messages += check_unit(self.source, receipt, self.tokenizer)
            files_differ = bool(findings.messages)
            # A unit that contradicts itself has nothing to compare the input with.
            if unit.path and not files_differ:
                retokenize_unit(self.source, receipt, unit.path, self.tokenizer)
                compared = receipt.input.documents
        return VerifyReceipt(
            self.fingerprint, unit.name, tuple(findings.messages), compared, files_differ
        )

    def read_receipt(self, content: bytes, place: str) -> VerifyReceipt:
        return parse_record(content, VerifyReceipt, place, "remove it")

    def _receipt(self, name: str) -> Receipt:
        path = receipt_path(name)
        content = self.source.read(path)
        receipt = Receipt.from_json(content, path)
        if receipt.to_json() != content:
            raise MismatchError(
                f"{path}: not canonical JSON, or with fields that do not belong there"
            )
        expect(path, "input.path", name, receipt.unit)
        expect(path, "fingerprint", self.build_fingerprint, receipt.fingerprint)
        expect(path, "settings", self.settings, receipt.settings)
        return receipt
