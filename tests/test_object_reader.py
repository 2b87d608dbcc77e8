"""A file over ranges: it reads what the object holds, wherever it is told to begin."""

import io

import pytest

from transforms.stores.object_reader import ObjectReader

CONTENT = bytes(range(251)) * 20_000  # 5 MB: several ranges


class Ranges:
    """An object in memory, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, str | None]] = []

    def get(self, start: int, stop: int, version: str | None) -> tuple[bytes, int, str]:
        self.asked.append((start, stop, version))
        return CONTENT[start:stop], len(CONTENT), "v1"


def test_a_file_is_read_from_its_first_byte_to_its_last() -> None:
    ranges = Ranges()
    with ObjectReader(ranges.get) as file:
        assert file.tell() == 0
        assert io.BufferedReader(file).read() == CONTENT
    assert ranges.asked[0] == (0, 1 << 20, None)
    assert {version for _, _, version in ranges.asked[1:]} == {"v1"}
    starts = sorted(start for start, _, _ in ranges.asked)
    assert len(set(starts)) == len(starts), "a range was fetched twice"


@pytest.mark.parametrize("place", [0, 1, 4_000_000, len(CONTENT) - 1, len(CONTENT)])
def test_a_place_is_reached_from_the_start_the_end_and_from_here(place: int) -> None:
    expected = CONTENT[place : place + 10]
    with ObjectReader(Ranges().get) as file:
        file.seek(place)
        assert file.read(10) == expected
        file.seek(place - len(CONTENT), io.SEEK_END)
        assert file.read(10) == expected
        file.seek(-len(expected), io.SEEK_CUR)
        assert file.read(10) == expected
        assert file.tell() == place + len(expected)
        with pytest.raises(ValueError, match="-1"):
            file.seek(-1)
