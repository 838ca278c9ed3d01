"""The frames of the products' tests, and the ice of the parcels', serve here, too."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / name) for name in ("output", "parcels")]
