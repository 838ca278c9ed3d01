"""Settings of every stage: one frozen pydantic model each, unknown keys rejected.

``load`` reads a TOML file with one table per stage; ``as_toml`` writes the defaults with
their descriptions as comments. Numeric kernels never see the whole of it: they get the
model of their own stage.
"""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from lagrangian_ice.errors import SettingsError, shortened

COARSEST_PIXEL = 2000.0
"""Metres, of a scene and of the map."""


class Stage(BaseModel):
    """Base of the models: frozen, and a key that nobody declared is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ImageSettings(Stage):
    """Geocoding to the map grid."""

    pixel: float = Field(
        100.0,
        ge=10,
        le=COARSEST_PIXEL,
        description="map pixel, m; scenes of coarser pixels are tracked at their own",
    )
    remove_incidence_trend: bool = Field(
        True, description="subtract the mean change of backscatter across the swath"
    )
    fit_noise: bool = Field(
        False,
        description="scale the noise of HV and VH in each sub-swath to what the pixels show; "
        "without it the product's own tables hold",
    )


class FeatureSettings(Stage):
    """Keypoint scores and descriptors (SuperLIM)."""

    weights: str = Field("default", description="name from `weights list`, or a file")
    tile: int = Field(
        512,
        ge=128,
        le=8192,
        multiple_of=8,
        description="side of the tiles that the network sees, px",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the network; bfloat16 is quicker on processors that have it and changes "
        "1 % of the matches of the shipped weights, 8 % of the published",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the network runs")
    rotation: float = Field(
        0.0,
        ge=-180,
        le=180,
        description="degrees counter-clockwise by which the ice is thought to have turned; "
        "`track` only",
    )


class FirstGuessSettings(Stage):
    """Matching of descriptors and the motion field from the matches."""

    max_speed: float = Field(
        0.6,
        gt=0,
        le=5,
        description="fastest ice, m s-1; times the time apart it is the search window",
    )
    consensus_neighbours: int = Field(
        20, ge=4, le=200, description="nearest matches that a match is judged by"
    )
    consensus_share: float = Field(
        0.4, gt=0, le=1, description="share of them that must move alike"
    )
    fit_neighbours: int = Field(
        40, ge=8, le=400, description="matches that the local affine motion is fitted to"
    )
    max_error: float = Field(
        16.0,
        gt=0,
        le=64,
        description="predictions less certain than this (standard error, px) are not used",
    )


class MccSettings(Stage):
    """Refinement by maximum cross-correlation and the sub-pixel fit."""

    half_width: int = Field(
        16, ge=6, le=64, description="half the template's side, px: 16 is a template of 33 x 33"
    )
    search_radius: int = Field(
        16, ge=2, le=64, description="px around the first guess; larger where its error asks for it"
    )
    rotations: tuple[float, ...] = Field(
        (-6.0, -3.0, 0.0, 3.0, 6.0),
        min_length=1,
        max_length=121,
        description="degrees added to the rotation of the first guess; the second look goes as "
        "far, and to 48 at least: 180 among them finds floes that turned by any angle",
    )
    min_valid: float = Field(
        0.6, gt=0, le=1, description="least share of template pixels with data at both ends"
    )
    min_correlation: float = Field(
        0.25,
        ge=0,
        le=1,
        description="least correlation of a tracked vector; far from a sure first guess more",
    )
    max_peak_ratio: float = Field(
        0.95, gt=0, le=1, description="second peak over first; above it the match is ambiguous"
    )
    min_odds: float = Field(
        0.0,
        ge=0,
        le=100,
        description="logarithm of the odds that the middle of a template, not only a part of it "
        "beyond a crack, is seen where it was found; 0: not asked",
    )
    faint: float = Field(
        1.5,
        ge=0,
        le=4,
        description="times `min_correlation`: what a larger template found with less is asked of "
        "that size, not of the first look's, on which side of a crack it is",
    )
    thorough: bool = Field(
        True,
        description="second look at half the resolution, not a quarter, and at 30 degrees more "
        "where the first guess led: more of what turned or changed is found",
    )
    other_polarisation: bool = Field(
        True,
        description="what is faint in HH (VV) is looked for in HV (VH) too, where both images have "
        "both",
    )


class ParcelSettings(Stage):
    """Seeding and life of the parcels."""

    spacing: float = Field(10000.0, ge=500, le=200000, description="of the seed grid, m")
    window_days: float = Field(
        3.0, gt=0, le=30, description="passes within these days of the seed date are seeded"
    )
    min_interval_hours: float = Field(
        12.0, ge=0, le=240, description="least time between the two passes of a pair, h"
    )
    max_gap_days: float = Field(
        4.0, gt=0, le=60, description="a parcel unseen for longer ends, days"
    )
    merge_distance: float = Field(
        2000.0, ge=0, le=100000, description="of two parcels closer than this the younger ends, m"
    )
    reseed: bool = Field(True, description="seed 10 km cells that have become empty at each pass")
    birth_margin: float = Field(
        16.0,
        ge=0,
        le=100,
        description="a parcel is born where a pass has data on sea so far around it, px: half a "
        "template",
    )
    closure_days: float = Field(
        3.0,
        ge=0,
        le=10,
        description="a parcel is matched with an earlier sighting too when that is so old, days; "
        "0: never",
    )
    closure_limit: float = Field(
        8.0,
        gt=0,
        le=100,
        description="up to this difference the earlier sighting's end holds, px; beyond it the "
        "later one's, with the worst quality flag",
    )
    max_parting: float = Field(
        0.04,
        ge=0,
        le=10,
        description="speed beside the parcels around at which nothing may move alone, m/s",
    )
    max_fold_side: float = Field(
        2.5,
        ge=0,
        le=20,
        description="triangles of parcels with sides up to so many spacings must not fold "
        "between two passes; 0: not checked",
    )
    faint: float = Field(
        1.0, ge=0, le=4, description="most of `mcc.faint` that is taken where parcels are followed"
    )
    thorough: bool = Field(
        False, description="`mcc.thorough` where parcels are followed, if that is set"
    )
    max_step_error: float = Field(
        0.85,
        gt=0,
        le=100,
        description="a parcel found with a larger standard error in any direction counts as not "
        "found, px; of less correlation than 0.45 it may be larger, as its square is smaller",
    )
    max_guess_error: float = Field(
        2.5,
        gt=0,
        le=64,
        description="nor does one count whose first guess had a larger standard error, px: it "
        "may have left the image, and what is like it there be something else",
    )
    max_doubt: float = Field(
        0.12,
        gt=0,
        le=1000,
        description="nor one of more doubt whether the same ice was found: its standard error "
        "times the days passed times what its template turned (radians) and strained, px day",
    )
    confirm_doubt: float = Field(
        0.02,
        gt=0,
        le=1000,
        description="a parcel found with more doubt must be found from an earlier sighting too, "
        "if it has one, px day",
    )
    confirm_within: float = Field(
        2.5, gt=0, le=100, description="so near to where it was found, px"
    )
    faint_correlation: float = Field(
        0.7,
        gt=0,
        le=1,
        description="times `mcc.min_correlation`, a faint parcel is believed that is led to the "
        "same place by two of its sightings; 1: none is, nor one that was seen but not surely",
    )
    ice_concentration: str = Field(
        "",
        description="CF NetCDF of sea-ice concentration, daily: a file, a folder or a pattern; "
        "parcels are born on ice only, and what is not found where there is none ends",
    )
    min_concentration: float = Field(
        0.15, gt=0, le=1, description="less than this is no ice: a fraction"
    )
    concentration_days: float = Field(
        1.5,
        gt=0,
        le=30,
        description="a concentration further in time from a pass is not used, days",
    )


class DeformationSettings(Stage):
    """Triangles of neighbouring parcels."""

    max_side: float = Field(25000.0, gt=0, le=1e6, description="longest side of a triangle, m")
    min_angle: float = Field(10.0, ge=0, lt=60, description="smaller angles are flagged, degrees")
    nominal_days: float = Field(
        3.0,
        gt=0,
        le=30,
        description="time between the two passes of a deformation pair aimed at, days",
    )
    smoothing_steps: int = Field(
        3, ge=0, le=20, description="edges crossed at most by the smoothed fields; 0 smooths not"
    )
    smoothing_threshold: float = Field(
        0.02,
        ge=0,
        le=10,
        description="total deformation from which a triangle counts as deforming, per day",
    )
    geolocation_error: float = Field(
        20.0,
        ge=0,
        le=10000,
        description="standard error of a scene's position, shared by its parcels, m",
    )


class ProductSettings(Stage):
    """Who answers for the product; goes into the files' attributes."""

    creator_name: str = Field("", description="person or group; left out of the files while empty")
    creator_email: str = Field("", description="left out while empty")
    creator_url: str = Field("", description="left out while empty")
    publisher_name: str = Field("", description="left out while empty")
    publisher_email: str = Field("", description="left out while empty")
    publisher_url: str = Field("", description="left out while empty")
    institution: str = Field("", description="left out while empty")
    project: str = Field("", description="left out while empty")
    naming_authority: str = Field(
        "", description="reverse domain name that makes the file's id unique; left out while empty"
    )
    product_license: str = Field("", description="licence of the data, left out while empty")
    acknowledgement: str = Field(
        "",
        description="{years} in it becomes the years of the data; for products of real scenes "
        '"Contains modified Copernicus Sentinel data {years}"; left out while empty',
    )
    compression: int = Field(4, ge=0, le=9, description="zlib level of the NetCDF variables")


