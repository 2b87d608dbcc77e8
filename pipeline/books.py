"""The books of a build: what the receipts add up to, whether that will do, and the manifest."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.terminal import escaped
from transforms.documents import Reason
from transforms.shards.manifest import Manifest, TokenizerEntry, Totals
from transforms.shards.receipt import Receipt, lost_share


def total(receipts: Sequence[Receipt]) -> Totals:
    """Adds up the receipts. Raises BooksError when one does not balance."""
    rejects: Counter[str] = Counter()
    for receipt in receipts:
        receipt.input.check()
        rejects.update(receipt.input.rejects)
    books = [receipt.input for receipt in receipts]
    return Totals(
        inputs=len(books),
        input_bytes=sum(book.bytes for book in books),
        records=sum(book.records for book in books),
        documents=sum(book.documents for book in books),
        rejects=dict(sorted(rejects.items())),
        tokens=sum(book.tokens for book in books),
        text_bytes=sum(book.text_bytes for book in books),
        special_token_texts=sum(book.special_token_texts for book in books),
        decoded_bytes=sum(book.decoded_bytes for book in books),
        lost_bytes=sum(book.lost_bytes for book in books),
        undecoded_bytes=sum(book.undecoded_bytes for book in books),
        truncated_inputs=sum(book.is_truncated for book in books),
    )


def faults(rejects: Mapping[str, int]) -> int:
    """How many of the rejects count against --max-rejects."""
    return sum(count for reason, count in rejects.items() if Reason(reason).counts_as_fault)


def fault_share(records: int, rejects: Mapping[str, int]) -> float:
    """Faulty records among those that should have been documents, 0 to 1."""
    by_kind = sum(rejects.values()) - faults(rejects)
    expected = records - by_kind
    return faults(rejects) / expected if expected else 0.0


def over_limit(
    receipts: Sequence[Receipt], max_rejects: float, *, allow_truncated: bool
) -> Iterator[str]:
    """Why a build is not complete, a line each; nothing when it is.

    Records are counted over all inputs: one bad line of ten is no reason to stop a thousand files.
    Bytes that were never read as records are counted for each input too, and so is an input that
    gave nothing but faults: that is how a broken file looks among many sound ones.
    """
    totals = total(receipts)
    share = fault_share(totals.records, totals.rejects)
    if share > max_rejects:
        yield f"{share:.2%} of the records are faulty"
    lost = lost_share(
        totals.input_bytes, totals.undecoded_bytes, totals.decoded_bytes, totals.lost_bytes
    )
    if lost > max_rejects:
        yield f"{lost:.2%} of all bytes could not be read"
    for receipt in receipts:
        book = receipt.input
        name = escaped(book.path)
        if book.is_truncated:
            if not allow_truncated:
                yield f"{name} is truncated: nobody knows how much is missing"
        elif book.lost_share > max_rejects:
            yield f"{name}: {book.lost_share:.2%} of its bytes could not be read"
        elif not book.documents and fault_share(book.records, book.rejects) == 1 > max_rejects:
            yield f"{name}: all of its {book.records:,} records are faulty"


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
