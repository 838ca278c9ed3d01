"""Vectors of parcels between two images: first guess, refinement, verdict."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from lagrangian_ice.engine import thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.consensus import agreeing_share
from lagrangian_ice.matching.first_guess import first_guess, motion_field
from lagrangian_ice.matching.motion_field import MotionField, Prediction
from lagrangian_ice.matching.refine import FILTER_PLACES, LARGEST_RADIUS, Bands, Refined, refine
from lagrangian_ice.matching.second_look import FARTHEST_ROTATION, Tracked, look_again
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.settings import FirstGuessSettings, MccSettings
from lagrangian_ice.superlim.features import STRIDE, Features

OUTLIER_SHARE = 0.15
"""Least share of the nearest matches that a vector must agree with; a crack leaves more."""
OUTLIER_TOLERANCE = 0.75
"""Cells that a vector may differ from a match near by."""

WORTH_A_SECOND_LOOK = (
    Status.NO_FIRST_GUESS,
    Status.LOW_CORRELATION,
    Status.EDGE_OF_SEARCH,
    Status.TWO_PEAKS,
    Status.NO_CONVERGENCE,
    Status.OUTLIER,
    Status.TOO_FAST,
)
SECOND_SIZE = 1.5
"""Times the first look's template: it is asked where a correlation is weak."""
SECOND_NEIGHBOURS = 12
RETURN_TOLERANCE = 1.5
"""Pixels from where it began that a match back may end."""


@dataclass(frozen=True)
class _Guess:
    """Prediction for the parcels and the field of matches it was read from."""

    prediction: Prediction
    field: MotionField


def match_field(
    source: GeoImage,
    source_features: Features,
    target: GeoImage,
    target_features: Features,
    settings: FirstGuessSettings,
) -> MotionField:
    """Motion field between two images: what of a match depends on no parcel.

    Parameters
    ----------
    source, target : GeoImage
        With the same pixel size.
    source_features, target_features : Features
        Of these images.
    settings : FirstGuessSettings
        Search window and consensus.

    Raises
    ------
    ValueError
        If the pixel sizes differ.
    """
    # One time for the window of the whole pair; each vector gets its own later.
    seconds = float(target.node_time.mean() - source.node_time.mean())
    return motion_field(source_features, target_features, seconds, settings)


