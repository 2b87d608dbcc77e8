"""Where every file of a build lies: the one module that spells a path, in both directions.

    OUT/
      tokenmill.json            the mark: this folder is ours, of this format and these settings
      manifest.json             the whole build; exists only when it is complete
      versions/00000001.json    a build that grows (`tokenmill watch`): what each version added
      receipts/<unit>.json      one unit; written last, so it commits the unit
      tokens/<unit>.npy         token shards; <unit>-00000.npy, -00001 ... with a size limit
      documents/<unit>.parquet  a row a document
      rejects/<unit>.parquet    a row a reject; only where there are any
      vocabulary/tokenizer.json the vocabulary, where it is not one that tokenmill brings
      runs/<run>/               what is not reproducible, a folder for each run of a command
        run.json                clock, host, versions, speed
        owner.json              who works on the build; there only while it does
        beat.json               a number that the owner raises while it does
        inputs.json             the version of each input that this run was to read;
                                inputs-00000001.json: that a round of a watch was to read
        failures/<unit>.json    why a unit could not be done
        staging/, .<name>.tmp   files being written
          claims/0000/<number>  where workers elsewhere do the units: that one is taken

An export (transforms/exports) has the same mark, manifest, receipts, documents and runs; its units
are its shards, and what lies below tokens/ is for its format to name.

Names of units are made by unit_names.py and never hold anything that needs care here.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator

from transforms.stores.local_store import TEMPORARY_SUFFIX

MARK = "tokenmill.json"
MANIFEST = "manifest.json"
RUNS = "runs"
VERSIONS = "versions"
_RUN_RECORD, _INTENT = "/run.json", ".intent"
VOCABULARY_SUFFIXES = (".json", ".tiktoken")
RECEIPTS = "receipts"
TOKENS = "tokens"
UNIT_FOLDERS = (RECEIPTS, TOKENS, "documents", "rejects")


def examples(suffixes: Iterable[str]) -> Iterator[str]:
    """A path of each kind that a build writes, for inputs of those endings.

    >>> list(examples(["txt"]))[:4]
    ['tokenmill.json', 'manifest.json', 'versions/00000001.json', 'receipts/part.txt.json']
    """
    yield from (MARK, MANIFEST, version_path(1))
    for suffix in suffixes:
        unit = f"part.{suffix}"
        yield from (receipt_path(unit), documents_path(unit), rejects_path(unit))
        yield shard_path(unit, ".npy", None)
        yield shard_path(f"{unit}/part-00000", ".npy", None)


def version_path(number: int) -> str:
    """What one version of a growing build added; number: from 1."""
    return f"{VERSIONS}/{number:08d}.json"


def number_of_version(path: str) -> int | None:
    """The version whose record that is; None for any other file.

    >>> number_of_version(version_path(12)), number_of_version("versions/00000012.json.x.tmp")
    (12, None)
    """
    found = re.fullmatch(rf"{VERSIONS}/(\d{{8,}})\.json", path)
    return int(found[1]) if found else None


def receipt_path(unit: str) -> str:
    """The commit record of a unit."""
    return f"receipts/{unit}.json"


def unit_of_receipt(path: str) -> str | None:
    """The unit whose receipt that is; None for any other file.

    >>> unit_of_receipt(receipt_path("en/a.jsonl")), unit_of_receipt("tokens/a.jsonl.npy")
    ('en/a.jsonl', None)
    """
    if path.startswith("receipts/") and path.endswith(".json"):
        return path.removeprefix("receipts/").removesuffix(".json")
    return None


def documents_path(unit: str) -> str:
    """The index of a unit's documents."""
    return f"documents/{unit}.parquet"


def rejects_path(unit: str) -> str:
    """The rejects of a unit."""
    return f"rejects/{unit}.parquet"


def shard_path(unit: str, suffix: str, number: int | None) -> str:
    """A token shard of a unit.

    Args:
        unit: the unit's name.
        suffix: of the shard format, such as `.npy`.
        number: 0-based, where the unit may have several; None where it has at most one.

    >>> shard_path("a.jsonl", ".npy", None), shard_path("a.jsonl", ".npy", 3)
    ('tokens/a.jsonl.npy', 'tokens/a.jsonl-00003.npy')
    """
    counted = "" if number is None else f"-{number:05d}"
    return f"tokens/{unit}{counted}{suffix}"


def export_file_path(name: str) -> str:
    """A file of an export, by its name among the files that the trainer reads.

    >>> export_file_path("train/000003.bin")
    'tokens/train/000003.bin'
    """
    return f"{TOKENS}/{name}"


def export_file_name(path: str) -> str:
    """The other way round.

    >>> export_file_name("tokens/train/000003.bin")
    'train/000003.bin'
    """
    return path.removeprefix(f"{TOKENS}/")


def block_paths(name: str) -> tuple[str, str]:
    """Where the ids and the rows of a shuffle's block are, below the folder of the shuffle.

    >>> block_paths("blocks/000007")
    ('tokens/blocks/000007.bin', 'documents/blocks/000007.arrow')
    """
    return f"tokens/{name}.bin", f"documents/{name}.arrow"


