"""The frames that the tests of the products use serve the plots, too; no land mask is fetched."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "output"))


@pytest.fixture(scope="module", autouse=True)
def coast_at_hand():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] * 0
        )
        yield
