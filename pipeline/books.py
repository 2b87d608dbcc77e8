"""The books of a build: what the receipts add up to, whether that will do, and the manifest.

receipts     a.jsonl/part-00000    a.jsonl/part-00001    b.jsonl.zst
by input     a.jsonl: their sums                         b.jsonl.zst
totals       two inputs
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.terminal import escaped
from transforms.documents import Reason
from transforms.shards.manifest import Manifest, TokenizerEntry, Totals
from transforms.shards.receipt import Counts, Receipt, lost_share

_NO_TOKENS = "there is not a single token: is the text field the right one?"


def total(receipts: Sequence[Receipt]) -> Totals:
    """Adds up the receipts.

    Raises:
        BooksError: one does not balance.
    """
    for receipt in receipts:
        receipt.input.check()
    books = [receipt.input for receipt in receipts]
    rejects: Counter[str] = Counter()
    for book in books:
        rejects.update(book.rejects)
    numbers = (field.name for field in dataclasses.fields(Counts) if field.name != "rejects")
    return Totals(
        inputs=len({book.input for book in books}),
        input_bytes=sum(book.bytes for book in books),
        truncated_inputs=len({book.input for book in books if book.is_truncated}),
        rejects=dict(sorted(rejects.items())),
        **{name: sum(getattr(book, name) for book in books) for name in numbers},
    )


def by_input(receipts: Iterable[Receipt]) -> dict[str, Totals]:
    """The books of each input, by name: of one that is read as several units, their sums."""
    units: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        units.setdefault(receipt.input.input, []).append(receipt)
    return {name: total(parts) for name, parts in units.items()}


def faults(rejects: Mapping[str, int]) -> int:
    """How many of the rejects count against --max-rejects."""
    return sum(count for reason, count in rejects.items() if Reason(reason).counts_as_fault)


def fault_share(records: int, rejects: Mapping[str, int]) -> float:
    """Faulty records among those that should have been documents, 0 to 1."""
    by_kind = sum(rejects.values()) - faults(rejects)
    expected = records - by_kind
    return faults(rejects) / expected if expected else 0.0


class Shortfall(NamedTuple):
    """Why a build is not complete: a line, and the setting that would accept it.

    input: the one that alone is the reason; None: all of them together.
    """

    text: str
    setting: str
    input: str | None = None


def over_limit(
    receipts: Sequence[Receipt],
    max_rejects: float,
    *,
    allow_truncated: bool,
    allow_empty: bool = True,
) -> Iterator[Shortfall]:
    """Why a build is not complete; nothing when it is.

    Records are counted over all inputs: one bad line of ten is no reason to stop a thousand files.
    Bytes that were never read as records are counted for each input too, and so is an input that
    gave nothing but faults: that is how a broken file looks among many sound ones.
    """
    totals = total(receipts)
    share = fault_share(totals.records, totals.rejects)
    if share > max_rejects:
        yield Shortfall(f"{share:.2%} of the records are faulty", "max_rejects")
    lost = _lost_share(totals)
    if lost > max_rejects:
        yield Shortfall(f"{lost:.2%} of all bytes could not be read", "max_rejects")
    for path, book in by_input(receipts).items():
        name = escaped(path)
        if book.truncated_inputs:
            if not allow_truncated:
                yield Shortfall(
                    f"{name} is truncated: nobody knows how much is missing",
                    "allow_truncated",
                    path,
                )
        elif _lost_share(book) > max_rejects:
            yield Shortfall(
                f"{name}: {_lost_share(book):.2%} of its bytes could not be read",
                "max_rejects",
                path,
            )
        elif not book.documents and fault_share(book.records, book.rejects) == 1 > max_rejects:
            yield Shortfall(
                f"{name}: all of its records are faulty: {book.records:,}; max_rejects of 100% "
                "alone takes such an input",
                "max_rejects",
                path,
            )
    if not totals.tokens and not allow_empty:
        yield Shortfall(_NO_TOKENS, "allow_empty")


def _lost_share(book: Totals) -> float:
    return lost_share(book.input_bytes, book.undecoded_bytes, book.decoded_bytes, book.lost_bytes)


def make_manifest(
    receipts: Sequence[Receipt],
    settings: Mapping[str, Any],
    fingerprint: str,
    tokenizer: TokenizerEntry,
) -> Manifest:
    """The manifest: a function of inputs, settings, tokenizer and format version alone."""
    in_order = sorted(receipts, key=lambda receipt: receipt.unit)
    return Manifest(
        fingerprint=fingerprint,
        settings=dict(settings),
        tokenizer=tokenizer,
        totals=total(in_order),
        inputs=tuple(receipt.input for receipt in in_order),
        shards=tuple(shard for receipt in in_order for shard in receipt.shards),
        indexes=tuple(
            index
            for receipt in in_order
            for index in (receipt.documents, receipt.rejects)
            if index is not None
        ),
    )
