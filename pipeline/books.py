"""The books of a build: the manifest, and the table for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenizer import Tokenizer
from transforms.documents import Reason
from transforms.receipt import Receipt
from transforms.settings import FORMAT, canonical_json

_WORST_INPUTS = 10


@dataclass(frozen=True)
class Totals:
    """Sums over all inputs; `records == documents + sum(rejects.values())`."""

    inputs: int
    records: int
    documents: int
    rejects: Mapping[str, int]
    tokens: int
    text_bytes: int
    special_token_texts: int


def total(receipts: Sequence[Receipt]) -> Totals:
    """Adds up the receipts. Raises BooksError when one does not balance."""
    rejects: Counter[str] = Counter()
    for receipt in receipts:
        receipt.input.check()
        rejects.update(receipt.input.rejects)
    books = [receipt.input for receipt in receipts]
    return Totals(
        inputs=len(books),
        records=sum(book.records for book in books),
        documents=sum(book.documents for book in books),
        rejects=dict(sorted(rejects.items())),
        tokens=sum(book.tokens for book in books),
        text_bytes=sum(book.text_bytes for book in books),
        special_token_texts=sum(book.special_token_texts for book in books),
    )


def faults(rejects: Mapping[str, int]) -> int:
    """How many of the rejects count against --max-rejects."""
    return sum(count for reason, count in rejects.items() if Reason(reason).counts_as_fault)


def fault_share(records: int, rejects: Mapping[str, int]) -> float:
    """Faulty records among those that should have been documents, 0 to 1."""
    by_kind = sum(rejects.values()) - faults(rejects)
    expected = records - by_kind
    return faults(rejects) / expected if expected else 0.0


def manifest_json(
    receipts: Sequence[Receipt], settings: Mapping[str, Any], fingerprint: str, tokenizer: Tokenizer
) -> bytes:
    """The manifest: a function of inputs, settings, tokenizer and format version alone.

    Canonical JSON, inputs and shards in the order of unit names; see docs/formats.md.
    """
    in_order = sorted(receipts, key=lambda receipt: receipt.input.path)
    totals = total(in_order)
    return canonical_json(
        {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "tokenizer": {
                "name": tokenizer.vocabulary.name,
                "sha256": tokenizer.vocabulary.sha256,
                "vocabulary_size": tokenizer.vocabulary_size,
                "end_of_text": tokenizer.vocabulary.end_of_text,
            },
            "settings": dict(settings),
            "totals": asdict(totals),
            "inputs": [asdict(receipt.input) for receipt in in_order],
            "shards": [asdict(shard) for receipt in in_order for shard in receipt.shards],
            "indexes": [
                asdict(index)
                for receipt in in_order
                for index in (receipt.documents, receipt.rejects)
                if index is not None
            ],
        }
    )


def table(receipts: Sequence[Receipt]) -> str:
    """The books as text: totals, each reason, and the inputs with the most faults."""
    totals = total(receipts)
    rows = [
        ("inputs", totals.inputs),
        ("records read", totals.records),
        ("documents written", totals.documents),
        *((f"rejected: {reason}", count) for reason, count in totals.rejects.items()),
        ("tokens", totals.tokens),
        ("text bytes", totals.text_bytes),
        ("special-token texts, as plain text", totals.special_token_texts),
    ]
    width = max(len(label) for label, _ in rows)
    lines = [f"{label:<{width}}  {count:>17,}" for label, count in rows]
    balance = totals.documents + sum(totals.rejects.values())
    sign = "==" if totals.records == balance else "!="
    lines.append(f"books: {totals.records:,} records {sign} {balance:,} documents and rejects")
    worst = sorted(
        (receipt.input for receipt in receipts if faults(receipt.input.rejects)),
        key=lambda book: (-faults(book.rejects), book.path),
    )
    if worst:
        lines.append(f"inputs with faults: {len(worst)}")
    for book in worst[:_WORST_INPUTS]:
        reasons = ", ".join(
            f"{count} {reason}"
            for reason, count in book.rejects.items()
            if Reason(reason).counts_as_fault
        )
        lines.append(f"  {book.path}: {reasons} of {book.records:,} records")
    if len(worst) > _WORST_INPUTS:
        lines.append(f"  ... and {len(worst) - _WORST_INPUTS} more")
    return "\n".join(lines)
