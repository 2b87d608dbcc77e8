"""The fingerprint of a vocabulary: SHA-256 over all that decides ids; docs/formats.md lists it."""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.split.unicode_properties import UNICODE_VERSION
from tokenizer.text.normalizers import NORMALIZATION_VERSION, Step
from tokenizer.vocabulary import Vocabulary


def fingerprint_of(vocabulary: Vocabulary) -> str:
    """The fingerprint, 64 hexadecimal digits."""
    facts: dict[str, Any] = {
        "tokens": hashlib.sha256(vocabulary.token_bytes).hexdigest(),
        "offsets": hashlib.sha256(vocabulary.token_offsets.tobytes()).hexdigest(),
        "split_pattern": vocabulary.split_pattern,
        "unicode": UNICODE_VERSION,
        "special_tokens": dict(vocabulary.special_tokens),
    }
    if vocabulary.merges is not None:
        facts |= _facts_of_merges(vocabulary, vocabulary.merges)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _facts_of_merges(vocabulary: Vocabulary, merges: npt.NDArray[np.uint32]) -> dict[str, Any]:
    fallback = vocabulary.byte_tokens
    stages = [
        {**dataclasses.asdict(stage), "behavior": stage.behavior.value}
        | {"dialect": stage.dialect.value}
        for stage in vocabulary.pre_tokenizer.stages
    ]
    return {
        "merges": hashlib.sha256(merges.tobytes()).hexdigest(),
        "whole_pretokens": vocabulary.whole_pretokens,
        "unreachable": list(vocabulary.unreachable),
        "byte_tokens": fallback if fallback is None else fallback.tolist(),
        "added_tokens": [dataclasses.asdict(token) for token in vocabulary.added_tokens],
        "normalizer": _described(vocabulary.normalizer),
        "normalizer_unicode": NORMALIZATION_VERSION,
        "stages": stages,
        "prefix": _described(vocabulary.pre_tokenizer.prefix),
    }


def _described(steps: tuple[Step, ...]) -> list[list[Any]]:
    return [[type(step).__name__, dataclasses.asdict(step)] for step in steps]
