"""`python -m pipeline`: `python -m tokenmill`, without asking whose packages these are."""

import os
import sys

from pipeline.cli import main

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # as tokenmill.main does
