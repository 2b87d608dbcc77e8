"""The packages and the native extension; metadata lives in pyproject.toml."""

from pathlib import Path

import pyarrow
from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

NATIVE = Path("tokenizer/native")

setup(
    packages=[
        "pipeline",
        "pipeline.commands",
        "pipeline.runners",
        "tokenizer",
        "tokenizer.split",
        "tokenizer.split.fast",
        "tokenizer.text",
        "tokenizer.vocabularies",
        "tokenmill",
        "transforms",
        "transforms.exports",
        "transforms.exports.formats",
        "transforms.loading",
        "transforms.passes",
        "transforms.reading",
        "transforms.stores",
        "transforms.shards",
        "transforms.shards.formats",
    ],
    package_data={
        "pipeline": ["py.typed"],
        "tokenizer": ["py.typed", "_native.pyi", "bundled/*"],
        "tokenmill": ["py.typed"],
        "transforms": ["py.typed"],
    },
    ext_modules=[
        Pybind11Extension(
            "tokenizer._native",
            sorted(str(path) for path in NATIVE.glob("*.cc")),
            depends=sorted(str(path) for path in NATIVE.glob("*.h")),
            # Arrow's headers carry xxHash (XXH3); nothing of Arrow is linked.
            include_dirs=[pyarrow.get_include()],
            cxx_std=17,
            extra_compile_args=["-O3"],
        )
    ],
)
