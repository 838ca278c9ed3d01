"""Areas that users give, and footprints told to them, in longitude and latitude."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from lagrangian_ice.errors import shortened
from lagrangian_ice.grid import Float, lonlat_to_xy, xy_to_lonlat

EDGE_STEP = 0.5
"""Degrees between the points put into the edges of an area: on the map they are curved."""

LEAST_LATITUDE = 0.0


def lonlat_area(text: str) -> BaseGeometry:
    """Area from WKT in longitude and latitude, degrees.

    Longitudes may go beyond 180 for an area across the antimeridian.

    Raises
    ------
    ValueError
        If it is no WKT, empty, or outside of the northern hemisphere.
    """
    short = shortened(text)
    try:
        area = shapely.from_wkt(text)
    except ShapelyError:
        raise ValueError(
            f"area {short!r} is not WKT; give for example POLYGON((0 80, 20 80, 20 85, 0 85, 0 80))"
        ) from None
    if area is None or area.is_empty:
        raise ValueError(f"area {short!r} is empty")
    west, south, east, north = area.bounds
    if not (west >= -360 and east <= 360 and south >= LEAST_LATITUDE and north <= 90):
        raise ValueError(
            f"area {short!r} is not in longitude and latitude of the northern hemisphere"
        )
    return area


def map_area(text: str) -> BaseGeometry:
    """Area in EPSG:3413, metres, from WKT in longitude and latitude (see :func:`lonlat_area`)."""
    area = shapely.segmentize(lonlat_area(text), EDGE_STEP)
    return shapely.make_valid(shapely.transform(area, lonlat_to_xy))


def map_ring(lonlat: Float) -> BaseGeometry:
    """Area in EPSG:3413 inside of a ring (N, 2) of longitudes and latitudes, degrees.

    Neighbouring points are less than half a turn apart: jumps at the antimeridian are taken out.
    """
    ring = np.array(lonlat, dtype=np.float64)
    ring[:, 0] = np.unwrap(ring[:, 0], period=360.0)
    area = shapely.segmentize(shapely.Polygon(ring), EDGE_STEP)
    return shapely.make_valid(shapely.transform(area, lonlat_to_xy))


def describe_footprint(wkt: str) -> str:
    """Middle and size of a footprint in EPSG:3413, in a column of fixed width."""
    shape = shapely.from_wkt(wkt)
    middle: Float = np.array([[shape.centroid.x, shape.centroid.y]])
    longitude, latitude = xy_to_lonlat(middle)[0]
    return f"{latitude:5.2f}N {longitude:7.2f}E {shape.area * 1e-9:5.0f}e3 km2"