class Settings(Stage):
    """All settings. Every stage can be left out of the file: its defaults hold."""

    images: ImageSettings = ImageSettings()
    features: FeatureSettings = FeatureSettings()
    first_guess: FirstGuessSettings = FirstGuessSettings()
    mcc: MccSettings = MccSettings()
    parcels: ParcelSettings = ParcelSettings()
    deformation: DeformationSettings = DeformationSettings()
    product: ProductSettings = ProductSettings()

    def as_json(self) -> str:
        """One line for product attributes and the state."""
        return self.model_dump_json()


LARGEST_FILE = 2**20
"""Bytes; the defaults with their comments are 10 kB."""
MOST_FAULTS = 5
"""So many are told; the others are counted."""


def load(path: Path) -> Settings:
    """Read settings from a TOML file.

    Parameters
    ----------
    path : Path
        File with one table per stage.

    Raises
    ------
    SettingsError
        If the file cannot be read, is larger than 1 MiB or no regular file, is not TOML, has
        an unknown key or a value out of range.
    """
    try:
        text = _content(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error})") from None
    try:
        table = tomllib.loads(text)
    except ValueError as error:  # also of an integer of too many digits
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: not valid TOML: nested too deep") from None
    return validate(table, str(path))


def _content(path: Path) -> bytes:
    """Bytes of a settings file; a device may have no end, and a pipe no writer."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise SettingsError(f"{path}: not a regular file; give a settings file (TOML)")
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise SettingsError(f"{path}: larger than {LARGEST_FILE >> 20} MiB; not a settings file")
    return content


def validate(table: dict[str, object], origin: str) -> Settings:
    """Check nested dictionaries and make settings of them.

    Parameters
    ----------
    table : dict
        One dictionary for each stage.
    origin : str
        File or option, named in the error.

    Raises
    ------
    SettingsError
        With the unknown keys and wrong values in one line; of more than five, how many more.
    """
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        faults = [_describe(fault) for fault in error.errors()[:MOST_FAULTS]]
        more = error.error_count() - len(faults)
        told = "; ".join([*faults, f"and {more} more"] if more else faults)
        raise SettingsError(f"{origin}: {told} (see `lagrangian-ice config`)") from None


RETIRED = {"parcels": ("min_odds", "sure_within_hours", "confirm_error")}
"""Settings of earlier versions, by stage."""


def recalled(table: dict[str, Any], origin: str) -> Settings:
    """Make settings of what an earlier version may have kept in a state or a product.

    Parameters
    ----------
    table : dict
        One dictionary for each stage.
    origin : str
        File, named in the error.

    Raises
    ------
    SettingsError
        As :func:`validate`, but for settings that are no more.
    """
    known = {
        stage: {name: value for name, value in given.items() if name not in RETIRED.get(stage, ())}
        if isinstance(given, dict)
        else given
        for stage, given in table.items()
    }
    return validate(known, origin)


def _describe(fault: ErrorDetails) -> str:
    name = shortened(".".join(str(part) for part in fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"unknown setting {name}"
    return f"{name} = {shortened(_shown(fault['input']))}: {fault['msg'].lower()}"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of 4300 digits, a table in a table in...
        return "a value too large to show"


def as_toml(settings: Settings) -> str:
    """TOML text of the settings, each with its description as a comment."""
    lines: list[str] = []
    for stage_name in type(settings).model_fields:
        stage = getattr(settings, stage_name)
        lines += [f"# {type(stage).__doc__}", f"[{stage_name}]"]
        for name, field in type(stage).model_fields.items():
            # TOML's escapes are those of JSON, but not for halves of a character, nor for DEL
            value = json.dumps(getattr(stage, name), ensure_ascii=False).replace("\x7f", "\\u007f")
            lines += [f"# {field.description}", f"{name} = {value}"]
        lines.append("")
    return "\n".join(lines)
