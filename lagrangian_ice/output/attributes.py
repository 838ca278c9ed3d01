"""Global attributes (ACDD-1.3) of the products: real values only, empty ones are left out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from lagrangian_ice import __version__
from lagrangian_ice.grid import MAP_CRS
from lagrangian_ice.output.variables import Product
from lagrangian_ice.settings import Settings
from lagrangian_ice.times import iso

MOST_SCENE_TEXT = 32000
"""Characters: HDF5 keeps no attribute beyond 64 kB; longer lists stand in ``image_id``."""

KEYWORDS = (
    "EARTH SCIENCE > CRYOSPHERE > SEA ICE > SEA ICE MOTION, "
    "EARTH SCIENCE > CRYOSPHERE > SEA ICE > ICE DEFORMATION"
)


@dataclass(frozen=True)
class Header:
    """What a product's attributes say of its making.

    Attributes
    ----------
    settings : Settings
        Of the whole run; written as JSON.
    weights_sha256 : str
        Of the network's weights; left out while empty.
    history : str
        The command line; left out while empty.
    version : str
        Of the package.
    created : datetime
        UTC.
    """

    settings: Settings
    weights_sha256: str = ""
    history: str = ""
    version: str = __version__
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Extent:
    """Bounds in space and time, grown as data passes by; NaN while there is none."""

    time: tuple[float, float] = (np.inf, -np.inf)
    lat: tuple[float, float] = (np.inf, -np.inf)
    lon: tuple[float, float] = (np.inf, -np.inf)
    x: tuple[float, float] = (np.inf, -np.inf)
    y: tuple[float, float] = (np.inf, -np.inf)

    def grow(self, time: ArrayLike, xy: ArrayLike, lonlat: ArrayLike) -> Self:
        """Take in times (N,), seconds since 1970, and positions (M, 2); NaN is ignored."""
        places = np.asarray(lonlat, np.float64).reshape(-1, 2)
        points = np.asarray(xy, np.float64).reshape(-1, 2)
        self.x, self.y = _grown(self.x, points[:, 0]), _grown(self.y, points[:, 1])
        self.time = _grown(self.time, np.asarray(time, np.float64))
        self.lon = _grown(self.lon, places[:, 0])
        self.lat = _grown(self.lat, places[:, 1])
        return self


def _grown(bounds: tuple[float, float], values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if known.size == 0:
        return bounds
    return min(bounds[0], float(known.min())), max(bounds[1], float(known.max()))


def global_attributes(
    product: Product, header: Header, identifier: str, extent: Extent, scene_ids: Sequence[str]
) -> dict[str, str | float | int]:
    """Global attributes of a product file.

    Parameters
    ----------
    product : Product
        Kind of file.
    header : Header
        How it was made.
    identifier : str
        File name without its ending.
    extent : Extent
        Of the data.
    scene_ids : sequence of str
        Input scenes.
    """
    who = header.settings.product
    created = header.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    history = f"{created} {header.history or 'written'} (lagrangian_ice {header.version})"
    attributes: dict[str, str | float | int] = {
        "Conventions": product.conventions,
        "featureType": product.feature_type,
        "title": product.title,
        "summary": product.summary,
        "keywords": KEYWORDS,
        "keywords_vocabulary": "GCMD Science Keywords",
        "id": identifier,
        "history": history,
        "date_created": created,
        "source": "synthetic aperture radar images tracked by lagrangian_ice",
        "product_version": header.version,
        "processing_level": "Level 3",
        "comment": product.comment,
        "standard_name_vocabulary": "CF Standard Name Table v93",
        "cdm_data_type": "Trajectory" if product.feature_type else "",
        "creator_name": who.creator_name,
        "creator_email": who.creator_email,
        "creator_url": who.creator_url,
        "publisher_name": who.publisher_name,
        "publisher_email": who.publisher_email,
        "publisher_url": who.publisher_url,
        "institution": who.institution,
        "project": who.project,
        "naming_authority": who.naming_authority,
        "license": who.product_license,
        "acknowledgement": who.acknowledgement.replace("{years}", _years(extent)),
        **_extent_attributes(extent),
        "input_scenes": _scenes_text(scene_ids),
        "number_of_input_scenes": len(scene_ids),
        "weights_sha256": header.weights_sha256,
        "software_version": header.version,
        "settings": header.settings.as_json(),
    }
    return {key: value for key, value in attributes.items() if value != ""}


def _extent_attributes(extent: Extent) -> dict[str, str | float | int]:
    found: dict[str, str | float | int] = {}
    if extent.time[0] <= extent.time[1]:
        seconds = extent.time[1] - extent.time[0]
        found |= {
            "time_coverage_start": iso(extent.time[0]),
            "time_coverage_end": iso(extent.time[1]),
            "time_coverage_duration": f"PT{seconds:.3f}S",
        }
    if extent.lat[0] <= extent.lat[1]:
        found |= {
            "geospatial_lat_min": extent.lat[0],
            "geospatial_lat_max": extent.lat[1],
            "geospatial_lat_units": "degrees_north",
            "geospatial_lon_min": extent.lon[0],
            "geospatial_lon_max": extent.lon[1],
            "geospatial_lon_units": "degrees_east",
            # ice floats: EPSG:5829 is height above the water level of the moment
            "geospatial_vertical_min": 0.0,
            "geospatial_vertical_max": 0.0,
            "geospatial_vertical_positive": "up",
            "geospatial_vertical_units": "m",
            "geospatial_bounds_vertical_crs": "EPSG:5829",
            "geospatial_bounds": _box_text(extent),
            "geospatial_bounds_crs": MAP_CRS,
        }
    return found


def _years(extent: Extent) -> str:
    """Years of the data, for example 2020-2021; empty where there is none."""
    if extent.time[0] > extent.time[1]:
        return ""
    first, last = (iso(time)[:4] for time in extent.time)
    return first if first == last else f"{first}-{last}"


def _box_text(extent: Extent) -> str:
    (left, right), (bottom, top) = extent.x, extent.y
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return "POLYGON ((" + ", ".join(f"{x:.0f} {y:.0f}" for x, y in corners) + "))"


def _scenes_text(scene_ids: Sequence[str]) -> str:
    text = ",".join(scene_ids)
    if len(text) <= MOST_SCENE_TEXT:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"listed in the variable image_id; sha256 of the comma-separated list {digest}"


def identifier_of(path: Path) -> str:
    """File name without its ending."""
    return path.name.removesuffix(".nc")
