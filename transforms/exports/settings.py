"""What decides the bytes of an export."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizer import ConfigurationError
from transforms.exports.formats import ExportFormat, dtype_for, export_format
from transforms.exports.framing import PLACES, Framing, make_framing
from transforms.exports.mixtures import OTHER, Mixture, Source
from transforms.exports.packing import PACKINGS, TAILS
from transforms.exports.splits import KEYS, TRAIN, Splitter
from transforms.shards.manifest import Manifest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MAX_WEIGHT = 1000
_MAX_SEQUENCE = 1 << 22
DEFAULT_SHARD_TOKENS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How documents of a build become the files of a trainer.

    Attributes:
        format: a name in transforms/exports/formats.
        shard_tokens: a shard ends before the document that would bring it above this; None:
            DEFAULT_SHARD_TOKENS, or the format's own limit where that is smaller.
        splits: names and shares of documents that are held out; None: as the format wants it.
        split_key: what decides the split, a name in splits.KEYS.
        end_of_text: a place in framing.PLACES, or `auto`, the format's.
        shuffle: the seed of a global shuffle; None: documents stay in the order of the build.
        sources: of a mixture, with their weights; empty: every document once.
        sequence_length: of sequences that documents are packed into; None: documents stay whole.
        packing: how, a name in packing.PACKINGS. tail: what becomes of ids that do not fill the
            last sequence of a shard, one of packing.TAILS (carry.py); best-fit always pads.
    """

    format: str
    shard_tokens: int | None = None
    splits: tuple[tuple[str, float], ...] | None = None
    split_key: str = "id"
    end_of_text: str = "auto"
    shuffle: int | None = None
    sources: tuple[Source, ...] = ()
    sequence_length: int | None = None
    packing: str = "concat"
    tail: str = "pad"

    def __post_init__(self) -> None:
        one = export_format(self.format)
        if self.shard_tokens is not None and self.shard_tokens < 1:
            raise ConfigurationError("must be at least 1", setting="shard_tokens")
        if self.shard_tokens is not None and one.is_whole:
            raise ConfigurationError(
                f"{one.name} has one file a split: leave it away", setting="shard_tokens"
            )
        limit = one.max_shard_tokens
        if limit is not None and (self.shard_tokens or 0) > limit:
            raise ConfigurationError(
                f"a shard of {one.name} holds {limit:,} at most", setting="shard_tokens"
            )
        if self.split_key not in KEYS:
            raise ConfigurationError(
                f"expected one of {', '.join(KEYS)}, found {self.split_key!r}", setting="split_key"
            )
        if self.end_of_text not in ("auto", *PLACES):
            raise ConfigurationError(
                f"expected auto, {', '.join(PLACES)}, found {self.end_of_text!r}",
                setting="end_of_text",
            )
        self._check_sequences(one)
        _check_splits(self.splits or ())
        _check_sources(self.sources)
        if self.shuffle is None and Mixture(self.sources).repeats:
            raise ConfigurationError(
                "a weight above 1 needs a shuffle, or copies would stand side by side",
                setting="weight",
            )

    def _check_sequences(self, one: ExportFormat) -> None:
        if self.packing not in PACKINGS or self.tail not in TAILS:
            raise ConfigurationError(
                f"packing: expected one of {', '.join(PACKINGS)}, tail: one of {', '.join(TAILS)}, "
                f"found {self.packing!r} and {self.tail!r}"
            )
        length = self.sequence_length
        if length is None:
            if one.has_segments:
                raise ConfigurationError(
                    f"{one.name} holds sequences: say how long", setting="sequence_length"
                )
            return
        if not 2 <= length <= _MAX_SEQUENCE:
            raise ConfigurationError(
                f"expected 2 to {_MAX_SEQUENCE:,}, found {length}", setting="sequence_length"
            )
        if one.uses_rows:
            raise ConfigurationError(
                f"{one.name} names each document, and sequences have several: take npy, mds or "
                "another format",
                setting="sequence_length",
            )

    @property
    def max_tokens(self) -> int | None:
        """Where a shard ends; None: never."""
        one = export_format(self.format)
        if one.is_whole:
            return None
        return self.shard_tokens or min(
            DEFAULT_SHARD_TOKENS, one.max_shard_tokens or DEFAULT_SHARD_TOKENS
        )

    @property
    def splitter(self) -> Splitter:
        """As it is before the plan has looked for texts that occur twice."""
        shares = export_format(self.format).default_splits if self.splits is None else self.splits
        return Splitter(shares, self.split_key)

    def framing(self, manifest: Manifest) -> Framing:
        """How documents change.

        Raises:
            ConfigurationError: there is no end of text.
        """
        one, tokenizer = export_format(self.format), manifest.settings["tokenizer"]
        begin, end = tokenizer["begin_of_text"], tokenizer["end_of_text"]
        own = manifest.tokenizer.end_of_text
        place = one.end_of_text if self.end_of_text == "auto" else self.end_of_text
        if self.end_of_text == "auto" and begin is None and end is None and own is None:
            place = "as-built"  # nobody asked for what this vocabulary does not have
        return make_framing(place, begin, end, own)

    def _described_sequences(self, manifest: Manifest) -> dict[str, Any] | None:
        if self.sequence_length is None:
            return None
        return {
            "length": self.sequence_length,
            "packing": self.packing,
            "tail": "pad" if self.packing == "best-fit" else self.tail,
            "padding": _padding_of(manifest),
        }

    def described(self, manifest: Manifest, manifest_sha256: str) -> dict[str, Any]:
        """All that decides output bytes, as plain JSON values: no path, host or clock.

        Args:
            manifest: of the build. manifest_sha256: of its file.

        Raises:
            ConfigurationError: the format can not hold this build's ids.
        """
        one, framing = export_format(self.format), self.framing(manifest)
        size = manifest.tokenizer.vocabulary_size
        return {
            "pass": "export",
            "source": {"fingerprint": manifest.fingerprint, "manifest_sha256": manifest_sha256},
            "tokenizer": {
                "name": manifest.tokenizer.name,
                "fingerprint": manifest.settings["tokenizer"]["fingerprint"],
                "vocabulary_size": size,
            },
            "format": {"name": one.name, "dtype": dtype_for(one, size).str},
            "shard_tokens": self.max_tokens,
            "splits": [[name, float(share)] for name, share in self.splitter.shares],
            "split_key": self.split_key,
            "shuffle": self.shuffle,
            "sequences": self._described_sequences(manifest),
            "sources": [[one.name, one.pattern, float(one.weight)] for one in self.sources],
            "framing": {
                "drops_last": framing.drops_last,
                "before": framing.before,
                "after": framing.after,
            },
        }


