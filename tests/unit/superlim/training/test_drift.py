"""Real pairs with vectors."""

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from lagrangian_ice.errors import ProductError
from lagrangian_ice.settings import ImageSettings
from lagrangian_ice.simulate.texture import ice_texture
from lagrangian_ice.superlim.training import drift
from lagrangian_ice.superlim.training.drift import DriftPair, drift_views, read_drift_pair

X0, Y0, PIXEL = -50_000.0, -600_000.0, 100.0
MOVED = (6, -9)  # rows, columns


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    ice = ice_texture((220, 220), np.random.default_rng(0))
    paths = []
    for day, top, left in ((4, 10, 10), (5, 10 - MOVED[0], 10 - MOVED[1])):
        path = folder / f"S1A_EW_HH_2020030{day}T171352.tif"
        transform = Affine(PIXEL, 0, X0, 0, -PIXEL, Y0)
        profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": "EPSG:3413"}
        with rasterio.open(path, "w", transform=transform, height=200, width=200, **profile) as d:
            d.write(ice[top : top + 200, left : left + 200], 1)
            d.update_tags(time_coverage_start=f"2020-03-0{day}T17:13:52Z")
        paths.append(path)
    return tuple(paths)


def write_vectors(path, count=40, status=None, columns="x0,y0,x1,y1"):
    rng = np.random.default_rng(1)
    rows = [columns + (",status" if status else "")]
    for k in range(count):
        x, y = X0 + rng.uniform(3000, 17000), Y0 - rng.uniform(3000, 17000)
        ends = (x, y, x + MOVED[1] * PIXEL, y - MOVED[0] * PIXEL)
        state = "," + status[k % len(status)] if status else ""
        rows.append(",".join(map(repr, map(float, ends))) + state)
    path.write_text("\n".join(rows) + "\n")
    return path


def read(scenes, path):
    return read_drift_pair(scenes, path, PIXEL, ImageSettings())


def test_vectors_join_the_same_ice(scenes, tmp_path):
    pair = read(scenes, write_vectors(tmp_path / "v.csv"))
    moved = pair.target_rowcol - pair.source_rowcol
    # Both images have grids of their own.
    np.testing.assert_allclose(moved, moved[:1].repeat(len(moved), 0), atol=1e-6)
    for seed in range(6):
        views = drift_views([pair], 64, np.random.default_rng(seed))
        assert len(views.source_cells) >= drift.LEAST_VECTORS
        for a, b in zip(views.source_cells, views.target_cells, strict=True):
            values = []
            for view, cell in ((views.source, a), (views.target, b)):
                row, col = np.rint(cell * 8 + 3.5).astype(int)
                values.append(view[row - 2 : row + 3, col - 2 : col + 3].mean())
            assert abs(values[0] - values[1]) < 1.5


def test_views_that_are_turned_still_join_the_same_ice():
    row, col = np.mgrid[:200, :200].astype(np.float32)
    points = np.random.default_rng(0).uniform(60, 140, (300, 2))
    pair = DriftPair(row, row + 0 * col, points, points)
    for seed in range(8):
        views = drift_views([pair], 64, np.random.default_rng(seed))
        for view, cells in ((views.source, views.source_cells), (views.target, views.target_cells)):
            at = cells * 8 + 3.5
            read_rows = cv2.remap(view, at[:, 1], at[:, 0], cv2.INTER_LINEAR).ravel()
            if view is views.source:
                first = read_rows
        np.testing.assert_allclose(read_rows, first, atol=0.05)


def test_rotation_of_views_is_counter_clockwise():
    image = np.zeros((200, 200), np.float32)
    points = np.random.default_rng(0).uniform(60, 140, (300, 2))
    angles = []
    for seed in range(8):
        views = drift_views(
            [DriftPair(image, image, points, points)], 64, np.random.default_rng(seed)
        )
        places = np.c_[views.source_cells, np.ones(len(views.source_cells))]
        matrix, *_ = np.linalg.lstsq(places, views.target_cells, rcond=None)
        (rr, rc), (cr, cc) = matrix[:2].T
        assert views.rotation == pytest.approx(np.degrees(np.arctan2(cr - rc, rr + cc)), abs=1e-3)
        angles.append(views.rotation)
    assert min(angles) < -5 < 5 < max(angles)


def test_rows_that_were_not_tracked_are_left_out(scenes, tmp_path):
    whole = read(scenes, write_vectors(tmp_path / "v.csv"))
    half = read(scenes, write_vectors(tmp_path / "t.csv", status=("tracked", "two_peaks")))
    assert len(half.source_rowcol) == len(whole.source_rowcol) // 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("few", "8 are needed"),
        ("columns", "no column x0"),
        ("missing", "cannot be read"),
        ("none tracked", "8 are needed"),
    ],
)
def test_bad_vectors_are_one_clear_line(scenes, tmp_path, kind, reason):
    path = tmp_path / "v.csv"
    if kind == "few":
        write_vectors(path, count=7)
    elif kind == "columns":
        write_vectors(path, columns="a,b,c,d")
    elif kind == "none tracked":
        write_vectors(path, status=("outlier",))
    with pytest.raises(ProductError, match=reason) as caught:
        read(scenes, path)
    assert "\n" not in str(caught.value)
    assert "v.csv" in str(caught.value)


def test_pair_without_dense_vectors_says_what_to_do():
    points = np.array([[20.0, 20.0], [180.0, 180.0]] * 8)
    image = np.zeros((200, 200), np.float32)
    pair = DriftPair(np.full_like(image, np.nan), image, points, points)
    with pytest.raises(ProductError, match="denser vectors"):
        drift_views([pair], 64, np.random.default_rng(0))
