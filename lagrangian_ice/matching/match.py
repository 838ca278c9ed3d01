"""Vectors of parcels between two images: first guess, refinement, verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.consensus import agreeing_share
from lagrangian_ice.matching.first_guess import FirstGuess, first_guess
from lagrangian_ice.matching.refine import FILTER_PLACES, Bands, Refined, refine
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.settings import FirstGuessSettings, MccSettings
from lagrangian_ice.superlim.features import STRIDE, Features

OUTLIER_SHARE = 0.15
"""Least share of the nearest matches that a vector must agree with; a crack leaves more."""
OUTLIER_TOLERANCE = 0.75
"""Cells that a vector may differ from a match near by."""


def match_images(
    source: GeoImage,
    source_features: Features,
    target: GeoImage,
    target_features: Features,
    xy: Float,
    guess_settings: FirstGuessSettings,
    mcc_settings: MccSettings | None,
) -> Vectors:
    """Track points from one image to another.

    Parameters
    ----------
    source, target : GeoImage
        With the same pixel size.
    source_features, target_features : Features
        Of these images.
    xy : (N, 2) float64
        Points in the source, EPSG:3413 metres.
    guess_settings : FirstGuessSettings
        Search window and consensus.
    mcc_settings : MccSettings or None
        None leaves the first guess unrefined.

    Returns
    -------
    Vectors
        One row a point, in the order given.

    Raises
    ------
    ValueError
        If the pixel sizes differ or ``xy`` is not (N, 2) and finite.
    """
    xy = _checked_points(xy)
    # One time for the window of the whole pair; each vector gets its own below.
    seconds = float(target.node_time.mean() - source.node_time.mean())
    guess = first_guess(source_features, target_features, xy, seconds, guess_settings)
    status = _status_at_start(source, xy)
    open_points = status == Status.TRACKED
    error = guess.prediction.error
    known = error <= guess_settings.max_error * source.grid.pixel
    status[open_points & ~known] = Status.NO_FIRST_GUESS
    ends = xy + guess.prediction.displacement
    outside = ~target.grid.contains(np.where(np.isfinite(ends), ends, np.inf))
    status[(status == Status.TRACKED) & outside] = Status.OUT_OF_IMAGE
    if mcc_settings is None:
        return _unrefined(source, target, xy, guess, status)
    return _refined(source, target, xy, guess, status, mcc_settings, guess_settings)


def _checked_points(xy: Float) -> Float:
    xy = np.asarray(xy, dtype=np.float64)
    if xy.ndim != 2 or xy.shape[1] != 2 or not np.isfinite(xy).all():
        raise ValueError(f"points of shape {xy.shape} are not (N, 2) finite map positions")
    return xy


def _status_at_start(source: GeoImage, xy: Float) -> NDArray[np.int8]:
    """Say what can be said of a point before anything is matched."""
    status = np.full(len(xy), Status.TRACKED, dtype=np.int8)
    inside = source.grid.contains(xy)
    # Land is asked of the pixel that holds the point; the point itself is not moved.
    row, col = np.rint(source.grid.rowcol(xy[inside])).astype(np.intp).T
    status[~inside] = Status.OUT_OF_IMAGE
    status[inside] = np.where(source.land[row, col], Status.LAND, Status.TRACKED)
    return status


def _unrefined(
    source: GeoImage, target: GeoImage, xy: Float, guess: FirstGuess, status: NDArray[np.int8]
) -> Vectors:
    covariance = np.zeros((len(xy), 2, 2))
    covariance[:, 0, 0] = covariance[:, 1, 1] = guess.prediction.error**2
    missing = np.full(len(xy), np.nan)
    return _assembled(
        source,
        target,
        xy,
        guess,
        status,
        end=xy + guess.prediction.displacement,
        covariance=covariance,
        measures={
            "mcc": missing,
            "peak_ratio": missing,
            "rotation": guess.prediction.rotation,
            "strain": np.full((len(xy), 3), np.nan),
        },
    )


def _refined(
    source: GeoImage,
    target: GeoImage,
    xy: Float,
    guess: FirstGuess,
    status: NDArray[np.int8],
    settings: MccSettings,
    guess_settings: FirstGuessSettings,
) -> Vectors:
    bands = Bands.prepare(
        _sea(source), _sea(target), _places(source, target, guess, guess_settings.fit_neighbours)
    )
    tried = np.flatnonzero(status == Status.TRACKED)
    prediction = guess.prediction
    found = refine(
        bands,
        source.grid.rowcol(xy[tried]),
        target.grid.rowcol(xy[tried] + prediction.displacement[tried]),
        prediction.error[tried] / source.grid.pixel,
        prediction.rotation[tried],
        settings,
    )
    rotation, strain = _rotation_and_strain(found.matrix)
    end = target.grid.xy(found.position)
    verdict = _verdict(found, settings)
    seconds = target.time_at(end) - source.time_at(xy[tried])
    for reason, fault in (
        (Status.TOO_FAST, _too_fast(end - xy[tried], seconds, source, guess_settings)),
        (Status.OUTLIER, _outlier(xy[tried], end, rotation, guess, source, guess_settings)),
    ):
        verdict[(verdict == Status.TRACKED) & fault] = reason
    status[tried] = verdict

    def whole(values: Float) -> Float:
        """Return values of all points: NaN for those that were not tried."""
        spread = np.full((len(xy), *values.shape[1:]), np.nan)
        spread[tried] = values
        return spread

    return _assembled(
        source,
        target,
        xy,
        guess,
        status,
        end=whole(end),
        covariance=whole(_map_covariance(found.covariance, source.grid.pixel)),
        measures={
            "mcc": whole(found.correlation),
            "peak_ratio": whole(found.ratio),
            "rotation": whole(rotation),
            "strain": whole(strain),
        },
    )


def _sea(image: GeoImage) -> NDArray[np.float32]:
    """Band that is correlated, the co-polarised one where there is one, without land."""
    pixels = image.band(image.co_polarised_first[0])
    return np.where(image.land, np.float32(np.nan), pixels).astype(np.float32)


def _places(
    source: GeoImage, target: GeoImage, guess: FirstGuess, neighbours: int
) -> tuple[Float, Float, Float]:
    """Row, col in both images and rotation (radians) of an even choice of the matches."""
    field = guess.field
    steps = np.linspace(0, max(len(field) - 1, 0), FILTER_PLACES).astype(np.intp)
    chosen = np.unique(steps)[: len(field)]
    start = field.xy[chosen]
    return (
        source.grid.rowcol(start),
        target.grid.rowcol(start + field.displacement[chosen]),
        np.radians(field.predict(start, neighbours).rotation),
    )


def _verdict(found: Refined, settings: MccSettings) -> NDArray[np.int8]:
    """First reason that speaks against each point, in the order in which they are found."""
    correlation = np.nan_to_num(found.correlation, nan=-1.0)
    reasons = [
        (found.source_share < settings.min_valid, Status.TOO_LITTLE_DATA),
        (np.isnan(found.correlation), Status.NO_TEXTURE),
        (correlation < settings.min_correlation, Status.LOW_CORRELATION),
        (found.at_edge, Status.EDGE_OF_SEARCH),
        (found.ratio > settings.max_peak_ratio, Status.TWO_PEAKS),
        (found.overlap < settings.min_valid, Status.TOO_LITTLE_DATA),
        (~found.converged, Status.NO_CONVERGENCE),
    ]
    conditions = [condition for condition, _ in reasons]
    chosen = np.select(conditions, [int(s) for _, s in reasons], default=int(Status.TRACKED))
    return chosen.astype(np.int8)


def _too_fast(
    moved: Float, seconds: Float, source: GeoImage, settings: FirstGuessSettings
) -> NDArray[np.bool_]:
    """Whether displacements (N, 2) are beyond what the fastest ice could do, and a cell."""
    farthest = np.abs(seconds) * settings.max_speed + STRIDE * source.grid.pixel
    return np.asarray(np.hypot(moved[:, 0], moved[:, 1]) > farthest)


def _outlier(
    xy: Float,
    end: Float,
    rotation: Float,
    guess: FirstGuess,
    source: GeoImage,
    settings: FirstGuessSettings,
) -> NDArray[np.bool_]:
    """Whether too few of the matches around move like the vector."""
    share = agreeing_share(
        xy,
        end - xy,
        guess.field.xy,
        guess.field.displacement,
        settings.consensus_neighbours,
        OUTLIER_TOLERANCE * STRIDE * source.grid.pixel,
        rotation,
    )
    return np.asarray(share < OUTLIER_SHARE)


def _map_covariance(covariance: Float, pixel: float) -> Float:
    """From row, col in pixels to x, y in metres: x grows with col, y against row."""
    turn = np.array([[0.0, pixel], [-pixel, 0.0]])
    return np.asarray(turn @ covariance @ turn.T)


def _rotation_and_strain(matrix: Float) -> tuple[Float, Float]:
    """Degrees counter-clockwise, and stretch along x, along y, half the shear angle."""
    angle = np.arctan2(matrix[:, 1, 0] - matrix[:, 0, 1], matrix[:, 0, 0] + matrix[:, 1, 1])
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], axis=-2)
    stretch = np.swapaxes(turn, 1, 2) @ matrix - np.eye(2)
    half_shear = -0.5 * (stretch[:, 0, 1] + stretch[:, 1, 0])
    return np.degrees(angle), np.stack([stretch[:, 1, 1], stretch[:, 0, 0], half_shear], axis=-1)


def _assembled(
    source: GeoImage,
    target: GeoImage,
    xy: Float,
    guess: FirstGuess,
    status: NDArray[np.int8],
    *,
    end: Float,
    covariance: Float,
    measures: dict[str, Float],
) -> Vectors:
    """Vectors in which what is not tracked has no end."""
    tracked = status == Status.TRACKED
    end = np.where(tracked[:, None], end, np.nan)
    time1 = np.full(len(xy), np.nan)
    time1[tracked] = target.time_at(end[tracked])
    inside = source.grid.contains(xy)
    time0 = np.full(len(xy), np.nan)
    time0[inside] = source.time_at(xy[inside])
    return Vectors(
        xy0=xy,
        xy1=end,
        covariance=np.where(tracked[:, None, None], covariance, np.nan),
        first_guess=xy + guess.prediction.displacement,
        first_guess_error=guess.prediction.error,
        status=status,
        time0=time0,
        time1=time1,
        **measures,
    )
