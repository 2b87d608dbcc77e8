"""What the fork server imports once, so that every worker starts with it.

Frozen against garbage collection: modules stay, and a worker need not look through them.
"""

import gc

gc.disable()

import transforms.passes.tokenize  # noqa: E402, F401

gc.freeze()
gc.enable()
