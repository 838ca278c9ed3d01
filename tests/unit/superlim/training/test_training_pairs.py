"""Training pairs of one texture."""

import cv2
import numpy as np
import pytest

from lagrangian_ice.superlim.network import Scaling
from lagrangian_ice.superlim.training import pairs

LOCAL = Scaling()


def test_true_cells_show_the_same_ice_in_both_views(monkeypatch):
    """The texture is its own column, undisturbed: both views must read the same number."""
    monkeypatch.setattr(pairs, "disturbed", lambda clean, rng, unlike=None: clean)
    monkeypatch.setattr(pairs, "scaled", lambda pixels, scaling: pixels)
    for axis in (0, 1):
        texture = np.indices((300, 300), dtype=np.float32)[axis]
        rng = np.random.default_rng(5)
        pair = pairs.make_pair(texture, 128, LOCAL, rng)
        cells = np.stack(np.indices((16, 16)), axis=-1).reshape(-1, 2)
        known = np.isfinite(pair.cells).all(axis=1)
        assert known.mean() > 0.3
        read = [
            cv2.remap(
                view,
                (at[known, 1] * 8 + 3.5).astype(np.float32),
                (at[known, 0] * 8 + 3.5).astype(np.float32),
                cv2.INTER_LINEAR,
            ).ravel()
            for view, at in ((pair.source, cells), (pair.target, pair.cells))
        ]
        scale = pair.source.std() / texture.std()
        difference = np.abs(read[0] - read[1])
        # A crack's own line cannot be inverted; everything else is exact.
        assert np.quantile(difference, 0.9) < 0.3 * max(scale, 1e-3) + 0.3


def turned(cells):
    """Degrees counter-clockwise that known target cells (N, 2) are turned by, in a square."""
    side = int(np.sqrt(len(cells)))
    known = np.isfinite(cells).all(axis=1)
    places = np.stack(np.indices((side, side)), axis=-1).reshape(-1, 2)[known]
    matrix, *_ = np.linalg.lstsq(np.c_[places, np.ones(len(places))], cells[known], rcond=None)
    (rr, rc), (cr, cc) = matrix[:2].T
    return np.degrees(np.arctan2(cr - rc, rr + cc))


def test_rotation_of_a_pair_is_counter_clockwise():
    texture = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    rng = np.random.default_rng(1)
    angles = []
    for _ in range(8):
        pair = pairs.make_pair(texture, 128, LOCAL, rng, pairs.Unlikeness(turned=180.0))
        apart = (pair.rotation - turned(pair.cells) + 180) % 360 - 180
        assert abs(apart) < 8  # cracks and the smooth warp
        angles.append(pair.rotation)
    assert max(np.abs(angles)) > 60
    assert min(angles) < -5 < 5 < max(angles)


def test_texture_smaller_than_the_views_is_refused():
    with pytest.raises(ValueError, match="smaller"):
        pairs.make_pair(np.zeros((32, 32), np.float32), 64, LOCAL, np.random.default_rng(0))


def test_views_are_scaled_as_the_network_asks():
    texture = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    published = Scaling(kind="percentile", floor_db=-23.0)
    pair = pairs.make_pair(texture, 64, published, np.random.default_rng(0))
    assert pair.source.min() == 0
    assert pair.source.max() == 1
    assert pairs.make_pair(texture, 64, LOCAL, np.random.default_rng(0)).source.min() < -1


def test_views_are_turned_by_no_more_than_asked_for():
    rng = np.random.default_rng(0)
    turned = [
        np.degrees(np.arctan2(m[1, 0] - m[0, 1], m[0, 0] + m[1, 1]))
        for m in (pairs.random_linear(rng, 150.0) for _ in range(300))
    ]
    assert 120 < np.abs(turned).max() < 153
    assert np.median(np.abs(turned)) < 40


def test_keypoint_label_is_the_corner_of_its_cell():
    image = np.zeros((64, 64), np.float32)
    image[20:, 27:] = 1.0
    labels = pairs.keypoint_labels(image)
    row, col = divmod(int(labels[2, 3]), 8)
    assert abs(16 + row - 20) <= 1
    assert abs(24 + col - 27) <= 1
    assert (labels == pairs.NO_KEYPOINT).sum() >= 50
