"""`tokenmill.commit`: a version of what a pipeline of one's own has finished so far."""

from dataclasses import replace
from pathlib import Path

from pipeline.config import BuildConfig
from pipeline.growing_build import Commit, GrowingBuild
from pipeline.lease import Lease
from pipeline.run_record import new_run_name
from pipeline.tokenizers import entry_of
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.filesystem import absolute_path
from transforms.passes.tokenize import TokenizePass
from transforms.settings import TokenizeSettings, read_settings_of, shard_settings_of
from transforms.shards.build import Build
from transforms.shards.mark import explain_difference, read_mark
from transforms.shards.vocabulary_copy import keep_vocabulary


def commit(
    directory: str | Path,
    settings: TokenizeSettings | None = None,
    *,
    max_rejects: float = 0.01,
    allow_truncated: bool = False,
    allow_empty: bool = False,
) -> Commit:
    """Makes a version of a build of all units that `TokenizeShards` or `TokenizeWindows` has done.

        while True:
            time.sleep(600)
            tokenmill.commit("gs://bucket/tokens", settings)

    Of an input in parts, units count when the same inputs were built or watched; those of streams
    have no parts. What pipelines are about to write is in the next version.

    Args:
        directory: the output of the pipeline, which may go on.
        settings: those of the pipeline; None: the defaults. `read` and `shards` are taken from the
            build.
        max_rejects: the share of records, and of bytes, that may be faulty.
        allow_truncated: inputs that end too early are taken.
        allow_empty: a version without a single token is one.

    Returns:
        The new version, if there is something new, and what was left out of it and why.

    Raises:
        ConfigurationError: the build was made with other settings.
        MismatchError: there is no build, or it is not what its versions say.
        BuildInUseError: another command is working on it.
    """
    target = Build.at(absolute_path(str(directory)), new_run_name(), is_leased=True)
    mark = read_mark(target)
    if mark is None:
        raise MismatchError(f"{target.root} is no build: nothing has been written there yet")
    used = replace(
        settings or TokenizeSettings(),
        read=read_settings_of(mark.settings),
        shards=shard_settings_of(mark.settings),
    ).pinned()
    work = TokenizePass(used)
    if work.fingerprint != mark.fingerprint:
        raise ConfigurationError(explain_difference(target, mark.settings, work.described()))
    limits = BuildConfig(
        inputs=(target.root,),
        output=target.root,
        max_rejects=max_rejects,
        allow_truncated=allow_truncated,
        allow_empty=allow_empty,
    )
    with Lease(target) as lease:
        kept = keep_vocabulary(target, used.tokenizer, used.revision)
        growing = GrowingBuild(target, work.fingerprint, entry_of(used, work.tokenizer, kept))
        lease.check()
        return growing.commit(limits, present=())
