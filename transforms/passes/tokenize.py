"""The pass that makes a build: one input in, its token shards, indexes and books out.

unit ─► Reader ─► RecordBatch ─► Tokenizer.encode_documents ─► UnitWriter ─► Receipt
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizer import Tokenizer
from transforms.errors import MismatchError, UnitFailedError
from transforms.filesystem import look_up
from transforms.passes.work_pass import WorkUnit, report_progress
from transforms.reading import InputFormat, Reader, ReadSettings, open_reader
from transforms.reading.html_extractor import html_extractor
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.json_records import fingerprint_of
from transforms.shards.receipt import InputFacts, Receipt
from transforms.shards.settings import ShardSettings
from transforms.shards.unit_writer import UnitWriter
from transforms.shards.vocabulary_copy import load_copy


@dataclass(frozen=True)
class TokenizePass:
    """Tokenizes inputs. Memory is a few batches, however large a unit.

    Attributes:
        settings: how documents become shards.
        vocabulary: the build that keeps a copy of the vocabulary, and where in it: workers that do
            not see the file that the settings name load it from there. None: they see it.
    """

    settings: TokenizeSettings
    vocabulary: tuple[Build, str] | None = None

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """Loaded once a process, when it is first needed.

        Raises:
            ConfigurationError: it can not be loaded.
            MismatchError: it is not the one that the pass was described with.
        """
        settings = self.settings
        if self.vocabulary is None:
            return settings.load_tokenizer()
        build, path = self.vocabulary
        return load_copy(build, path, None, settings.split_pattern, settings.special_tokens)

    @functools.cached_property
    def _described(self) -> Mapping[str, Any]:
        return self.settings.described(self.tokenizer)

    def with_vocabulary(self, build: Build, path: str) -> "TokenizePass":
        """The same pass, for workers that load the vocabulary from where the build keeps it."""
        work = TokenizePass(self.settings, (build, path))
        work.__dict__["_described"] = self._described  # of the vocabulary as it is called here
        return work

    def described(self) -> Mapping[str, Any]:
        return self._described

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(self._described)

    def prepare(self) -> None:
        found, expected = self.tokenizer.fingerprint, self._described["tokenizer"]["fingerprint"]
        if found != expected:
            raise MismatchError(
                f"the tokenizer of this worker has the fingerprint {found}, that of the command "
                f"{expected}: they have not the same tokenmill, or not the same file"
            )

    def __getstate__(self) -> dict[str, Any]:
        # Each process loads its own tokenizer, which must be the one that is described.
        return {
            "settings": self.settings,
            "vocabulary": self.vocabulary,
            "_described": self._described,
        }

    def run(self, unit: WorkUnit, build: Build) -> Receipt:
        """Reads one input and writes all its files; see tokenize_unit."""
        settings = self.settings
        return tokenize_unit(
            unit, build, self.tokenizer, self._described, settings.read, settings.shards
        )

    def read_receipt(self, content: bytes, place: str) -> Receipt:
        return Receipt.from_json(content, place)


def tokenize_unit(
    unit: WorkUnit,
    build: Build,
    tokenizer: Tokenizer,
    described: Mapping[str, Any],
    read: ReadSettings,
    shards: ShardSettings,
) -> Receipt:
    """Reads one input and writes all its files; the receipt is returned, not written.

    Args:
        unit: the input. build: where its files go.
        tokenizer: of that vocabulary. described: the settings, as TokenizeSettings.described gives
            them, and as the receipt tells them.
        read, shards: the same settings, as readers and writers take them.

    Raises:
        UnitFailedError: the input is not the one that was listed.
        OSError: input or output can not be read or written.
        BooksError: counts disagree.
    """
    begin = described["tokenizer"]["begin_of_text"]
    end = described["tokenizer"]["end_of_text"]
    with (
        open_reader(unit.path, read, unit.part) as reader,
        UnitWriter(build, unit.name, tokenizer.dtype, shards) as writer,
    ):
        try:
            told = 0
            for batch in reader:
                encoded = tokenizer.encode_documents(
                    batch.documents.text,
                    begin_of_text=begin,
                    end_of_text=end,
                    dtype=tokenizer.dtype,
                )
                writer.write(batch, encoded)
                report_progress(reader.input_bytes - told)
                told = reader.input_bytes
        except Exception as error:
            _note_place(error, reader)
            raise
        _check_unchanged(unit, reader)
        return writer.publish(
            fingerprint=fingerprint_of(described),
            settings=dict(described),
            source=facts_of(reader),
        )


def _note_place(error: Exception, reader: Reader) -> None:
    notes = [*getattr(error, "__notes__", []), f"after record {reader.records}:"]
    error.__notes__ = notes  # type: ignore[attr-defined]  # add_note, for Python 3.10 too


def _check_unchanged(unit: WorkUnit, reader: Reader) -> None:
    """An input that changes while it is read is two inputs, half of each."""
    if reader.input_bytes != unit.size_bytes:
        raise UnitFailedError(
            f"{unit.path} had {unit.size_bytes} bytes when it was listed and has "
            f"{reader.input_bytes} now: run the same command again when nothing writes to it"
        )
    found = look_up(unit.path)
    version = "" if found is None else found.version or unit.version
    if unit.version and version != unit.version:
        raise UnitFailedError(
            f"{unit.path} was replaced while it was read: run the same command again when nothing "
            "writes to it"
        )


def facts_of(reader: Reader) -> InputFacts:
    """What a reader that is at its end found."""
    return InputFacts(
        part=reader.part,
        bytes=reader.input_bytes,
        sha256=reader.input_sha256,
        records=reader.records,
        decoded_bytes=reader.decoded_bytes,
        lost_bytes=reader.lost_bytes,
        undecoded_bytes=reader.undecoded_bytes,
        is_truncated=reader.is_truncated,
        html_extractor=html_extractor() if reader.input_format is InputFormat.WARC else None,
    )
