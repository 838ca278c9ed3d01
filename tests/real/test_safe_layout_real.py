"""The simulator's products against the XML of a real one (see the mark ``real``)."""

import os
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree

from lagrangian_ice.simulate.radar_swath import plan_radar_swath
from lagrangian_ice.simulate.safe import write_safe
from lagrangian_ice.simulate.safe_frame import SafeFrame

FOLDER = Path(os.environ.get("LAGRANGIAN_ICE_TEST_DATA", "nowhere")) / "safe"
REAL = FOLDER / "S1A_EW_GRDM_1SDH_20221130T014342_20221130T014446_046117_058549_BB15.SAFE"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="LAGRANGIAN_ICE_TEST_DATA is not set"),
]

FILES = {
    "manifest.safe": "manifest.safe",
    "annotation/ew-hv.xml": "annotation/s1a-ew-grd-hv-*.xml",
    "annotation/calibration/calibration-ew-hv.xml": "annotation/calibration/calibration-*-hv-*.xml",
    "annotation/calibration/noise-ew-hv.xml": "annotation/calibration/noise-*-hv-*.xml",
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    swath = plan_radar_swath((88.0, 79.5), 1669772650.0, False, 19.0, (60e3, 405e3), 160.0)
    sigma0 = np.full((2, *swath.shape), 0.01, np.float32)
    frame = SafeFrame(swath, "S1A", 46117, 361801)
    return write_safe(tmp_path_factory.mktemp("safe"), frame, sigma0, np.ones_like(sigma0))


def paths(root):
    """Every chain of element names, with the names of the attributes."""
    found = set()

    def walk(element, above):
        here = f"{above}/{element.tag}[{','.join(sorted(element.attrib))}]"
        found.add(here)
        for child in element:
            walk(child, here)

    walk(root, "")
    return found


def both(simulated, name):
    (path,) = simulated.glob(FILES[name])
    return ElementTree.parse(path).getroot(), ElementTree.parse(REAL / name).getroot()


@pytest.mark.parametrize("name", FILES)
def test_every_element_is_in_the_real_product(simulated, name):
    ours, real = (paths(root) for root in both(simulated, name))
    assert ours - real == set()
    if "calibration" in name:
        assert real == ours


def test_values_are_like_the_real_ones(simulated):
    ours, real = both(simulated, "annotation/ew-hv.xml")
    for name, tolerance in {
        "platformHeading": 8.0,
        "slantRangeTime": 5e-5,
        "incidenceAngleMidSwath": 0.6,
        "radarFrequency": 1.0,
    }.items():
        values = [float(root.find(f".//{name}").text) for root in (ours, real)]
        assert values[0] == pytest.approx(values[1], abs=tolerance), name
    speeds = []
    for root in (ours, real):
        state = root.find(".//orbitList/orbit/velocity")
        speeds.append(np.linalg.norm([float(child.text) for child in state]))
    assert speeds[0] == pytest.approx(speeds[1], rel=0.002)
    coefficients = [
        np.array(root.find(".//grsrCoefficients").text.split(), dtype=float)
        for root in (ours, real)
    ]
    ground = np.linspace(0, 400e3, 50)
    ranges = [np.polynomial.polynomial.polyval(ground, values) for values in coefficients]
    assert np.abs(ranges[0] - ranges[1]).max() < 8000


def test_tables_are_like_the_real_ones(simulated):
    ours, real = both(simulated, "annotation/calibration/calibration-ew-hv.xml")
    ends = [
        np.array(root.find(".//sigmaNought").text.split(), dtype=float)[[0, -1]]
        for root in (ours, real)
    ]
    np.testing.assert_allclose(*ends, rtol=0.02)
    ours, real = both(simulated, "annotation/calibration/noise-ew-hv.xml")
    middles = [
        np.median(np.array(root.findall(".//noiseRangeLut")[-3].text.split(), dtype=float))
        for root in (ours, real)
    ]
    assert 0.3 < middles[0] / middles[1] < 3
    tops = [
        max(np.array(block.text.split(), float).max() for block in root.iter("noiseAzimuthLut"))
        for root in (ours, real)
    ]
    assert tops[0] == pytest.approx(tops[1], abs=0.1)
