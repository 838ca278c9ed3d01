import numpy as np
import pytest
from shapely import Point

from lagrangian_ice.grid import lonlat_to_xy
from lagrangian_ice.scenes.area import describe_footprint, lonlat_area, map_area


def holds(area, lon, lat):
    return area.contains(Point(*lonlat_to_xy([lon, lat])))


def test_edges_follow_the_parallels():
    area = map_area("POLYGON((-60 80, 60 80, 60 85, -60 85, -60 80))")
    assert holds(area, 0, 80.1)
    assert holds(area, 59.5, 80.1)
    assert not holds(area, 0, 79.9)
    assert not holds(area, 0, 85.1)
    assert not holds(area, 120, 82)


def test_the_whole_cap_with_the_pole():
    area = map_area("POLYGON((-180 75, 180 75, 180 90, -180 90, -180 75))")
    for lon in np.linspace(-179, 179, 20):
        assert holds(area, lon, 80.0)
        assert not holds(area, lon, 74.9)


def test_across_the_antimeridian():
    area = map_area("POLYGON((170 75, 190 75, 190 80, 170 80, 170 75))")
    assert holds(area, 179.9, 77)
    assert holds(area, -175, 77)
    assert not holds(area, 160, 77)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("everywhere", "not WKT"),
        ("POLYGON EMPTY", "empty"),
        ("POINT(500000 -1200000)", "longitude and latitude"),
        ("POLYGON((0 -80, 20 -80, 20 -70, 0 -80))", "northern hemisphere"),
        ("POLYGON((0 80, 20 80", "not WKT"),
    ],
)
def test_what_is_no_area(text, words):
    with pytest.raises(ValueError, match=words):
        lonlat_area(text)


def test_footprints_are_told_by_middle_and_size():
    x, y = lonlat_to_xy([20.0, 80.0])
    wkt = Point(x, y).buffer(2e5, 64).wkt
    assert describe_footprint(wkt) == "80.00N   20.00E   126e3 km2"
