"""Beam transforms: `TokenizeShards` for files, `TokenizeWindows` for streams, `ApplyMergeRules`."""

import importlib
from typing import TYPE_CHECKING, Any

from transforms.settings import TokenizeSettings

if TYPE_CHECKING:
    from transforms.apply_merge_rules import (
        ApplyMergeRules,
        Document,
        RejectedDocument,
        TokenizedDocument,
    )
    from transforms.passes.work_pass import WorkUnit
    from transforms.tokenize_shards import TokenizeShards
    from transforms.tokenize_windows import TokenizeWindows

__all__ = [
    "ApplyMergeRules",
    "Document",
    "RejectedDocument",
    "TokenizeSettings",
    "TokenizeShards",
    "TokenizeWindows",
    "TokenizedDocument",
    "WorkUnit",
]


_MODULES = {
    "TokenizeShards": "tokenize_shards",
    "TokenizeWindows": "tokenize_windows",
    "WorkUnit": "passes.work_pass",
}


def __getattr__(name: str) -> Any:
    """The transforms themselves, which import Beam, when they are first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES.get(name, "apply_merge_rules")
    return getattr(importlib.import_module(f"transforms.{module}"), name)
