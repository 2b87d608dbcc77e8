"""Tables in wide and in narrow terminals."""

from pipeline.tables import aligned

ROWS = [["split", "shards", "documents"], ["train", "3", "1,199"], ["test", "1", "7"]]


def test_a_table_is_aligned_where_it_fits() -> None:
    expected = [
        "split  shards  documents",
        "train       3      1,199",
        "test        1          7",
    ]
    for cells in (None, 24, 80):
        assert aligned(ROWS, cells).splitlines() == expected


def test_in_a_narrow_terminal_each_row_is_a_block() -> None:
    assert aligned(ROWS, 23).splitlines() == [
        "train",
        "  shards         3",
        "  documents  1,199",
        "test",
        "  shards     1",
        "  documents  7",
    ]
