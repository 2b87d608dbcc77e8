"""The packages and the native extension; metadata lives in pyproject.toml."""

import sys
from pathlib import Path

import setuptools
from setuptools import setup

ENGINE = Path("tokenizer/native")
PAGE_SHAPE = Path("transforms/reading/native")
if int(setuptools.__version__.partition(".")[0]) < 77:  # isolated builds bring their own
    sys.exit(
        f"tokenmill is packed by setuptools 77 or newer, here is {setuptools.__version__}: "
        "pip install 'setuptools>=77', or send a wheel to workers (--extra_package)"
    )


def extensions():
    """The native engine, and what looks at HTML pages before they are parsed.

    None for an sdist, which holds their sources and needs no compiler.

    Beam makes one where a job is submitted (`--setup_file`), without what a build requires.
    """
    if "sdist" in sys.argv:
        return []
    import pyarrow
    from pybind11.setup_helpers import Pybind11Extension

    return [
        Pybind11Extension(
            "tokenizer._native",
            sorted(str(path) for path in ENGINE.glob("*.cc")),
            depends=sorted(str(path) for path in ENGINE.glob("*.h")),
            # Arrow's headers carry xxHash (XXH3); nothing of Arrow is linked.
            include_dirs=[pyarrow.get_include()],
            cxx_std=17,
            extra_compile_args=["-O3"],
        ),
        Pybind11Extension(
            "transforms.reading._page_shape",
            sorted(str(path) for path in PAGE_SHAPE.glob("*.cc")),
            depends=sorted(str(path) for path in PAGE_SHAPE.glob("*.h")),
            cxx_std=17,
            extra_compile_args=["-O3"],
        ),
    ]


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
        "transforms": ["py.typed", "reading/_page_shape.pyi"],
    },
    ext_modules=extensions(),
)
