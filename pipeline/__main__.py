"""`python -m pipeline`: the same as the command `tokenmill`."""

import sys

from tokenmill import main

if __name__ == "__main__":
    sys.exit(main())
