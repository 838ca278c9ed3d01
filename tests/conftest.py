"""What all tests share."""

import os

import hypothesis

# One thread a process: the tests run side by side, and torch's threads would only wait for
# each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test is timed: on a busy machine any example may take a second.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
