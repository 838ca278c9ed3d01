"""What all tests share."""

import os

# One thread a process: the tests run side by side, and torch's threads would only wait for
# each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
