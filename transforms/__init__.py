"""Beam transforms: `TokenizeShards` for files, `ApplyMergeRules` for pipelines of your own."""

from transforms.apply_merge_rules import (
    ApplyMergeRules,
    Document,
    RejectedDocument,
    TokenizedDocument,
)
from transforms.settings import TokenizeSettings, WorkUnit
from transforms.tokenize_shards import TokenizeShards

__all__ = [
    "ApplyMergeRules",
    "Document",
    "RejectedDocument",
    "TokenizeSettings",
    "TokenizeShards",
    "TokenizedDocument",
    "WorkUnit",
]
