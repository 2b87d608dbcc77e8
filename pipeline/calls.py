"""What the command does, as functions: `tokenmill.build`, `tokenmill.verify`, `tokenmill.open`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.commands.build import build as run_build
from pipeline.config import BuildConfig
from pipeline.report import BuildResult
from pipeline.verify_build import check_build
from pipeline.verify_result import VerifyResult
from tokenizer import Tokenizer
from transforms.reading import InputFormat, ReadSettings
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.corpus import Corpus
from transforms.shards.settings import ShardSettings

_READ = ReadSettings()


def build(
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    tokenizer: str | Path = "cl100k_base",
    split_pattern: str | None = None,
    special_tokens: Mapping[str, int] | None = None,
    revision: str | None = None,
    begin_of_text: str | int | None = "auto",
    end_of_text: str | int | None = "auto",
    input_format: str | None = None,
    text_field: str = _READ.text_field,
    id_field: str = _READ.id_field,
    url_field: str = _READ.url_field,
    input_root: str | Path | None = None,
    max_document_bytes: int = _READ.max_document_bytes,
    max_shard_tokens: int | None = None,
    max_unit_bytes: int | None = _READ.max_unit_bytes,
    max_rejects: float = 0.01,
    max_memory_bytes: int | None = None,
    workers: int | None = None,
    beam_flags: Sequence[str] = (),
    allow_empty: bool = False,
    allow_truncated: bool = False,
    check_inputs: bool = False,
    overwrite: bool = False,
    repair: bool = False,
) -> BuildResult:
    """Tokenizes inputs into a folder of shards, as `tokenmill build` does; resumes what is there.

    Works in a script without a main guard and in a notebook: worker processes do not import the
    caller's module. Progress goes to stderr. Where too many records are faulty there is no manifest
    and `is_complete` of the result is False: `why_incomplete` says why.

    Args:
        inputs: a path or pattern, or several.
        output: the build's folder: new, empty, or a build of the same settings.
        tokenizer: with split_pattern, special_tokens and revision, as in `Tokenizer.load`.
        split_pattern: as in `Tokenizer.load`.
        special_tokens: as in `Tokenizer.load`.
        revision: as in `Tokenizer.load`.
        begin_of_text: before each document: "auto" (what the vocabulary's own tokenizer puts
            there), None, an id, or the text of a special token.
        end_of_text: after it: the same; "auto" is the vocabulary's end of text.
        input_format: jsonl, parquet, wet, warc or text; None: by each file's name.
        text_field: with id_field and url_field, the names of fields; dotted paths go into objects.
        id_field: see text_field.
        url_field: see text_field.
        input_root: what inputs are named relative to; None: the folder they share.
        max_document_bytes: a longer document is a reject.
        max_shard_tokens: start a new file before one grows beyond this; None: one file a unit.
        max_unit_bytes: a larger input is read in parts, each a unit, where its format allows; None:
            never.
        max_rejects: the share of records, and of bytes, that may be faulty.
        max_memory_bytes: of all local workers together; None: no limit.
        workers: local worker processes; None: one a core.
        beam_flags: for another Beam runner, `--runner=...` among them.
        allow_empty: a build without a single token is complete.
        allow_truncated: a build is complete although inputs end too early.
        check_inputs: read inputs that are done again, and do those anew that have changed.
        overwrite: remove the build that is there and start over.
        repair: do the units again whose files no longer are what their receipts say.

    Raises:
        ConfigurationError: before anything is started or touched.
        TokenmillError, OSError: the job failed; calling it again resumes.
    """
    patterns = [inputs] if isinstance(inputs, str | Path) else inputs
    settings = TokenizeSettings(
        tokenizer=str(tokenizer),
        split_pattern=split_pattern,
        special_tokens=special_tokens,
        revision=revision,
        begin_of_text=begin_of_text,
        end_of_text=end_of_text,
        shards=ShardSettings(max_tokens=max_shard_tokens),
        read=ReadSettings(
            input_format=_format(input_format),
            text_field=text_field,
            id_field=id_field,
            url_field=url_field,
            max_document_bytes=max_document_bytes,
            max_unit_bytes=max_unit_bytes,
        ),
    )
    return run_build(
        BuildConfig(
            inputs=tuple(map(str, patterns)),
            output=str(output),
            settings=settings,
            input_root=None if input_root is None else str(input_root),
            workers=workers,
            beam_flags=tuple(beam_flags),
            max_rejects=max_rejects,
            max_memory_bytes=max_memory_bytes,
            allow_empty=allow_empty,
            allow_truncated=allow_truncated,
            check_inputs=check_inputs,
            overwrite=overwrite,
            repair=repair,
        )
    )


def verify(
    directory: str | Path,
    *,
    retokenize: float = 0.0,
    input_root: str | Path | None = None,
    tokenizer: Tokenizer | None = None,
    beam_flags: Sequence[str] = (),
) -> VerifyResult:
    """Checks a build, as `tokenmill verify` does.

    Args:
        directory: the build.
        retokenize: the share of the units to do again from their inputs and compare, 0 to 1.
        input_root: where the inputs are; None: where the newest run read them.
        tokenizer: None: the build's own.
        beam_flags: for another Beam runner.

    Returns:
        What was found: `is_sound`, and the `differences`.

    Raises:
        ConfigurationError: impossible arguments.
        MismatchError: there is no manifest to go by.
    """
    return check_build(
        str(directory),
        retokenize=retokenize,
        input_root=None if input_root is None else str(input_root),
        tokenizer=tokenizer,
        beam_flags=beam_flags,
    )


def open(directory: str | Path) -> Corpus:
    """The documents of a complete build, memory-mapped.

    Args:
        directory: the build.

    Raises:
        MismatchError: there is no manifest, or not one of this format.
    """
    return Corpus(Build.at(str(directory)))


def _format(name: str | None) -> InputFormat | None:
    from tokenizer import ConfigurationError

    try:
        return None if name is None else InputFormat(name)
    except ValueError as error:
        raise ConfigurationError(
            f"expected one of {', '.join(one.value for one in InputFormat)}, found {name!r}",
            setting="input_format",
        ) from error
