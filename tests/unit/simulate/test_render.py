import dataclasses

import cv2
import numpy as np
import pytest

from lagrangian_ice.grid import Grid
from lagrangian_ice.simulate.motion import IceMotion, MotionSettings, random_motion
from lagrangian_ice.simulate.render import FieldSettings, IceField, Radar, make_field, sample

DAY = 86400.0
START = 1.6e9
BOUNDS = (-640e3, 560e3, -600e3, 600e3)
STILL_TEXTURE = FieldSettings(changing=0.0)


def positions(grid: Grid) -> np.ndarray:
    index = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
    return grid.xy(np.stack(index, -1))


@pytest.fixture(scope="module")
def motion() -> IceMotion:
    settings = MotionSettings(plate_size=15e3, drift=3e3, event=0.0)
    return random_motion(BOUNDS, START, 2.0, np.random.default_rng(5), settings)


@pytest.fixture(scope="module")
def field(motion: IceMotion) -> IceField:
    return make_field(motion, (-650e3, 550e3, -590e3, 610e3), 100.0, 3, STILL_TEXTURE)


def test_correlation_peaks_at_the_true_displacement(motion: IceMotion, field: IceField) -> None:
    grid = Grid.covering((-635e3, 565e3, -605e3, 595e3), 100.0)
    later = START + 1.3 * DAY
    xy = positions(grid)
    source = field.sigma0(xy, np.full(grid.shape[0], START))[0]
    target = field.sigma0(xy, np.full(grid.shape[0], later))[0]
    window = np.stack(np.mgrid[-10:11, -10:11], -1)
    shift, errors = 40.0, []
    for rowcol in np.random.default_rng(0).integers(60, 240, (80, 2)):
        centre = grid.xy(rowcol)
        if motion.margin(int(motion.plate_of(centre[None])[0]), centre) < 2000:
            continue
        template = source[tuple(np.moveaxis(rowcol + window, -1, 0))]
        there = motion.position(grid.xy(rowcol + window).reshape(-1, 2), later)
        offsets = [[0, 0], [shift, 0], [-shift, 0], [0, shift], [0, -shift]]
        seen = [sample(target, grid, there + offset).reshape(template.shape) for offset in offsets]
        here, right, left, up, down = (
            np.corrcoef(template.ravel(), image.ravel())[0, 1] for image in seen
        )
        if np.isfinite([here, right, left, up, down]).all():
            errors.append(
                [shift * peak(np.array(e)) for e in ([left, here, right], [down, here, up])]
            )
            assert here > 0.95
    assert len(errors) > 20
    assert np.abs(np.mean(errors, axis=0)).max() < 1.5
    assert np.abs(errors).max() < 10.0


def peak(three: np.ndarray) -> float:
    left, middle, right = three
    return float(0.5 * (left - right) / (left - 2 * middle + right))


def test_every_line_is_seen_at_its_own_time(motion: IceMotion, field: IceField) -> None:
    grid = Grid.covering((-635e3, 575e3, -605e3, 595e3), 100.0)
    xy = positions(grid)
    times = START + np.linspace(0, DAY, grid.shape[0])
    whole = field.sigma0(xy, times)[0]
    for row in (0, 77, grid.shape[0] - 1):
        alone = field.sigma0(xy[row : row + 1], times[row : row + 1])[0, 0]
        assert np.abs(alone - whole[row]).max() < 1e-3


def test_open_leads_are_dark_and_ice_keeps_its_level(motion: IceMotion, field: IceField) -> None:
    grid = Grid.covering((-635e3, 565e3, -605e3, 595e3), 100.0)
    later = START + 2 * DAY
    xy = positions(grid)
    image = field.sigma0(xy, np.full(grid.shape[0], later))
    _, plate = motion.material(xy.reshape(-1, 2), later)
    open_lead = (plate == -1).reshape(grid.shape)
    core = cv2.erode(open_lead.astype(np.uint8), np.ones((3, 3))) > 0
    assert core.sum() > 20
    assert image[0][core].mean() == pytest.approx(-21.0, abs=1.5)
    assert image[0][~open_lead].mean() == pytest.approx(field.texture[0].mean(), abs=0.5)


def test_texture_changes_with_the_memory_asked_for(field: IceField) -> None:
    changing = dataclasses.replace(field, settings=FieldSettings(changing=1.0, memory=0.5))
    days = [
        changing._change(START + offset * DAY)[0].ravel() for offset in (0.0, 1.0, 2.0, 0.5, 0.0)
    ]
    assert np.corrcoef(days[0], days[1])[0, 1] == pytest.approx(0.5, abs=0.08)
    assert np.corrcoef(days[0], days[2])[0, 1] == pytest.approx(0.25, abs=0.1)
    assert np.std(days[3]) == pytest.approx(1.0, abs=0.1)
    assert np.array_equal(days[0], days[4])


def test_radar_adds_trend_floor_and_speckle() -> None:
    incidence = np.linspace(20, 46, 400)
    sigma0 = np.stack([np.full((500, 400), -12.0), np.full((500, 400), -60.0)]).astype(np.float32)
    radar = Radar(looks=11.0, width=0.0)
    hh, hv = radar.observe(sigma0, incidence, np.random.default_rng(0))
    level = 10 * np.log10(hh.mean(axis=0))
    assert np.polyfit(incidence, level, 1)[0] == pytest.approx(-0.24, abs=0.02)
    floor = 10 * np.log10(hv.mean(axis=0))
    assert np.abs(floor - radar.noise_profile(incidence)).max() < 0.4
    assert np.ptp(floor) > 1
    assert hh[:, 200].var() / hh[:, 200].mean() ** 2 == pytest.approx(1 / 11, rel=0.2)


def test_sampling_beside_missing_pixels_is_missing() -> None:
    grid = Grid(0.0, 0.0, 100.0, (20, 20))
    band = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
    band[5, 5] = np.nan
    places = np.array([[[500.0, -500.0], [1000.0, -1000.0], [-1.0, -500.0]]])
    values = sample(band, grid, places)[0]
    assert np.isnan(values[0])
    assert values[1] == pytest.approx(band[10, 10], abs=1e-4)
    assert np.isnan(values[2])


def test_wrong_arguments_are_named(motion: IceMotion) -> None:
    with pytest.raises(ValueError, match=r"memory 1\.5"):
        FieldSettings(memory=1.5)
    with pytest.raises(ValueError, match="texture has shape"):
        IceField(motion, Grid(0, 0, 1, (4, 5)), np.zeros((1, 5, 4), np.float32), 0)
