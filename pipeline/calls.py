"""What the command does, as functions: `tokenmill.build`, `export`, `verify`, and `open`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.commands.build import build as run_build
from pipeline.commands.export import export as run_export
from pipeline.commands.verify import check
from pipeline.config import BuildConfig
from pipeline.export_config import ExportConfig
from pipeline.export_report import ExportResult
from pipeline.report import BuildResult
from pipeline.verify_export import holds_export
from pipeline.verify_result import VerifyExportResult, VerifyResult
from pipeline.versions import manifest_of_version
from tokenizer import ConfigurationError, Tokenizer
from transforms.exports.corpus_source import ExportSource
from transforms.exports.settings import ExportSettings, make_sources
from transforms.exports.shuffle import BLOCK_TOKENS
from transforms.exports.splits import TRAIN
from transforms.reading import InputFormat, ReadSettings
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.build_source import BuildSource
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


def export(
    directory: str | Path | Mapping[str, str | Path],
    output: str | Path,
    *,
    format: str,
    shard_tokens: int | None = None,
    splits: Mapping[str, float] | None = None,
    split_key: str = "id",
    end_of_text: str = "auto",
    shuffle: int | None = None,
    shuffle_tokens: int = BLOCK_TOKENS,
    sources: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    sequence_length: int | None = None,
    packing: str = "concat",
    tail: str = "pad",
    workers: int | None = None,
    beam_flags: Sequence[str] = (),
) -> ExportResult:
    """Writes a build in the files that a trainer reads, as `tokenmill export` does; resumes.

    Args:
        directory: a complete build; or several by name, with one tokenizer: each is a source of a
            mixture, whose units are called `name/...`.
        output: the export's folder: new, empty, or an export of the same settings.
        format: bin, nanogpt, megatron, olmo, datatrove, llmc, mds, litdata, pbin, parquet,
            arrayrecord or npy.
        shard_tokens: a shard ends before the document that would bring it above this; None: 100
            million, or what the format holds.
        splits: shares of documents to hold out, by name; None: as the format wants it.
        split_key: what decides a document's split: id, host, url or text.
        end_of_text: auto (where the trainer wants it), before, after, none or as-built.
        shuffle: the seed of a global shuffle; None: documents stay in the order of the build.
        shuffle_tokens: ids that are shuffled at a time: memory, and no byte, depends on it.
        sources: of a mixture: a pattern of unit names for each name.
        weights: how often the documents of each source are in `train`; 1 where none is given.
        sequence_length: pack documents into sequences of so many ids; None: they stay whole.
        packing: concat or best-fit.
        tail: what becomes of ids that do not fill the last sequence of a shard: pad, drop, or
            carry: the next shard begins with them, and the last is padded.
        workers: local worker processes; None: one a core.
        beam_flags: for another Beam runner, `--runner=...` among them.

    Raises:
        ConfigurationError: before anything is written.
        MismatchError: the build is not complete, or not as its receipts say.
        TokenmillError, OSError: it failed; calling it again resumes.
    """
    source = _source(directory)
    settings = ExportSettings(
        format=format,
        shard_tokens=shard_tokens,
        splits=None if splits is None else tuple(splits.items()),
        split_key=split_key,
        end_of_text=end_of_text,
        shuffle=shuffle,
        sources=make_sources(sources or {}, weights or {}, source),
        sequence_length=sequence_length,
        packing=packing,
        tail=tail,
    )
    return run_export(
        ExportConfig(
            directory=source,
            output=str(output),
            settings=settings,
            block_tokens=shuffle_tokens,
            workers=workers,
            beam_flags=tuple(beam_flags),
        )
    )


def verify(
    directory: str | Path,
    *,
    retokenize: float = 0.0,
    input_root: str | Path | None = None,
    source: str | Path | Mapping[str, str | Path] | None = None,
    tokenizer: Tokenizer | None = None,
    beam_flags: Sequence[str] = (),
    version: str | int | None = None,
) -> VerifyResult | VerifyExportResult:
    """Checks a build or an export, as `tokenmill verify` does.

    Args:
        directory: the build or the export.
        retokenize: of a build: the share of the units to do again from their inputs and compare,
            0 to 1.
        input_root: of a build: where the inputs are; None: where the newest run read them.
        source: of an export: the build it was made of, or several by name; None: where the newest
            run read them.
        tokenizer: of a build; None: its own.
        beam_flags: for another Beam runner.
        version: as for `open`: check just that one.

    Returns:
        What was found: `is_sound`, and the `differences`.

    Raises:
        ConfigurationError: impossible arguments.
        MismatchError: there is no manifest to go by.
    """
    return check(
        str(directory),
        retokenize=retokenize,
        input_root=None if input_root is None else str(input_root),
        tokenizer=tokenizer,
        beam_flags=beam_flags,
        source=None if source is None else _source(source),
        version=None if version is None else str(version),
    )


def open(
    directory: str | Path, *, split: str | None = None, version: str | int | None = None
) -> Corpus:
    """The documents of a complete build or export, memory-mapped, and batches of their ids.

        corpus = tokenmill.open("shards")
        corpus[0].tokens, corpus[0].id
        for input, target in corpus.batches(sequence_length=1024, batch_size=8, seed=1): ...

    Args:
        directory: the build, or an export in a format whose files hold ids one after the other:
            not mds, parquet or arrayrecord.
        split: of an export; None: `train`.
        version: of a build that `tokenmill watch` makes: its number, or 12 characters or more of
            its SHA-256. Its documents stay these, whatever is added; None: those there are now.

    Raises:
        MismatchError: there is no manifest, or not one of this format.
        ConfigurationError: no such split or version, or files that can not be mapped.
    """
    place = Build.at(str(directory))
    if holds_export(str(directory)):
        if version is not None:
            raise ConfigurationError("is for builds: this is an export", setting="version")
        return Corpus(ExportSource(place, TRAIN if split is None else split))
    if split is not None:
        raise ConfigurationError("is for exports: this is a build", setting="split")
    manifest = None if version is None else manifest_of_version(place, str(version))[1]
    return Corpus(BuildSource(place, manifest))


def _source(directory: str | Path | Mapping[str, str | Path]) -> str | dict[str, str]:
    if isinstance(directory, Mapping):
        return {name: str(path) for name, path in directory.items()}
    return str(directory)


def _format(name: str | None) -> InputFormat | None:
    try:
        return None if name is None else InputFormat(name)
    except ValueError as error:
        raise ConfigurationError(
            f"expected one of {', '.join(one.value for one in InputFormat)}, found {name!r}",
            setting="input_format",
        ) from error
