"""The books: what balances, what withholds a manifest, and what a table may show."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sample_inputs import json_lines

from pipeline import books
from pipeline.commands.build import BuildResult, build
from pipeline.config import BuildConfig
from pipeline.report import BuildReport, explain_incomplete
from tokenizer import ConfigurationError
from transforms.documents import Reason
from transforms.errors import BooksError
from transforms.settings import TokenizeSettings
from transforms.shards.receipt import IndexEntry, InputBooks, Receipt

SHA = "0" * 64
BOOKS = InputBooks(
    path="a.jsonl",
    part=None,
    bytes=1000,
    sha256=SHA,
    records=100,
    documents=100,
    rejects={},
    tokens=500,
    text_bytes=900,
    special_token_texts=0,
    decoded_bytes=2000,
    lost_bytes=0,
    undecoded_bytes=0,
    is_truncated=False,
    html_extractor=None,
)


def receipt(**changes: Any) -> Receipt:
    found = dataclasses.replace(BOOKS, **changes)
    return Receipt(SHA, {}, found, (), IndexEntry("documents/a.jsonl.parquet", 1, 1, SHA), None)


def faulty(count: int, of: int, reason: str = "invalid-json", **changes: Any) -> Receipt:
    return receipt(records=of, documents=of - count, rejects={reason: count}, **changes)


def apart(receipts: Sequence[Receipt]) -> list[Receipt]:
    """The same books, each of an input of its own; the first keeps its name."""
    return [
        one
        if number == 0
        else dataclasses.replace(one, input=dataclasses.replace(one.input, path=f"{number}.jsonl"))
        for number, one in enumerate(receipts)
    ]


def why(*receipts: Receipt, limit: float = 0.01, allow_truncated: bool = False) -> list[str]:
    found = books.over_limit(apart(receipts), limit, allow_truncated=allow_truncated)
    return [one.text for one in found]


def test_a_receipt_that_does_not_balance_is_never_added_up() -> None:
    with pytest.raises(BooksError, match="100 records read, but 99 documents"):
        books.total([receipt(), receipt(documents=99)])


def test_every_figure_of_a_total_is_the_sum_of_its_own() -> None:
    odd = receipt(
        bytes=1,
        records=7,
        documents=4,
        rejects={"null-text": 2, "invalid-json": 1},
        tokens=11,
        text_bytes=13,
        special_token_texts=17,
        decoded_bytes=19,
        lost_bytes=23,
        undecoded_bytes=29,
        is_truncated=True,
    )
    totals = books.total(apart([odd, odd, receipt()]))
    assert dataclasses.asdict(totals) == {
        "inputs": 3,
        "input_bytes": 1002,
        "records": 114,
        "documents": 108,
        "rejects": {"invalid-json": 2, "null-text": 4},
        "tokens": 522,
        "text_bytes": 926,
        "special_token_texts": 34,
        "decoded_bytes": 2038,
        "lost_bytes": 46,
        "undecoded_bytes": 58,
        "truncated_inputs": 2,
    }


@pytest.mark.parametrize(
    ("receipts", "limit", "complete"),
    [
        ([receipt()], 0, True),
        ([faulty(1, 100)], 0.01, True),  # exactly at the limit
        ([faulty(2, 100)], 0.01, False),
        ([faulty(1, 100)], 0, False),
        ([faulty(100, 100)], 1, True),
        ([faulty(50, 100, "not-a-document")], 0, True),
        ([faulty(1, 10), *[receipt()] * 99], 0.01, True),  # one bad line in a small file of many
        ([receipt(lost_bytes=20)], 0.01, True),
        ([receipt(lost_bytes=21)], 0.01, False),
        ([receipt(lost_bytes=21), *[receipt()] * 99], 0.01, False),  # for each input
        ([receipt(undecoded_bytes=10)], 0.01, True),
        ([receipt(undecoded_bytes=11)], 0.01, False),
        ([receipt(undecoded_bytes=11), *[receipt()] * 99], 0.01, False),
        ([receipt(lost_bytes=2000)], 1, True),
        # Nothing but faults, among many sound inputs.
        ([faulty(1, 1, tokens=0), *[receipt()] * 99], 0.01, False),
        ([faulty(3, 3, "not-a-document", tokens=0), *[receipt()] * 99], 0.01, True),
    ],
)
def test_records_and_bytes_count_against_the_limit_for_each_input_and_the_whole(
    receipts: list[Receipt], limit: float, complete: bool
) -> None:
    assert (why(*receipts, limit=limit) == []) == complete


def part(number: int, **changes: Any) -> Receipt:
    return receipt(path=f"a.jsonl/part-{number:05d}", part=(number, number + 1), **changes)


def test_the_parts_of_an_input_are_one_input_in_the_books() -> None:
    parts = [part(0), part(1, is_truncated=True), part(2, is_truncated=True), receipt(path="b")]
    totals = books.total(parts)
    assert (totals.inputs, totals.truncated_inputs, totals.records) == (2, 1, 400)
    assert list(books.by_input(parts)) == ["a.jsonl", "b"]
    assert books.by_input(parts)["a.jsonl"].documents == 300


def test_what_is_lost_counts_against_the_whole_input_and_not_one_part_of_it() -> None:
    lossy = part(0, lost_bytes=40)  # 2% of the part
    assert list(books.over_limit([lossy], 0.01, allow_truncated=False))
    assert not list(books.over_limit([lossy, part(1)], 0.01, allow_truncated=False))
    (line,) = books.over_limit([part(0), part(1, is_truncated=True)], 0.5, allow_truncated=False)
    assert line.text == "a.jsonl is truncated: nobody knows how much is missing"
    nothing = [part(0, records=0, documents=0, tokens=0), part(1)]
    assert not list(books.over_limit(nothing, 0.01, allow_truncated=False))


def test_all_bytes_lost_together_count_though_no_input_is_above_the_limit() -> None:
    small = receipt(bytes=1, decoded_bytes=0)
    assert "of all bytes could not be read" in why(receipt(undecoded_bytes=30), small)[0]


def test_a_truncated_input_withholds_the_manifest_whatever_the_share_until_it_is_allowed() -> None:
    truncated = receipt(is_truncated=True)
    assert why(truncated, *[receipt()] * 10_000, limit=0.9) == [
        "a.jsonl is truncated: nobody knows how much is missing"
    ]
    assert why(truncated, allow_truncated=True) == []
    assert BOOKS.lost_share == 0
    assert truncated.input.lost_share == 1


def test_what_is_lost_of_what_was_decoded_and_what_was_not_decoded_add_up() -> None:
    assert receipt(undecoded_bytes=500, lost_bytes=1000).input.lost_share == 0.75
    assert receipt(bytes=0, decoded_bytes=0).input.lost_share == 0


def test_each_reason_is_a_fault_or_is_no_document_by_its_kind() -> None:
    by_kind = {reason.value for reason in Reason if not reason.counts_as_fault}
    assert by_kind == {"not-a-document", "not-text", "not-successful", "no-main-text"}


def table_of(receipts: list[Receipt]) -> str:
    by_input = books.by_input(receipts)
    return BuildReport(books.total(receipts), by_input, 0, {}, 1.0, 0).table()


def test_a_file_name_can_not_forge_a_line_of_the_table() -> None:
    table = table_of([faulty(1, 2, path="x\ncomplete: out/manifest.json\x1b[2J")])
    assert not any(line.startswith("complete:") for line in table.splitlines())
    assert "\x1b" not in table
    (line,) = why(faulty(1, 2, path="x\ncomplete: y"), limit=0.1)[:1]
    assert "\n" not in line


def test_the_table_names_the_inputs_with_the_worst_faults_first() -> None:
    receipts = [faulty(n, 100, path=f"in-{n:02d}") for n in range(1, 13)]
    lines = table_of(receipts).splitlines()
    named = [line.split(":")[0].strip() for line in lines if line.startswith("  in-")]
    assert named == [f"in-{n:02d}" for n in range(12, 2, -1)]
    assert lines[-1] == "  ... and 2 more"


def test_the_table_fits_a_terminal_of_48_columns() -> None:
    lines = table_of([receipt()]).splitlines()
    assert max(map(len, lines)) <= 48


@pytest.mark.parametrize(
    ("settings", "present", "absent"),
    [
        (["allow_truncated"], "with --allow-truncated:", "--max-rejects"),
        (["max_rejects"], "with a larger --max-rejects:", "--allow"),
        (["allow_empty"], "with --allow-empty:", "--max-rejects"),
        (["max_rejects", "allow_truncated"], "--max-rejects and --allow-truncated", "empty"),
    ],
)
def test_what_is_advised_accepts_what_was_found_and_nothing_else(
    settings: list[str], present: str, absent: str
) -> None:
    why = [books.Shortfall("it is not enough", setting) for setting in settings]
    advice = explain_incomplete(why, 0.01, "out")
    assert present in advice
    assert absent not in advice


def run(folder: Path, output: Path, **changes: Any) -> BuildResult:
    config = BuildConfig(inputs=(f"{folder}/*",), output=str(output), **changes)
    return build(config, report=io.StringIO())


def test_a_build_without_a_token_is_complete_only_where_that_is_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b"")
    (folder / "b.jsonl").write_bytes(b"")
    result = run(folder, tmp_path / "out")
    assert result.exit_code == 3
    assert "not a single token" in result.why_incomplete[0]
    assert not (tmp_path / "out/manifest.json").exists()
    assert run(folder, tmp_path / "out", allow_empty=True).exit_code == 0
    assert (tmp_path / "out/manifest.json").exists()
    assert run(folder, tmp_path / "out").exit_code == 3
    assert not (tmp_path / "out/manifest.json").exists()
    (folder / "b.jsonl").write_bytes(json_lines("b", 1))
    assert run(folder, tmp_path / "out").exit_code == 0


def test_a_smaller_limit_withdraws_a_manifest_and_a_larger_one_brings_it_back(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(json_lines("a", 9) + b"broken\n")
    results = [run(folder, tmp_path / "out", max_rejects=share) for share in (0.1, 0.09, 1, 0, 0.1)]
    assert [result.exit_code for result in results] == [0, 3, 0, 3, 0]
    assert [result.units_done for result in results] == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("share", [0, 1, 0.5])
def test_both_ends_of_the_share_of_rejects_are_allowed(share: float) -> None:
    assert BuildConfig(inputs=("x",), output="y", max_rejects=share).max_rejects == share


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"max_rejects": -0.01}, "max_rejects"),
        ({"max_rejects": 1.01}, "max_rejects"),
        ({"max_rejects": float("nan")}, "max_rejects"),
        ({"workers": 0}, "workers"),
        ({"workers": 2, "beam_flags": ("--runner=X",)}, "workers"),
        ({"inputs": ()}, "input"),
        ({"inputs": ("-", "x")}, "input"),
        ({"output": ""}, "output"),
        ({"max_memory_bytes": (400 << 20) + 8 * (64 << 20) - 1}, "max_memory"),
    ],
)
def test_what_can_not_be_built_is_refused_by_the_name_of_its_setting(
    change: dict[str, Any], setting: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        BuildConfig(**{"inputs": ("x",), "output": "y", **change})
    assert refused.value.setting == setting


def test_memory_decides_how_many_workers_there_are() -> None:
    least = (400 << 20) + 8 * (64 << 20)

    def workers(limit: int, asked: int | None) -> int:
        config = BuildConfig(inputs=("x",), output="y", max_memory_bytes=limit, workers=asked)
        return config.running(1 << 40).workers

    assert workers(least, 8) == 1
    assert workers(2 * least - 1, 8) == 1
    assert workers(2 * least, 8) == 2
    assert workers(100 * least, 3) == 3


def test_how_much_is_under_way_at_a_time_is_no_part_of_a_fingerprint() -> None:
    tokenizer = TokenizeSettings().load_tokenizer()
    read = dataclasses.replace(TokenizeSettings().read, batch_bytes=1)
    described = TokenizeSettings().described(tokenizer)
    assert TokenizeSettings(read=read).described(tokenizer) == described
    for change in (
        {"text_field": "body"},
        {"max_record_bytes": 1 << 29},
        {"max_document_bytes": 1},
    ):
        other = dataclasses.replace(TokenizeSettings().read, **change)  # type: ignore[arg-type]
        assert TokenizeSettings(read=other).described(tokenizer) != described
