"""A file that is handed on when it is closed: whole, once, and never after an error."""

from typing import BinaryIO

import pytest

from transforms.stores.upload import Upload


def test_what_was_written_is_handed_on_once() -> None:
    found: list[bytes] = []

    def upload(file: BinaryIO) -> None:
        found.append(file.read())

    with Upload(upload) as file:
        file.write(b"first ")
        file.write(b"last")
        assert found == []
    file.close()
    assert found == [b"first last"]
    assert file.closed


def test_a_file_whose_writer_failed_is_not_handed_on() -> None:
    found: list[BinaryIO] = []
    file = Upload(found.append)

    def fail() -> None:
        with file:
            file.write(b"some of it")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail()
    assert found == []
    assert file.closed


def test_an_upload_that_fails_closes_the_file() -> None:
    def upload(file: BinaryIO) -> None:
        raise OSError("no room")

    file = Upload(upload)
    with pytest.raises(OSError, match="no room"):
        file.close()
    assert file.closed
