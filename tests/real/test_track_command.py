"""``track`` on the real dB pair: the drift is the one that can be seen in the images."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from lagrangian_ice.cli import run
from lagrangian_ice.grid import MAP_CRS, transform

DATA = Path(os.environ.get("LAGRANGIAN_ICE_TEST_DATA") or "/nowhere")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="LAGRANGIAN_ICE_TEST_DATA is not set"),
]


def test_the_drift_is_36_rows_and_minus_28_columns(tmp_path):
    source, target = sorted((DATA / "pairs").glob("clip_HH_*.tif"))
    vectors = DATA / "pairs" / "vectors_20200301065449_20200302073529.csv"
    out = tmp_path / "out.csv"
    words = ["track", str(source), str(target), "--points", str(vectors), "--out", str(out)]
    assert run([*words, "-q"]) == 0
    found = pd.read_csv(out)
    assert found["x0"].tolist() == pd.read_csv(vectors)["x0"].tolist()
    tracked = found[found["status"] == "tracked"]
    assert len(tracked) >= 36
    places = []
    for path, columns in ((source, ["x0", "y0"]), (target, ["x1", "y1"])):
        with rasterio.open(path) as dataset:
            x, y = transform(tracked[columns].to_numpy(), MAP_CRS, dataset.crs.to_wkt()).T
            corner, pixel = dataset.transform.xoff, dataset.transform.a
            col = (x - corner) / pixel
            row = (dataset.transform.yoff - y) / pixel
        places.append(np.stack([row, col], axis=-1))
    drift = places[1] - places[0]
    np.testing.assert_allclose(np.median(drift, axis=0), [36, -28], atol=2)
    assert (np.hypot(*(drift - np.median(drift, axis=0)).T) < 10).all()