def is_file_of(unit: str, path: str) -> bool:
    """Whether a file is one of those that a unit may have beside its receipt.

    A unit of a build, a shard of an export: then a file of its split and number, or a block of a
    shuffle.

    >>> is_file_of("a.jsonl", "tokens/a.jsonl-00000.npy"), is_file_of("a.jsonl", "tokens/b.npy")
    (True, False)
    >>> [is_file_of("blocks/000007", path) for path in block_paths("blocks/000007")]
    [True, True]
    >>> is_file_of("train/000003", "tokens/train/part-0-00003.npy")
    True
    >>> is_file_of("train/000003", "tokens/train/000004.bin")
    False
    """
    return _is_file_of_unit(unit, path) or _is_file_of_shard(unit, path)


def _is_file_of_unit(unit: str, path: str) -> bool:
    if path in (documents_path(unit), rejects_path(unit), *block_paths(unit)):
        return True
    return re.fullmatch(rf"tokens/{re.escape(unit)}(-\d{{5,}})?\.\w+", path) is not None


def _is_file_of_shard(unit: str, path: str) -> bool:
    split, slash, digits = unit.rpartition("/")
    if not slash or "/" in split or not (digits.isascii() and digits.isdigit()):
        return False
    numbered = rf"[/_](?:[a-z]+[-.])?(?:0-)?0*{int(digits)}"
    pattern = rf"tokens/(?:tokens_)?{re.escape(split)}(?:{numbered})?(?:\.[a-z_]+)+"
    return re.fullmatch(pattern, path) is not None


def vocabulary_path(suffix: str) -> str:
    """The copy of the vocabulary's file: `.json` or `.tiktoken`."""
    return f"vocabulary/tokenizer{suffix}"


def run_folder(run: str) -> str:
    """All that a run of a command writes of itself."""
    return f"{RUNS}/{run}"


def is_run_record(path: str) -> bool:
    """Whether run_record_path gives this path for some run."""
    return path.startswith(f"{RUNS}/") and path.endswith(_RUN_RECORD)


def run_record_path(run: str) -> str:
    """What is not reproducible: clock, host, versions, speed."""
    return f"{RUNS}/{run}{_RUN_RECORD}"


def owner_path(run: str) -> str:
    """Who works on the build, while it does."""
    return f"{RUNS}/{run}/owner.json"


def beat_path(run: str) -> str:
    """The sign of life of whoever works on the build."""
    return f"{RUNS}/{run}/beat.json"


def run_of_owner(path: str) -> str | None:
    """The run whose owner record that is; None for any other file."""
    parts = path.split("/")
    if len(parts) == 3 and parts[0] == RUNS and parts[2] == "owner.json":
        return parts[1]
    return None


def input_versions_path(run: str, round_number: int = 0) -> str:
    """The version of each input that a run was to read, or, from 1, one round of a watch."""
    name = f"inputs-{round_number:08d}" if round_number else "inputs"
    return f"{RUNS}/{run}/{name}.json"


def round_of_input_versions(path: str) -> tuple[str, int] | None:
    """Run and round whose input_versions_path that is; None for any other file.

    >>> round_of_input_versions(input_versions_path("x", 2)), round_of_input_versions("runs/x/y")
    (('x', 2), None)
    """
    found = re.fullmatch(rf"{RUNS}/([^/]+)/inputs(?:-(\d{{8,}}))?\.json", path)
    return (found[1], int(found[2] or 0)) if found else None


def failures_folder(run: str) -> str:
    """Why units of a run could not be done."""
    return f"{RUNS}/{run}/failures"


def failure_path(run: str, unit: str) -> str:
    """Why one unit of a run could not be done."""
    return f"{RUNS}/{run}/failures/{unit}.json"


def intent_path(run: str, unit: str) -> str:
    """What a run is about to publish of one unit, or to remove."""
    return f"{attempts_folder(run, unit)}{_INTENT}"


def is_intent(run: str, path: str) -> bool:
    """Whether intent_path gives this path for some unit of the run.

    >>> is_intent("r", intent_path("r", "a.jsonl")), is_intent("r", intent_path("s", "a.jsonl"))
    (True, False)
    >>> is_intent("r", "runs/r/staging/not-an-intent")
    False
    """
    pattern = rf"{re.escape(staging_folder(run))}/[^/]+{re.escape(_INTENT)}"
    return re.fullmatch(pattern, path) is not None


def attempts_folder(run: str, unit: str) -> str:
    """The intents of a unit where several attempts at it may be alive: of a shared build."""
    name = hashlib.sha256(unit.encode()).hexdigest()[:32]
    return f"{staging_folder(run)}/{name}"


def attempt_path(run: str, unit: str, attempt: str) -> str:
    """What one of them is about to publish."""
    return f"{attempts_folder(run, unit)}/{attempt}{_INTENT}"


def all_claims_folder(run: str) -> str:
    """Every claims_folder of a run."""
    return f"{RUNS}/{run}/staging/claims"


def claims_folder(run: str, block: int) -> str:
    """Which units of one block of a run's queue workers elsewhere have taken."""
    return f"{all_claims_folder(run)}/{block:04d}"


def staging_folder(run: str) -> str:
    """Files that a run is writing, under names of their own."""
    return f"{RUNS}/{run}/staging"


def is_temporary_of(run: str, path: str) -> bool:
    """Whether a run was writing that file when it ended: a store then renames or moves it.

    >>> is_temporary_of("r", "runs/r/.a.npy.0123.tmp"), is_temporary_of("r", "runs/r/run.json")
    (True, False)
    """
    folder, _, name = path.rpartition("/")
    is_unnamed = name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)
    return path.startswith(f"{staging_folder(run)}/") or (is_unnamed and folder == run_folder(run))
