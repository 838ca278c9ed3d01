"""Every variable of every product, declared once.

Writers create the variables from these tables, ``products/*.cdl`` and the tables of
``docs/formats.md`` are printed from them (:mod:`lagrangian_ice.output.documentation`), so
that program, file and documentation cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from types import MappingProxyType

from lagrangian_ice.deformation.triangles import QualityFlag
from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.parcels.population import EndReason
from lagrangian_ice.times import TIME_UNITS

Value = str | int | float | list[int]

NONE: Mapping[str, Value] = MappingProxyType({})

_CONTENT_BY_ENDING = (
    (
        "coordinate",
        ("lat", "lon", "lat0", "lon0", "time", "_time", "time0", "time1", "x", "y", "x0"),
    ),
    ("coordinate", ("y0", "time_start", "time_end")),
    (
        "referenceInformation",
        ("trajectory", "gpid", "stream", "seed_row", "seed_col", "crs", "mesh"),
    ),
    ("referenceInformation", ("face_nodes", "_index", "_image", "image_id", "image_pass")),
    ("auxiliaryInformation", ("image_platform", "image_orbit", "image_polarisation", "n_obs")),
    ("auxiliaryInformation", ("death_reason", "distance_to_coast", "area", "area_true")),
    ("qualityInformation", ("_standard_error", "_covariance", "correlation", "mcc", "_ratio")),
    ("qualityInformation", ("sigma_x", "sigma_y", "cov_xy")),
    ("qualityInformation", ("_flag", "status", "_error", "signal_to_noise", "smallest_angle")),
    ("modelResult", ("first_guess_x", "first_guess_y")),
)
"""ISO 19115 content of variables, told from their names; what is not here is measured."""


@dataclass(frozen=True)
class Variable:
    """One variable of a product.

    Attributes
    ----------
    name : str
        In the file.
    dtype : str
        ``f8``, ``f4``, ``i8``, ``i4``, ``i2``, ``i1`` or ``S1`` (text; the last dimension is
        its length).
    dimensions : tuple of str
        Names of the dimensions.
    long_name : str
        What it is.
    units : str
        Empty for ids, flags and text.
    standard_name : str
        Of the CF table, empty where it has none.
    fill : float or int, optional
        Value of what is missing; None where nothing can be missing.
    comment : str
        What a user must know to use it.
    flags : type, optional
        The enumeration: ``IntEnum`` gives flag_values, ``IntFlag`` gives flag_masks.
    extra : mapping
        Other attributes.
    """

    name: str
    dtype: str
    dimensions: tuple[str, ...]
    long_name: str
    units: str = ""
    standard_name: str = ""
    fill: float | int | None = None
    comment: str = ""
    flags: type[IntEnum] | type[IntFlag] | None = None
    extra: Mapping[str, Value] = field(default_factory=lambda: NONE)

    @property
    def attributes(self) -> dict[str, Value]:
        """NetCDF attributes, without ``_FillValue``, in the order of the file."""
        named = {
            "standard_name": self.standard_name,
            "long_name": self.long_name,
            "units": self.units,
        }
        found: dict[str, Value] = {key: value for key, value in named.items() if value}
        found.update(self._flag_attributes())
        found.update(self.extra)
        found["coverage_content_type"] = self._content
        if self.comment:
            found["comment"] = self.comment
        return found

    @property
    def _content(self) -> str:
        for content, endings in _CONTENT_BY_ENDING:
            for ending in endings:
                if self.name == ending or (ending[0] == "_" and self.name.endswith(ending)):
                    return content
        return "physicalMeasurement"

    def _flag_attributes(self) -> dict[str, Value]:
        if self.flags is None:
            return {}
        key = "flag_masks" if issubclass(self.flags, IntFlag) else "flag_values"
        meanings = " ".join(str(flag.name).lower() for flag in self.flags)
        return {key: [int(flag) for flag in self.flags], "flag_meanings": meanings}


@dataclass(frozen=True)
class Product:
    """A kind of file.

    Attributes
    ----------
    key : str
        Ending of the file name before ``.nc``.
    title, summary, comment : str
        Global attributes.
    conventions : str
        Global attribute.
    feature_type : str
        CF featureType, empty where none fits.
    variables : tuple of Variable
        In the order of the file.
    """

    key: str
    title: str
    summary: str
    comment: str
    conventions: str
    feature_type: str
    variables: tuple[Variable, ...]

    def variable(self, name: str) -> Variable:
        """Find a variable by its name.

        Raises
        ------
        ValueError
            If the product has none.
        """
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise ValueError(f"product {self.key} has no variable {name!r}")


class ObservationQuality(IntEnum):
    """Number of weak measures of an observation; lower is better."""

    GOOD = 0
    ONE_WEAK_MEASURE = 1
    TWO_WEAK_MEASURES = 2
    THREE_WEAK_MEASURES = 3


NAN = float("nan")
_MISSING_INDEX = -1
_MISSING_FLAG = -127

_TIME: dict[str, Value] = {"calendar": "standard", "units_metadata": "leap_seconds: none"}

_CRS = Variable(
    "crs", "i4", (), "EPSG:3413, the map of all positions", comment="Holds attributes only."
)


def _time(name: str, dimension: str, long_name: str, comment: str = "", **more: Value) -> Variable:
    return Variable(
        name,
        "f8",
        (dimension,),
        long_name,
        TIME_UNITS,
        "time",
        NAN,
        comment,
        extra={**_TIME, **more},
    )


_IMAGES = (
    Variable(
        "image_id",
        "S1",
        ("image", "image_id_length"),
        "frames that the image was joined from",
        comment="Names of the scenes, separated by commas.",
    ),
    _time("image_time", "image", "mean acquisition time of the image"),
    Variable(
        "image_pass", "S1", ("image", "image_pass_length"), "pass (datatake) that the image is of"
    ),
    Variable(
        "image_platform", "S1", ("image", "image_platform_length"), "satellite that took the image"
    ),
    Variable("image_orbit", "i4", ("image",), "absolute orbit number", "1", fill=_MISSING_INDEX),
    Variable(
        "image_polarisation",
        "S1",
        ("image", "image_polarisation_length"),
        "polarisations of the image",
        comment="Separated by commas.",
    ),
)

_INTO_IMAGES = "Into the dimension image, from 0."
_PAIR_IMAGES = tuple(
    Variable(
        f"pair_{name}_image",
        "i4",
        ("pair",),
        f"index of the image at the {end}",
        "1",
        comment=_INTO_IMAGES,
    )
    for name, end in (("source", "start"), ("target", "end"))
)

_LP = ("trajectory", "obs")
_LP_COORDINATES: dict[str, Value] = {"coordinates": "time lat lon"}
_LP_DATA: dict[str, Value] = {**_LP_COORDINATES, "grid_mapping": "crs"}
_TRACKING = (
    "Tracking error accumulated since the parcel's birth, where it is zero: the error covariances "
    "of its vectors are summed. The error covariance of a displacement between two observations is "
    "the difference of theirs; right on average, see What the errors mean in docs/formats.md. The "
    "geolocation error of the images is not in it. Missing from the first vector on whose error is "
    "not known."
)

TRAJECTORIES = Product(
    "LP",
    "Lagrangian trajectories of sea ice from Sentinel-1",
    "Positions of sea-ice parcels that were seeded on a regular grid and followed from image to "
    "image. Every position is an observation in one image at that image's exact time; none is "
    "interpolated.",
    "Standard errors of x and y are of tracking, accumulated since birth; the geolocation error "
    "that the parcels of an image share is given apart.",
    "CF-1.11, ACDD-1.3",
    "trajectory",
    (
        Variable(
            "trajectory",
            "i8",
            ("trajectory",),
            "identifier of the parcel",
            extra={"cf_role": "trajectory_id"},
            comment="For life; unique over all streams and products.",
        ),
        Variable(
            "gpid",
            "i8",
            ("trajectory",),
            "grid point identifier in the manner of RGPS",
            "1",
            comment="Equals trajectory.",
        ),
        Variable(
            "stream",
            "i2",
            ("trajectory",),
            "seeding that the parcel comes from",
            "1",
            comment="0 is stream a, 1 stream b, and so on.",
        ),
        Variable(
            "seed_row",
            "i4",
            ("trajectory",),
            "row on the seed grid",
            "1",
            comment="Row times the spacing is y of the seed point. Where an emptied cell was "
            "seeded again, two parcels of a stream have the same row and column.",
        ),
        Variable(
            "seed_col",
            "i4",
            ("trajectory",),
            "column on the seed grid",
            "1",
            comment="Column times the spacing is x of the seed point.",
        ),
        Variable(
            "n_obs",
            "i4",
            ("trajectory",),
            "number of observations of the parcel",
            "1",
            "number_of_observations",
        ),
        _time(
            "birth_time",
            "trajectory",
            "time of the first observation",
            "Of the parcel: an excerpt of a season may begin after it, and end before death_time.",
        ),
        _time(
            "death_time",
            "trajectory",
            "time at which the parcel ended",
            "Missing while the parcel has not ended. The last position is that of the last "
            "observation, not of the end. For lost and not_covered it is the moment from which it "
            "had been unseen for longer than allowed (max_gap_days in the settings), for all "
            "others that of the pass that showed the reason.",
        ),
        Variable(
            "death_reason",
            "i1",
            ("trajectory",),
            "why the parcel ended",
            standard_name="status_flag",
            flags=EndReason,
            comment="lost: unseen for longer than max_gap_days though a pass showed where it ought "
            "to be; not_covered: unseen so long because no pass did; land: came onto the land "
            "mask; out_of_ice: no ice in the concentration given; merged: came closer to an older "
            "parcel than merge_distance; not_born: seen by no pass, so never in this file.",
        ),
        Variable(
            "time",
            "f8",
            _LP,
            "time of the observation",
            TIME_UNITS,
            "time",
            NAN,
            "Acquisition time (UTC) of the image line at the parcel, not of the whole image.",
            extra={**_TIME, "axis": "T"},
        ),
        Variable("lat", "f8", _LP, "latitude", "degrees_north", "latitude", NAN, "WGS 84."),
        Variable(
            "lon", "f8", _LP, "longitude", "degrees_east", "longitude", NAN, "WGS 84, -180 to 180."
        ),
        Variable(
            "x",
            "f8",
            _LP,
            "x of the parcel on the map",
            "m",
            "projection_x_coordinate",
            NAN,
            extra={
                **_LP_DATA,
                "ancillary_variables": "x_standard_error xy_error_covariance "
                "geolocation_standard_error q_flag",
            },
        ),
        Variable(
            "y",
            "f8",
            _LP,
            "y of the parcel on the map",
            "m",
            "projection_y_coordinate",
            NAN,
            extra={
                **_LP_DATA,
                "ancillary_variables": "y_standard_error xy_error_covariance "
                "geolocation_standard_error q_flag",
            },
        ),
        Variable(
            "x_standard_error",
            "f4",
            _LP,
            "standard error of x from tracking",
            "m",
            fill=NAN,
            comment=_TRACKING,
            extra=_LP_DATA,
        ),
        Variable(
            "y_standard_error",
            "f4",
            _LP,
            "standard error of y from tracking",
            "m",
            fill=NAN,
            comment=_TRACKING,
            extra=_LP_DATA,
        ),
        Variable(
            "xy_error_covariance",
            "f4",
            _LP,
            "covariance of the errors of x and y from tracking",
            "m2",
            fill=NAN,
            comment=_TRACKING,
            extra=_LP_DATA,
        ),
        Variable(
            "geolocation_standard_error",
            "f4",
            _LP,
            "standard error of the image's position",
            "m",
            fill=NAN,
            comment="Of x and of y, shared by the parcels of one image, independent between "
            "images. From the settings. Cancels in strain rates.",
            extra=_LP_DATA,
        ),
        Variable(
            "correlation",
            "f4",
            _LP,
            "maximum cross-correlation with the source image",
            "1",
            fill=NAN,
            comment="Normalised, -1 to 1, at the best place and rotation. Missing at birth.",
            extra=_LP_DATA,
        ),
        Variable(
            "peak_ratio",
            "f4",
            _LP,
            "second highest correlation peak over the highest",
            "1",
            fill=NAN,
            comment="Lower is better. Missing at birth.",
            extra=_LP_DATA,
        ),
        Variable(
            "rotation",
            "f4",
            _LP,
            "rotation of the ice since the source image",
            "degree",
            fill=NAN,
            comment="Counter-clockwise on the map. Missing at birth.",
            extra=_LP_DATA,
        ),
        Variable(
            "q_flag",
            "i1",
            _LP,
            "quality of the observation",
            standard_name="quality_flag",
            fill=_MISSING_FLAG,
            comment="Lower is better: how many are weak of correlation (below 0.5), peak ratio "
            "(above 0.8) and the standard error of the last vector (above one pixel, or unknown), "
            "and one more where a match from an earlier image ends more than half closure_limit "
            "(of the settings) away; 3 where it ends beyond that limit. 0 at birth.",
            flags=ObservationQuality,
            extra=_LP_DATA,
        ),
        Variable(
            "image_index",
            "i4",
            _LP,
            "index of the image that the parcel was seen in",
            "1",
            fill=_MISSING_INDEX,
            comment="Into the dimension image, from 0.",
            extra=_LP_COORDINATES,
        ),
        Variable(
            "source_image_index",
            "i4",
            _LP,
            "index of the image that the parcel was tracked from",
            "1",
            fill=_MISSING_INDEX,
            comment="Into the dimension image, from 0. Mostly that of the observation before; an "
            "earlier one where the match from there was taken. Missing at birth.",
            extra=_LP_COORDINATES,
        ),
        Variable(
            "distance_to_coast",
            "f4",
            _LP,
            "distance to the nearest land",
            "m",
            fill=NAN,
            comment="On the map, from a land mask on a lattice of 5 km: good to about 5 km; "
            "smaller islands may be missed.",
            extra=_LP_DATA,
        ),
        *_IMAGES,
        _CRS,
    ),
)

_FACE_DATA: dict[str, Value] = {
    "mesh": "mesh",
    "location": "face",
    "coordinates": "time face_lat face_lon",
}
_NODE_DATA: dict[str, Value] = {"mesh": "mesh", "location": "node"}
_NODE_ON_MAP: dict[str, Value] = {**_NODE_DATA, "grid_mapping": "crs"}
_RATE = "s-1"
_GRADIENT = (
    "Axes and lengths of the map, not east and north. A rate: RGPS gives displacement gradients, "
    "this times the time apart."
)
_RATES: tuple[tuple[str, str, str, str], ...] = (
    (
        "divergence",
        "divergence of the ice velocity",
        "divergence_of_sea_ice_velocity",
        "dudx + dvdy, opening positive",
    ),
    (
        "shear",
        "maximum shear strain rate of the ice",
        "maximum_over_coordinate_rotation_of_sea_ice_horizontal_shear_strain_rate",
        "hypot(dudx - dvdy, dudy + dvdx), without a factor 1/2",
    ),
    ("vorticity", "vorticity of the ice velocity", "", "dvdx - dudy, counter-clockwise positive"),
    (
        "total_deformation",
        "total deformation rate of the ice",
        "",
        "hypot(divergence, shear)",
    ),
    ("dudx", "derivative along x of the velocity along x", "", _GRADIENT),
    ("dudy", "derivative along y of the velocity along x", "", _GRADIENT),
    ("dvdx", "derivative along x of the velocity along y", "", _GRADIENT),
    ("dvdy", "derivative along y of the velocity along y", "", _GRADIENT),
)


def _rate(name: str, long_name: str, standard_name: str, comment: str) -> tuple[Variable, Variable]:
    error = f"{name}_standard_error"
    return (
        Variable(
            name,
            "f8",
            ("face",),
            long_name,
            _RATE,
            standard_name,
            NAN,
            comment,
            extra={
                **_FACE_DATA,
                "grid_mapping": "crs",
                "ancillary_variables": f"{error} quality_flag",
            },
        ),
        Variable(
            error,
            "f4",
            ("face",),
            f"standard error of {name}",
            _RATE,
            f"{standard_name} standard_error" if standard_name else "",
            NAN,
            "One standard deviation: tracking errors of the three vertices through the full "
            "Jacobian; the geolocation error that they share cancels and is not in it. Missing "
            "where the error of a vertex is.",
            extra=_FACE_DATA,
        ),
    )


DEFORMATION = Product(
    "DP",
    "Deformation of sea ice on triangles of parcels from Sentinel-1",
    "Strain rates of triangles of neighbouring parcels that were seen in the same two images, "
    "with their errors. Every pair of images is a patch of the mesh with nodes of its own. "
    "Patches of successive days overlap in time.",
    "Errors are of tracking alone: the geolocation error that an image's parcels share cancels "
    "in strain rates.",
    "CF-1.11, UGRID-1.0, ACDD-1.3",
    "",
    (
        Variable(
            "mesh",
            "i4",
            (),
            "triangles of parcels",
            extra={
                "cf_role": "mesh_topology",
                "topology_dimension": 2,
                "node_coordinates": "x y",
                "face_node_connectivity": "face_nodes",
                "face_dimension": "face",
            },
        ),
        Variable(
            "face_nodes",
            "i4",
            ("face", "three"),
            "nodes of the triangle",
            extra={"cf_role": "face_node_connectivity", "start_index": 0},
            comment="Counter-clockwise at the start.",
        ),
        Variable(
            "x",
            "f8",
            ("node",),
            "x of the node at the start",
            "m",
            "projection_x_coordinate",
            extra={"grid_mapping": "crs"},
        ),
        Variable(
            "y",
            "f8",
            ("node",),
            "y of the node at the start",
            "m",
            "projection_y_coordinate",
            extra={"grid_mapping": "crs"},
        ),
        Variable(
            "lon",
            "f8",
            ("node",),
            "longitude of the node at the start",
            "degrees_east",
            "longitude",
        ),
        Variable(
            "lat", "f8", ("node",), "latitude of the node at the start", "degrees_north", "latitude"
        ),
        Variable(
            "trajectory",
            "i8",
            ("node",),
            "identifier of the parcel",
            "1",
            comment="As in the trajectory product.",
            extra=_NODE_DATA,
        ),
        Variable(
            "node_pair_index",
            "i4",
            ("node",),
            "pair of images that the node belongs to",
            "1",
            comment="Into the dimension pair, from 0.",
            extra=_NODE_DATA,
        ),
        _time("time_start", "node", "time of the node at the start", mesh="mesh", location="node"),
        _time("time_end", "node", "time of the node at the end", mesh="mesh", location="node"),
        Variable(
            "dx",
            "f8",
            ("node",),
            "displacement along x from start to end",
            "m",
            "sea_ice_x_displacement",
            comment="Along x of the map, not east. The end is at x + dx.",
            extra={**_NODE_ON_MAP, "ancillary_variables": "dx_standard_error"},
        ),
        Variable(
            "dy",
            "f8",
            ("node",),
            "displacement along y from start to end",
            "m",
            "sea_ice_y_displacement",
            comment="Along y of the map, not north. The end is at y + dy.",
            extra={**_NODE_ON_MAP, "ancillary_variables": "dy_standard_error"},
        ),
        Variable(
            "dx_standard_error",
            "f4",
            ("node",),
            "standard error of dx from tracking",
            "m",
            "sea_ice_x_displacement standard_error",
            NAN,
            "Without the geolocation error that the parcels of an image share.",
            extra=_NODE_DATA,
        ),
        Variable(
            "dy_standard_error",
            "f4",
            ("node",),
            "standard error of dy from tracking",
            "m",
            "sea_ice_y_displacement standard_error",
            NAN,
            "Without the geolocation error that the parcels of an image share.",
            extra=_NODE_DATA,
        ),
        Variable(
            "dxdy_error_covariance",
            "f4",
            ("node",),
            "covariance of the errors of dx and dy from tracking",
            "m2",
            fill=NAN,
            comment="Without the geolocation error that the parcels of an image share.",
            extra=_NODE_DATA,
        ),
        _time(
            "time",
            "face",
            "mean of the vertices' times at start and end",
            mesh="mesh",
            location="face",
            axis="T",
        ),
        Variable(
            "face_lon",
            "f8",
            ("face",),
            "longitude of the centroid at the start",
            "degrees_east",
            "longitude",
        ),
        Variable(
            "face_lat",
            "f8",
            ("face",),
            "latitude of the centroid at the start",
            "degrees_north",
            "latitude",
        ),
        *(variable for rate in _RATES for variable in _rate(*rate)),
        Variable(
            "signal_to_noise",
            "f4",
            ("face",),
            "total deformation over its standard error",
            "1",
            fill=NAN,
            extra=_FACE_DATA,
        ),
        Variable(
            "divergence_smoothed",
            "f8",
            ("face",),
            "divergence of the smoothed velocity gradients",
            _RATE,
            fill=NAN,
            comment="Averaged over neighbours of the same kind, deforming or not (after Bouillon "
            "and Rampal 2015). Missing for thin, large and folded triangles. Its error is not "
            "stated.",
            extra=_FACE_DATA,
        ),
        Variable(
            "shear_smoothed",
            "f8",
            ("face",),
            "shear of the smoothed velocity gradients",
            _RATE,
            fill=NAN,
            comment="Smoothed as divergence_smoothed. Its error is not stated.",
            extra=_FACE_DATA,
        ),
        Variable(
            "area",
            "f8",
            ("face",),
            "area on the map at the start",
            "m2",
            extra=_FACE_DATA,
            comment="Projected: 5.6 % less than area_true at 85 N, equal to it at 70 N.",
        ),
        Variable(
            "area_true",
            "f8",
            ("face",),
            "area on the ellipsoid at the start",
            "m2",
            "cell_area",
            extra=_FACE_DATA,
        ),
        Variable(
            "smallest_angle",
            "f4",
            ("face",),
            "smallest angle at the start",
            "degree",
            extra=_FACE_DATA,
        ),
        Variable(
            "pair_index",
            "i4",
            ("face",),
            "pair of images that the triangle belongs to",
            "1",
            comment="Into the dimension pair, from 0.",
            extra=_FACE_DATA,
        ),
        Variable(
            "quality_flag",
            "i1",
            ("face",),
            "what is doubtful about the triangle",
            standard_name="quality_flag",
            flags=QualityFlag,
            comment="0 is good. small_angle and long_side: at the start, limits min_angle and "
            "max_side of the settings; mixed_time: "
            "vertices of one image more than 120 s apart; boundary: a side that no other triangle "
            "shares; folded: turned over at the end.",
            extra=_FACE_DATA,
        ),
        *_PAIR_IMAGES,
        *_IMAGES,
        _CRS,
    ),
)

_VECTOR = ("vector",)
_VECTOR_DATA: dict[str, Value] = {"coordinates": "time0 lat0 lon0", "grid_mapping": "crs"}
_OWN_ERROR = (
    "Of this vector alone; without the geolocation error of the two images. Missing where not "
    "tracked or not known."
)
_GUESS = (
    "Predicted by the network's matches, or by coarse correlation where the vector was looked for "
    "a second time. Missing where there is none."
)
_TEMPLATE = (
    "Relative, from start to end, as the match took it; stretching is positive. Noisy: strain is "
    "in the deformation product."
)


def _vector(
    name: str,
    dtype: str,
    long_name: str,
    units: str,
    standard_name: str = "",
    comment: str = "",
    **more: Value,
) -> Variable:
    return Variable(
        name,
        dtype,
        _VECTOR,
        long_name,
        units,
        standard_name,
        NAN,
        comment,
        extra={**_VECTOR_DATA, **more},
    )


PAIRS = Product(
    "PD",
    "Drift of sea ice between pairs of Sentinel-1 images",
    "Every vector that was found between two images, or not though the later one shows where it "
    "ought to be, with all measures of its quality, before any joining to trajectories.",
    "Errors are of each vector alone, without the geolocation errors of the two images.",
    "CF-1.11, ACDD-1.3",
    "",
    (
        Variable(
            "pair_index",
            "i4",
            _VECTOR,
            "pair of images that the vector is of",
            "1",
            comment="Into the dimension pair, from 0.",
        ),
        Variable(
            "trajectory",
            "i8",
            _VECTOR,
            "identifier of the parcel",
            "1",
            comment="As in the trajectory product.",
        ),
        Variable(
            "status",
            "i1",
            _VECTOR,
            "why the vector is there or is not",
            standard_name="status_flag",
            flags=Status,
            comment="Only a tracked vector has an end, its time and errors. Of others, mcc, "
            "peak_ratio, rotation and strain are those of the rejected match, if there was one.",
            extra=_VECTOR_DATA,
        ),
        _time("time0", "vector", "time at the start", axis="T"),
        _time("time1", "vector", "time at the end", "Missing where not tracked."),
        Variable("lat0", "f8", _VECTOR, "latitude of the start", "degrees_north", "latitude", NAN),
        Variable("lon0", "f8", _VECTOR, "longitude of the start", "degrees_east", "longitude", NAN),
        _vector("x0", "f8", "x of the start", "m", "projection_x_coordinate"),
        _vector("y0", "f8", "y of the start", "m", "projection_y_coordinate"),
        _vector("x1", "f8", "x of the end", "m"),
        _vector("y1", "f8", "y of the end", "m"),
        _vector(
            "displacement_x",
            "f8",
            "displacement along x",
            "m",
            "sea_ice_x_displacement",
            "x1 - x0, along x of the map, not east.",
            ancillary_variables="x_standard_error status",
        ),
        _vector(
            "displacement_y",
            "f8",
            "displacement along y",
            "m",
            "sea_ice_y_displacement",
            "y1 - y0, along y of the map, not north.",
            ancillary_variables="y_standard_error status",
        ),
        _vector(
            "x_standard_error",
            "f4",
            "standard error of displacement_x",
            "m",
            "sea_ice_x_displacement standard_error",
            _OWN_ERROR,
        ),
        _vector(
            "y_standard_error",
            "f4",
            "standard error of displacement_y",
            "m",
            "sea_ice_y_displacement standard_error",
            _OWN_ERROR,
        ),
        _vector(
            "xy_error_covariance",
            "f4",
            "covariance of the errors of the displacement",
            "m2",
            comment=_OWN_ERROR,
        ),
        _vector("first_guess_x", "f8", "x of the end before the refinement", "m", comment=_GUESS),
        _vector("first_guess_y", "f8", "y of the end before the refinement", "m", comment=_GUESS),
        _vector("first_guess_error", "f4", "standard error of the first guess", "m"),
        _vector("mcc", "f4", "maximum cross-correlation", "1", comment="Normalised, -1 to 1."),
        _vector(
            "peak_ratio",
            "f4",
            "second highest correlation peak over the highest",
            "1",
            comment="Lower is better.",
        ),
        _vector(
            "rotation",
            "f4",
            "rotation of the ice from start to end",
            "degree",
            comment="Counter-clockwise on the map.",
        ),
        _vector("strain_xx", "f4", "stretch of the template along x", "1", comment=_TEMPLATE),
        _vector("strain_yy", "f4", "stretch of the template along y", "1", comment=_TEMPLATE),
        _vector("strain_xy", "f4", "half the shear angle of the template", "1"),
        *_PAIR_IMAGES,
        *_IMAGES,
        _CRS,
    ),
)

PRODUCTS = (TRAJECTORIES, DEFORMATION, PAIRS)
