"""Index files: where a row group ends depends on the rows alone."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.shards import index
from transforms.shards.build import Build
from transforms.shards.index import DOCUMENTS_SCHEMA, ParquetLog

_GROUP_BYTES, _GROUP_ROWS = 20_000, 150


def rows_of(count: int) -> pa.Table:
    """Rows whose strings are missing, short or long."""
    draw = random.Random(20261126)
    names = [draw.choice([None, "", "é", "x" * draw.randrange(600)]) for _ in range(2 * count)]
    numbers = list(range(count))
    others = [field.name for field in DOCUMENTS_SCHEMA if field.name not in ("id", "url")]
    columns = {"id": names[:count], "url": names[count:], **dict.fromkeys(others, numbers)}
    return pa.table(columns, DOCUMENTS_SCHEMA)


def groups_by_the_rule(table: pa.Table) -> list[int]:
    """The last row of a group is the one that reaches the limit: 64 bytes and its strings a row."""
    groups, size, count = [], 0, 0
    for row in table.select(["id", "url"]).to_pylist():
        size += 64 + sum(len((name or "").encode()) for name in row.values())
        count += 1
        if size >= _GROUP_BYTES or count == _GROUP_ROWS:
            groups.append(count)
            size = count = 0
    return [*groups, count] if count else groups


@pytest.mark.parametrize("at_once", [1, 7, 333, 5000])
def test_row_groups_are_cut_by_the_rule_however_rows_come(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_GROUP_BYTES", _GROUP_BYTES)
    monkeypatch.setattr(index, "_GROUP_ROWS", _GROUP_ROWS)
    table = rows_of(2000)
    with Build.at(str(tmp_path), run="run").stage("documents/x.parquet") as staged:
        log = ParquetLog(staged, DOCUMENTS_SCHEMA)
        for first in range(0, len(table), at_once):
            some = table.slice(first, at_once).combine_chunks()
            log.append({name: some[name].combine_chunks() for name in some.column_names})
        entry = log.finish("documents/x.parquet")
        assert entry.rows == len(table)
        written = pq.ParquetFile(staged.local_path)
        groups = [
            written.metadata.row_group(number).num_rows
            for number in range(written.metadata.num_row_groups)
        ]
        assert groups == groups_by_the_rule(table)
        assert len(set(groups)) > 3
        assert written.read().equals(table)
