"""What the fork server imports and loads once, so that every worker starts with it.

Frozen against garbage collection: all of it stays, and a worker need not look through it.
"""

import contextlib
import gc
import os

gc.disable()

import numpy.ma  # noqa: E402, F401  (Arrow asks for it when it is given an array)

import transforms.passes.tokenize  # noqa: E402, F401
from pipeline.runners.fork_server import PRELOADED_TOKENIZER  # noqa: E402
from tokenizer import BUNDLED_NAMES, Tokenizer, TokenmillError  # noqa: E402
from transforms.settings import TokenizeSettings  # noqa: E402

named = os.environ.pop(PRELOADED_TOKENIZER, None)
if named is not None and (name := named or TokenizeSettings().tokenizer) in BUNDLED_NAMES:
    # What is wrong with it the command says, which loads it as well.
    with contextlib.suppress(TokenmillError, MemoryError):
        Tokenizer.load(name)

gc.freeze()
gc.enable()
