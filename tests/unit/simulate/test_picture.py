from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lagrangian_ice.errors import SceneError
from lagrangian_ice.simulate.archive import simulate_archive
from lagrangian_ice.simulate.picture import MEAN, SPREAD, picture_textures

pytestmark = pytest.mark.filterwarnings(
    "ignore::rasterio.errors.NotGeoreferencedWarning:rasterio",
)


def picture(path: Path, pixels: np.ndarray, **profile: object) -> Path:
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    count, height, width = pixels.shape
    with rasterio.open(
        path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **profile
    ) as dataset:
        dataset.write(pixels)
    return path


def grey(shape: tuple[int, ...] = (30, 40)) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 250, shape).astype(np.uint8)


def test_grey_levels_become_backscatter(tmp_path: Path) -> None:
    levels = grey()
    texture = picture_textures(picture(tmp_path / "a.png", levels), (70, 90))
    assert texture.shape == (2, 70, 90)
    assert texture.dtype == np.float32
    for band, mean, spread in zip(texture[:, :30, :40], MEAN, SPREAD, strict=True):
        assert band.mean() == pytest.approx(mean, abs=0.01)
        assert band.std() == pytest.approx(spread, abs=0.01)
        assert np.corrcoef(band.ravel(), levels.ravel())[0, 1] > 0.9999


def test_mirrored_at_the_edges(tmp_path: Path) -> None:
    texture = picture_textures(picture(tmp_path / "a.png", grey()), (70, 90))[0]
    assert np.array_equal(texture[30:60], texture[:30][::-1])
    assert np.array_equal(texture[60:], texture[:10])
    assert np.array_equal(texture[:, 40:80], texture[:, :40][:, ::-1])


def test_physical_values_stay(tmp_path: Path) -> None:
    decibels = np.random.default_rng(1).normal(-15, 3, (2, 20, 20)).astype(np.float32)
    linear = (10 ** (decibels / 10)).astype(np.float32)
    decibels[0, 3, 4] = np.nan
    found = picture_textures(picture(tmp_path / "a.tif", decibels, driver="GTiff"), (20, 20))
    known = np.isfinite(decibels)
    assert np.array_equal(found[known], decibels[known])
    assert found[0, 3, 4] == pytest.approx(np.nanmean(decibels[0]), abs=1e-4)
    again = picture_textures(picture(tmp_path / "b.tif", linear, driver="GTiff"), (20, 20))
    np.testing.assert_allclose(again[known], decibels[known], atol=1e-4)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"none.png: not a picture"):
        picture_textures(tmp_path / "none.png", (20, 20))
    with pytest.raises(SceneError, match=r"10 x 40 pixels are too few"):
        picture_textures(picture(tmp_path / "s.png", grey((10, 40))), (20, 20))
    with pytest.raises(SceneError, match="one value only"):
        picture_textures(picture(tmp_path / "f.png", np.full((20, 20), 7, np.uint8)), (20, 20))


def test_archive_of_a_picture(tmp_path: Path) -> None:
    stripes = np.tile(np.repeat(np.array([40, 200], np.uint8), 8), (64, 4))
    path = picture(tmp_path / "stripes.png", stripes)
    scenes = simulate_archive(
        tmp_path / "scenes",
        0.5,
        1,
        datetime(2021, 1, 1, tzinfo=UTC),
        area_km=40.0,
        pixel=200.0,
        texture=path,
    )
    with rasterio.open(scenes[0]) as dataset:
        image = 10 * np.log10(dataset.read(1))
    # Stripes of two levels 5 dB apart, in speckle.
    assert 2.0 < image.std() < 4.0
    low, high = np.percentile(image, [20, 80])
    assert 4.0 < high - low < 7.5
    with pytest.raises(SceneError, match=r"missing.png: not a picture"):
        simulate_archive(
            tmp_path / "more",
            0.5,
            1,
            datetime(2021, 1, 1, tzinfo=UTC),
            texture=tmp_path / "missing.png",
        )
    assert not (tmp_path / "more").exists()
