"""The errors of runs; those of files and passes are in transforms/errors.py.

TokenmillError
├── WorkerDiedError        a worker process ended without a result
├── RunFailedError         units could not be done, or the runner gave up; the rest is committed
└── BuildInUseError        somebody else is working on the build
"""

from tokenizer.errors import TokenmillError


class WorkerDiedError(TokenmillError):
    """A worker process ended without a result."""


class RunFailedError(TokenmillError):
    """Units could not be done; what was committed is kept."""


class BuildInUseError(TokenmillError):
    """Somebody else is working on the build."""