def _padding_of(manifest: Manifest) -> int:
    end = manifest.settings["tokenizer"]["end_of_text"]
    padding = manifest.tokenizer.end_of_text if end is None else end
    if padding is None:
        raise ConfigurationError(
            "there is no end of text to fill sequences with", setting="sequence_length"
        )
    return int(padding)


def splitter_of(described: Mapping[str, Any]) -> Splitter:
    """The Splitter that an export's settings describe, before the plan."""
    shares = tuple((name, share) for name, share in described["splits"])
    return Splitter(shares, described["split_key"])


def parse_splits(text: str) -> tuple[tuple[str, float], ...]:
    """Splits as they are written in one line.

    >>> parse_splits("validation=0.005,test=1%")
    (('validation', 0.005), ('test', 0.01))

    Raises:
        ConfigurationError: it is none.
    """
    splits = []
    for one in filter(None, text.split(",")):
        name, _, share = one.partition("=")
        try:
            number = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1)
        except ValueError:
            raise ConfigurationError(
                f"expected NAME=SHARE, such as validation=0.005, found {one!r}", setting="split"
            ) from None
        splits.append((name, number))
    return tuple(splits)


def _check_splits(splits: tuple[tuple[str, float], ...]) -> None:
    names = [name for name, _ in splits]
    for name in names:
        if not _NAME.fullmatch(name) or name == TRAIN or names.count(name) > 1:
            raise ConfigurationError(
                f"{name!r}: a split needs a name of its own, of letters, digits, - and _; "
                f"{TRAIN!r} is all that is in no other",
                setting="split",
            )
    total = sum(share for _, share in splits)
    if not all(0 < share < 1 for _, share in splits) or total > 1:
        raise ConfigurationError(
            f"expected shares between 0 and 1 that are 1 together at most, found {total:g}",
            setting="split",
        )


def parse_sources(
    patterns: Sequence[str], weights: Sequence[str], builds: str | Mapping[str, str] = ""
) -> tuple[Source, ...]:
    """The sources of a mixture as they are written.

    >>> parse_sources(["web=web/**", "code=code/**"], ["code=2.5"])[1]
    Source(name='code', pattern='code/**', weight=2.5)

    Args:
        patterns: NAME=PATTERN each. weights: NAME=WEIGHT each; 1 where none is given.
        builds: as in `make_sources`.

    Raises:
        ConfigurationError: they are none, or a weight is of no source.
    """
    given: dict[str, float] = {}
    for text in weights:
        name, _, number = text.partition("=")
        try:
            given[name] = float(number)
        except ValueError:
            raise ConfigurationError(
                f"expected NAME=NUMBER, found {text!r}", setting="weight"
            ) from None
    named: dict[str, str] = {}
    for text in patterns:
        name, _, pattern = text.partition("=")
        if not pattern or name in named:
            raise ConfigurationError(
                f"expected NAME=PATTERN, each name once, found {text!r}", setting="source"
            )
        named[name] = pattern
    return make_sources(named, given, builds)


def make_sources(
    patterns: Mapping[str, str],
    weights: Mapping[str, float],
    builds: str | Mapping[str, str] = "",
) -> tuple[Source, ...]:
    """The sources of a mixture.

    Args:
        patterns: of each name. weights: of some of them; 1 where there is none.
        builds: where there are several by name, each is a source after the patterns.

    Raises:
        ConfigurationError: a weight is of no source.
    """
    if not isinstance(builds, str):
        patterns = {**patterns, **{name: f"{name}/**" for name in builds if name not in patterns}}
    if unknown := sorted(weights.keys() - patterns.keys()):
        raise ConfigurationError(f"there is no source of the name {unknown[0]!r}", setting="weight")
    return tuple(
        Source(name, pattern, float(weights.get(name, 1.0))) for name, pattern in patterns.items()
    )


def _check_sources(sources: tuple[Source, ...]) -> None:
    names = [source.name for source in sources]
    for source in sources:
        if not _NAME.fullmatch(source.name) or source.name == OTHER or names.count(source.name) > 1:
            raise ConfigurationError(
                f"{source.name!r}: a source needs a name of its own, of letters, digits, - and _; "
                f"{OTHER!r} is all that is in no other",
                setting="source",
            )
        if not 0 <= source.weight < _MAX_WEIGHT:
            raise ConfigurationError(
                f"expected 0 or more, below {_MAX_WEIGHT}, found {source.weight:g}",
                setting="weight",
            )
