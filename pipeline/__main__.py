"""`python -m pipeline`: `python -m tokenmill`, without asking whose packages these are."""

import os
import sys

from pipeline.cli import main
from pipeline.runners.fork_server import remove_socket

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    remove_socket()
    os._exit(code)  # as tokenmill.main does
