"""`python -m periodic_sync.worker`."""

import sys

from periodic_sync.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
