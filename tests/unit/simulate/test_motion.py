import numpy as np
import pytest

from lagrangian_ice.simulate.motion import IceMotion, MotionSettings, random_motion

DAY = 86400.0
START = 1.6e9
BOUNDS = (-700e3, 500e3, -500e3, 700e3)


@pytest.fixture(scope="module")
def motion() -> IceMotion:
    return random_motion(BOUNDS, START, 4.0, np.random.default_rng(7))


@pytest.fixture(scope="module")
def material() -> np.ndarray:
    return np.random.default_rng(1).uniform((-690e3, 510e3), (-510e3, 690e3), (300, 2))


def inside(motion: IceMotion, material: np.ndarray) -> np.ndarray:
    plates = motion.plate_of(material)
    return np.array([motion.margin(k, material[i]) for i, k in enumerate(plates)]) > 2000


def test_points_are_at_their_name_at_the_reference_time(
    motion: IceMotion, material: np.ndarray
) -> None:
    assert np.abs(motion.position(material, START) - material).max() < 1e-8


def test_velocity_is_the_derivative_of_position(motion: IceMotion, material: np.ndarray) -> None:
    time = START + np.linspace(0, 4 * DAY, len(material))
    numeric = (motion.position(material, time + 30) - motion.position(material, time - 30)) / 60
    assert np.abs(motion.velocity(material, time) - numeric).max() < 1e-6
    assert np.abs(numeric).max() > 0.02


def test_gradient_is_the_derivative_of_velocity(motion: IceMotion, material: np.ndarray) -> None:
    time = START + 1.3 * DAY
    keep = material[inside(motion, material)]
    gradient = motion.velocity_gradient(keep, time)
    step = 200.0
    for axis in range(2):
        offset = np.zeros(2)
        offset[axis] = step
        there = motion.position(keep + offset, time) - motion.position(keep - offset, time)
        change = motion.velocity(keep + offset, time) - motion.velocity(keep - offset, time)
        assert np.abs(np.einsum("nij,nj->ni", gradient, there) - change).max() < 1e-9
    assert np.abs(gradient).max() > 1e-8


def test_inverse_finds_the_material_point(motion: IceMotion, material: np.ndarray) -> None:
    time = START + 3.7 * DAY
    xy = motion.position(material, time)
    found, plate = motion.material(xy, time)
    seen = motion.visible(material, time)
    assert 0.85 < seen.mean() <= 1
    assert np.abs(found - material)[seen].max() < 1e-6
    assert np.array_equal(plate[seen], motion.plate_of(material)[seen])


def test_plates_open_leads_that_hold_no_ice(motion: IceMotion) -> None:
    grid = np.stack(np.meshgrid(np.arange(-680e3, -520e3, 800), np.arange(520e3, 680e3, 800)), -1)
    before, _ = motion.material(grid.reshape(-1, 2), START)
    after, plate = motion.material(grid.reshape(-1, 2), START + 4 * DAY)
    assert np.isfinite(before).all()
    share = np.isnan(after[:, 0]).mean()
    assert 0.002 < share < 0.2
    assert np.array_equal(plate == -1, np.isnan(after[:, 0]))


def test_motion_by_steps_equals_motion_at_once(motion: IceMotion, material: np.ndarray) -> None:
    first, last = START + 1.1 * DAY, START + 2.9 * DAY
    seen = motion.visible(material, first)
    there = motion.advected(motion.position(material, first), first, last)
    assert np.abs(there - motion.position(material, last))[seen].max() < 1e-6


def test_text_form_gives_the_same_motion_bit_for_bit(
    motion: IceMotion, material: np.ndarray
) -> None:
    again = IceMotion.from_json(motion.as_json())
    time = START + 2 * DAY
    assert np.array_equal(again.position(material, time), motion.position(material, time))


def test_same_seed_same_motion() -> None:
    texts = {
        random_motion(BOUNDS, START, 2.0, np.random.default_rng(seed)).as_json()
        for seed in (3, 3, 4)
    }
    assert len(texts) == 2


def test_strength_is_what_was_asked_for() -> None:
    settings = MotionSettings(
        drift=24e3, rotation=6.0, slip=0.0, opening=0.0, strain=0.0, variability=0.0, event=0.0
    )
    motion = random_motion(BOUNDS, START, 1.0, np.random.default_rng(0), settings)
    moved = motion.position(motion.centres, START + DAY) - motion.centres
    spin = np.rad2deg(motion.rotation.value(DAY))
    assert np.hypot(*moved.T) == pytest.approx(24e3, rel=1e-9)
    assert spin.std() == pytest.approx(6.0, rel=0.25)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"plate_size -1"):
        MotionSettings(plate_size=-1.0)
    with pytest.raises(ValueError, match="not an ice motion"):
        IceMotion.from_json("{}")
    motion = random_motion(BOUNDS, START, 1.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        motion.position(np.zeros(2), START)
