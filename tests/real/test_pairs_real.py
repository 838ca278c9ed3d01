"""``track`` on the real whole-scene pairs against an operational tracker's vectors."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from lagrangian_ice.cli import run
from lagrangian_ice.grid import Float
from lagrangian_ice.settings import MccSettings

DATA = Path(os.environ.get("LAGRANGIAN_ICE_TEST_DATA") or "/nowhere") / "pairs"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="LAGRANGIAN_ICE_TEST_DATA is not set"),
]
PAIRS = {
    "48 h": ("20200304T171352_HH_20200304_1", "20200306T165729_HH_20200304_2"),
    "24 h": ("20200304T180232_HH_20200304_1", "20200305T175345_HH_20200304_2"),
    "24 h, large drift": ("20200331T182820_HH_20200331_1", "20200401T181917_HH_20200331_2"),
}
HALF_WIDTH = MccSettings().half_width


def valid_share(path: Path, xy: Float) -> Float:
    """Share of the pixels with data in a 33 px square of the scene around each position."""
    with rasterio.open(path) as scene:
        present = scene.read(1) > 0
        row, col = rasterio.transform.rowcol(scene.transform, xy[:, 0], xy[:, 1], op=float)
    row, col = np.asarray(row), np.asarray(col)
    total = np.pad(present.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    low = [np.clip(np.floor(v).astype(int) - HALF_WIDTH, 0, None) for v in (row, col)]
    high = [np.floor(v).astype(int) + HALF_WIDTH + 1 for v in (row, col)]
    top, left = (np.minimum(v, n) for v, n in zip(low, present.shape, strict=True))
    bottom, right = (np.clip(v, 0, n) for v, n in zip(high, present.shape, strict=True))
    count = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return np.asarray(count / (2 * HALF_WIDTH + 1) ** 2)


@pytest.mark.parametrize("pair", list(PAIRS), ids=lambda name: name.replace(" ", "_"))
def test_vectors_of_the_operational_tracker_are_reproduced(pair, tmp_path):
    source, target = (DATA / f"S1_EW_{name}.tif" for name in PAIRS[pair])
    times = [name.split("_")[0].replace("T", "") for name in PAIRS[pair]]
    vectors = DATA / f"vectors_{times[0]}_{times[1]}.csv"
    out = tmp_path / "out.csv"
    words = ["track", str(source), str(target), "--points", str(vectors), "--out", str(out)]
    assert run([*words, "-q"]) == 0
    truth, found = pd.read_csv(vectors), pd.read_csv(out)
    ends = [truth[["x0", "y0"]].to_numpy(), truth[["x1", "y1"]].to_numpy()]
    shares = [valid_share(p, xy) for p, xy in zip((source, target), ends, strict=True)]
    judged = (shares[0] >= 0.98) & (shares[1] >= 0.98)
    assert judged.sum() > 800
    distance = np.hypot(found["x1"] - truth["x1"], found["y1"] - truth["y1"])[judged]
    answered = (found["status"] == "tracked")[judged]
    assert (distance < 1000).mean() >= 0.97
    assert (distance[answered] > 2000).mean() <= 0.01
    assert distance[answered].median() <= 160
