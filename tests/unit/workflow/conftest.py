"""The frames that the tests of the products use serve the excerpts, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "output"))
