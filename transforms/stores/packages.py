"""Packages that only some stores need."""

import importlib
from types import ModuleType

from tokenizer import ConfigurationError


def needed_package(module: str, purpose: str, extra: str) -> ModuleType:
    """Imports a module; ConfigurationError with the remedy when its package is not installed.

    Args:
        module: Its name.
        purpose: What needs it, such as "s3://".
        extra: The extra of this distribution that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ConfigurationError(
            f"{purpose} needs the package {package}: pip install 'tokenmill[{extra}]'"
        ) from error