def match_images(
    source: GeoImage,
    source_features: Features,
    target: GeoImage,
    target_features: Features,
    xy: Float,
    guess_settings: FirstGuessSettings,
    mcc_settings: MccSettings | None,
    field: MotionField | None = None,
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
    field : MotionField, optional
        What :func:`match_field` found, where that has been done before.

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
    if field is None:
        field = match_field(source, source_features, target, target_features, guess_settings)
    prediction = first_guess(source_features, target_features, field, xy, guess_settings)
    guess = _Guess(prediction, field)
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
    source: GeoImage, target: GeoImage, xy: Float, guess: _Guess, status: NDArray[np.int8]
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


@dataclass(frozen=True)
class _Look:
    """What one refinement found of M points."""

    end: Float
    status: NDArray[np.int8]
    covariance: Float
    mcc: Float
    peak_ratio: Float
    rotation: Float
    strain: Float

    @classmethod
    def nothing(cls, status: NDArray[np.int8]) -> _Look:
        """No vector for points of which this is known."""
        shapes = ((2,), (2, 2), (), (), (), (3,))
        end, *rest = (np.full((len(status), *shape), np.nan) for shape in shapes)
        return cls(end, status, *rest)

    def put(self, index: NDArray[np.intp], other: _Look) -> _Look:
        """Take the points of ``index`` from another."""
        changed = {}
        for field in fields(self):
            values = np.array(getattr(self, field.name))
            values[index] = getattr(other, field.name)
            changed[field.name] = values
        return _Look(**changed)

    def take(self, index: NDArray[np.intp]) -> _Look:
        """Take some of the points."""
        return _Look(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


@dataclass(frozen=True)
class _Pair:
    """Both images with their bands, and what guides the search."""

    source: GeoImage
    target: GeoImage
    bands: Bands
    settings: FirstGuessSettings

    def look(
        self, xy: Float, prediction: Prediction, field: MotionField, settings: MccSettings
    ) -> _Look:
        """Refine points (M, 2) from their predictions and judge them by the field."""
        look = _Look.nothing(np.full(len(xy), Status.TOO_LITTLE_DATA, dtype=np.int8))
        seen = np.flatnonzero(self.seen(xy, prediction, settings))
        return look.put(seen, self._look(xy[seen], prediction.take(seen), field, settings))

    def seen(self, xy: Float, prediction: Prediction, settings: MccSettings) -> NDArray[np.bool_]:
        """Whether a template has data, and the target has any where it is looked for."""
        ends = torch.from_numpy(self.target.grid.rowcol(xy + prediction.displacement))
        reach = settings.half_width + max(settings.search_radius, LARGEST_RADIUS)
        any_data = self.bands.target.share(ends, reach) > 0
        return np.asarray(self.templates_known(xy, settings) & any_data.numpy())

    def templates_known(self, xy: Float, settings: MccSettings) -> NDArray[np.bool_]:
        """Whether the templates around points have data enough."""
        start = torch.from_numpy(self.source.grid.rowcol(xy))
        share = self.bands.source.share(start, settings.half_width)
        return np.asarray((share >= settings.min_valid).numpy())

    def _look(
        self, xy: Float, prediction: Prediction, field: MotionField, settings: MccSettings
    ) -> _Look:
        pixel = self.source.grid.pixel
        found = refine(
            self.bands,
            self.source.grid.rowcol(xy),
            self.target.grid.rowcol(xy + prediction.displacement),
            prediction.error / pixel,
            prediction.rotation,
            settings,
        )
        rotation, strain = _rotation_and_strain(found.matrix)
        end = self.target.grid.xy(found.position)
        status = _verdict(found, settings)
        seconds = self.target.time_at(end) - self.source.time_at(xy)
        for reason, fault in (
            (Status.TOO_FAST, _too_fast(end - xy, seconds, self.source, self.settings)),
            (Status.OUTLIER, _outlier(xy, end, rotation, field, self.source, self.settings)),
        ):
            status[(status == Status.TRACKED) & fault] = reason
        return _Look(
            end,
            status,
            _map_covariance(found.covariance, pixel),
            found.correlation,
            found.ratio,
            rotation,
            strain,
        )

    def returns(self, xy: Float, look: _Look, settings: MccSettings) -> NDArray[np.bool_]:
        """Whether the ice at the end of each vector is found again at its start."""
        backwards = Bands(
            self.bands.target,
            self.bands.source,
            self.bands.target_filtered,
            self.bands.source_filtered,
            self.bands.colour,
        )
        back = refine(
            backwards,
            self.target.grid.rowcol(look.end),
            self.source.grid.rowcol(xy),
            # A start that is known would draw the match to it: it is to come back by itself.
            np.full(len(xy), (settings.search_radius - 1) / 3),
            -look.rotation,
            settings,
        )
        apart = back.position - self.source.grid.rowcol(xy)
        return np.asarray(back.converged & (np.hypot(apart[:, 0], apart[:, 1]) < RETURN_TOLERANCE))


def _refined(
    source: GeoImage,
    target: GeoImage,
    xy: Float,
    guess: _Guess,
    status: NDArray[np.int8],
    settings: MccSettings,
    guess_settings: FirstGuessSettings,
) -> Vectors:
    places = _places(source, target, guess, guess_settings.fit_neighbours)
    source_sea, target_sea = thread_map(_sea, (source, target))
    bands = Bands.prepare(source_sea, target_sea, places)
    pair = _Pair(source, target, bands, guess_settings)
    tried = np.flatnonzero(status == Status.TRACKED)
    prediction = guess.prediction
    first = pair.look(xy[tried], prediction.take(tried), guess.field, settings)
    look = _Look.nothing(status).put(tried, first)
    look, prediction = _second_look(pair, xy, look, prediction, settings)
    return _assembled(
        source,
        target,
        xy,
        _Guess(prediction, guess.field),
        look.status,
        end=look.end,
        covariance=look.covariance,
        measures={
            "mcc": look.mcc,
            "peak_ratio": look.peak_ratio,
            "rotation": look.rotation,
            "strain": look.strain,
        },
    )


def _second_look(
    pair: _Pair, xy: Float, look: _Look, prediction: Prediction, settings: MccSettings
) -> tuple[_Look, Prediction]:
    """Look again, with larger templates, for what a wrong first guess or weak texture lost.

    A vector found so must be tracked as well as one of the first look, agree with its
    neighbours, and lead back from its end to its start.
    """
    wider = _wider(settings)
    failed = np.flatnonzero(np.isin(look.status, WORTH_A_SECOND_LOOK))
    failed = failed[pair.templates_known(xy[failed], wider)]
    tracked = look.status == Status.TRACKED
    if len(failed) == 0 or not tracked.any():
        return look, prediction
    field = look_again(
        (pair.source.grid, pair.bands.source),
        (pair.target.grid, pair.bands.target),
        xy[failed],
        Tracked(xy[tracked], (look.end - xy)[tracked]),
        max(FARTHEST_ROTATION, *(abs(angle) for angle in settings.rotations)),
    )
    expected = field.predict(xy[failed], SECOND_NEIGHBOURS)
    known = expected.error <= pair.settings.max_error * pair.source.grid.pixel
    failed, expected = failed[known], expected.take(np.flatnonzero(known))
    second = pair.look(xy[failed], expected, field, wider)
    found = np.flatnonzero(second.status == Status.TRACKED)
    back = pair.returns(xy[failed[found]], second.take(found), wider)
    second.status[found[~back]] = Status.BACK_MATCH_DISAGREES
    return (
        look.put(failed[found], second.take(found)),
        prediction.put(failed[found], expected.take(found)),
    )


def _wider(settings: MccSettings) -> MccSettings:
    """Of the second look: larger templates, more rotation, and so a lower correlation."""
    return settings.model_copy(
        update={
            "half_width": round(SECOND_SIZE * settings.half_width),
            "rotations": tuple(2 * angle for angle in settings.rotations),
            "min_correlation": settings.min_correlation / SECOND_SIZE,
        }
    )


def _sea(image: GeoImage) -> NDArray[np.float32]:
    """Band that is correlated, the co-polarised one where there is one, without land."""
    pixels = image.band(image.co_polarised_first[0])
    return np.where(image.land, np.float32(np.nan), pixels).astype(np.float32)


def _places(
    source: GeoImage, target: GeoImage, guess: _Guess, neighbours: int
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
    discounted = np.nan_to_num(found.discounted, nan=-1.0)
    reasons = [
        (np.isnan(found.correlation), Status.NO_TEXTURE),
        (discounted < settings.min_correlation, Status.LOW_CORRELATION),
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
    field: MotionField,
    source: GeoImage,
    settings: FirstGuessSettings,
) -> NDArray[np.bool_]:
    """Whether too few of the matches around move like the vector."""
    share = agreeing_share(
        xy,
        end - xy,
        field.xy,
        field.displacement,
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
    guess: _Guess,
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
