"""What the fork server imports once, so that every worker starts with it.

Frozen against garbage collection: the modules are some 300,000 objects that stay, and looking
through them again and again took 6% of a worker's time, and a tenth of importing them.
"""

import gc
import logging

gc.disable()
logging.getLogger().setLevel(logging.ERROR)  # importing Beam warns of optional packages

import apache_beam.runners.portability.fn_api_runner  # noqa: E402, F401

import transforms.passes.tokenize  # noqa: E402
import transforms.run_pass  # noqa: E402, F401

gc.freeze()
gc.enable()
