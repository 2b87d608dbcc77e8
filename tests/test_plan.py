"""Naming units, the common root, and shares for workers."""

import multiprocessing
from pathlib import Path

import pytest

from pipeline.books import fault_share
from pipeline.failures import known_error, summary
from pipeline.inputs import common_root, list_units
from pipeline.progress import size_text
from pipeline.runners.local import UnitClaims
from tokenizer import ConfigurationError
from transforms.errors import BooksError
from transforms.passes.work_pass import WorkUnit
from transforms.reading import ReadSettings


@pytest.mark.parametrize(
    ("patterns", "root"),
    [
        (["/data/web/*.gz"], "/data/web"),
        (["/data/web/en-?.gz", "/data/web/de/x.gz"], "/data/web"),
        (["/data/web/en/*.gz", "/data/code/*.gz"], "/data"),
        (["/data/web/cc-[0-9]/x/*.gz"], "/data/web"),
        (["/data/web/**/*.gz"], "/data/web"),
        (["gs://bucket/web/*.gz", "gs://bucket/web/more/*"], "gs://bucket/web"),
        (["/top.jsonl"], "/"),
    ],
)
def test_the_common_root_is_the_deepest_folder_before_any_wild_card(
    patterns: list[str], root: str
) -> None:
    assert common_root(patterns) == root


def test_inputs_on_different_filesystems_need_a_root() -> None:
    with pytest.raises(ConfigurationError, match="input_root"):
        common_root(["/data/a.gz", "gs://bucket/a.gz"])


def test_units_are_named_by_their_path_below_the_root_once_each(tmp_path: Path) -> None:
    for name in ("b/x.jsonl", "a/x.jsonl", "a/y.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}\n")
    inputs = (str(tmp_path / "*/x.jsonl"), str(tmp_path / "a/*"))
    units = list_units(inputs, common_root(inputs), str(tmp_path / "out"), ReadSettings())
    assert [unit.name for unit in units] == ["a/x.jsonl", "a/y.jsonl", "b/x.jsonl"]


def test_every_unit_is_claimed_once_and_the_largest_first() -> None:
    sizes = [90, 1, 30, 30, 29, 0]
    units = [WorkUnit(f"u{i}", f"/u{i}", size) for i, size in enumerate(sizes)]
    claims = UnitClaims(units, multiprocessing.get_context())
    one, other = iter(claims), iter(claims)
    assert [next(claimer).name for claimer in (one, other, other)] == ["u0", "u2", "u3"]
    assert [unit.name for unit in one] == ["u4", "u1", "u5"]
    assert list(other) == []
    assert list(UnitClaims([], multiprocessing.get_context())) == []


def test_records_that_are_no_documents_by_kind_do_not_count_as_faults() -> None:
    assert fault_share(100, {"not-a-document": 50, "invalid-json": 1}) == 1 / 50
    assert fault_share(10, {"not-a-document": 10}) == 0
    assert fault_share(0, {}) == 0


def test_sizes_have_a_unit_that_people_can_read() -> None:
    sizes = [0, 999, 1000, 1_640_000_000, 2_000_000_000_000, 2 * 10**15]
    assert [size_text(size) for size in sizes] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.6 GB",
        "2.0 TB",
        "2000.0 TB",
    ]


def test_our_own_errors_are_found_in_a_runners_report() -> None:
    report = (
        "Traceback (most recent call last):\n  File ...\n"
        "transforms.errors.BooksError: x: 3 records [while running 'Tokenize/TokenizeUnit-7']\n"
    )
    error = known_error(report)
    assert type(error) is BooksError
    assert str(error) == "x: 3 records"
    assert known_error("ValueError: something else") is None
    assert summary("Traceback\n\nOSError: full [while running 1]\n") == "OSError: full"
