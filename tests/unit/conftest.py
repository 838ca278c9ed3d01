"""Fixtures of the unit tests: small scene files, a few vectors, the checker of CF."""

import json
import warnings

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from lagrangian_ice.matching.vectors import Status, Vectors

NORTH_UP = Affine(100.0, 0.0, -50_000.0, 0.0, -100.0, -600_000.0)


@pytest.fixture
def straight_coast(monkeypatch):
    """A straight coast, so that the tests do not load the land mask."""
    monkeypatch.setattr(
        "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
    )


@pytest.fixture
def write_scene(tmp_path):
    """Write a GeoTIFF below tmp_path and return its path.

    ``gcps`` are rows (row, col, x, y[, z]) as files count them: from the corner of the first pixel.
    """

    def write(name, pixels, *, crs="EPSG:3413", transform=NORTH_UP, gcps=None, tags=None, **more):
        pixels = np.asarray(pixels)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {
            "driver": "GTiff",
            "count": len(pixels),
            "height": pixels.shape[1],
            "width": pixels.shape[2],
            "dtype": pixels.dtype,
            "crs": crs,
            "nodata": more.get("nodata"),
        }
        if more.get("alpha"):
            profile["alpha"] = "YES"
        if gcps is not None:
            profile["gcps"] = [
                GroundControlPoint(row=g[0], col=g[1], x=g[2], y=g[3], z=g[4] if len(g) > 4 else 0)
                for g in gcps
            ]
        elif transform is not None:
            profile["transform"] = transform
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **profile) as dataset:
                dataset.write(pixels)
                dataset.update_tags(**(tags or {}))
                for index, text in enumerate(more.get("descriptions", ()), start=1):
                    dataset.set_band_description(index, text)
                for index, table in enumerate(more.get("band_tags", ()), start=1):
                    dataset.update_tags(index, **table)
                if "scales" in more:
                    dataset.scales, dataset.offsets = more["scales"], more["offsets"]
        return path

    return write


@pytest.fixture
def cf_faults(tmp_path):
    """What compliance-checker finds in a file, by its priority: high, medium, low."""
    # Only here: it takes a second to load, and most tests do not need it.
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    def faults(path, checker="cf:1.11"):
        CheckSuite.load_all_available_checkers()
        report = tmp_path / "report.json"
        ComplianceChecker.run_checker(
            str(path), [checker], 0, "normal", output_filename=str(report), output_format="json"
        )
        found = json.loads(report.read_text())[checker]
        return {
            priority: [
                text for result in found[f"{priority}_priorities"] for text in result["msgs"]
            ]
            for priority in ("high", "medium", "low")
        }

    return faults


@pytest.fixture
def some_vectors():
    """One that was tracked, one that was not."""
    nan = np.nan
    return Vectors(
        xy0=np.array([[1.0, 2.0], [3.0, 4.0]]),
        xy1=np.array([[11.25, 12.0], [nan, nan]]),
        covariance=np.array([[[9.0, 1.0], [1.0, 4.0]], [[nan, nan], [nan, nan]]]),
        first_guess=np.zeros((2, 2)),
        first_guess_error=np.zeros(2),
        first_guess_rotation=np.zeros(2),
        mcc=np.array([0.75, 0.125]),
        peak_ratio=np.array([0.5, nan]),
        rotation=np.array([-1.5, nan]),
        strain=np.zeros((2, 3)),
        status=np.array([Status.TRACKED, Status.LOW_CORRELATION], np.int8),
        time0=np.array([1_600_000_000.25, nan]),
        time1=np.array([1_600_086_400.0, nan]),
    )
