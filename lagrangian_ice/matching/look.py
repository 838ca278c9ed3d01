"""A look: points refined from their predictions, and the verdict on each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.consensus import agreeing_share
from lagrangian_ice.matching.correlation import PIXELS_PER_SAMPLE
from lagrangian_ice.matching.motion_field import MotionField, Prediction
from lagrangian_ice.matching.refine import LARGEST_RADIUS, Bands, Refined, refine
from lagrangian_ice.matching.rows import Rows
from lagrangian_ice.matching.sampling import Band
from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.settings import FirstGuessSettings, MccSettings
from lagrangian_ice.superlim.features import STRIDE

OUTLIER_SHARE = 0.15
"""Least share of the nearest matches that a vector must agree with; a crack leaves more."""
OUTLIER_TOLERANCE = 0.75
"""Cells that a vector may differ from a match near by."""
LEAST_PEAK_ODDS = 4.0
"""Logarithm of how much likelier the highest peak must be than the second."""
RETURN_TOLERANCE = 1.5
"""Pixels from where it began that a match back may end."""


@dataclass(frozen=True)
class Look(Rows):
    """What one refinement found of M points.

    Attributes
    ----------
    end : (M, 2) float64
        On the map, metres.
    status : (M,) int8
        Verdict on each; what else is known of one that is not tracked counts for nothing.
    covariance : (M, 2, 2) float64
        Of the end, m2.
    side_covariance : (M, 2, 2) float64
        Part of it: what is left open of the side of a crack that the point is on, m2.
    mcc, peak_ratio : (M,) float64
        Correlation, and second peak over that.
    rotation : (M,) float64
        Degrees counter-clockwise.
    strain : (M, 3) float64
        Stretch along x, along y, half the shear angle.
    half_width : (M,) float64
        Of the template that found it, pixels.
    """

    end: Float
    status: NDArray[np.int8]
    covariance: Float
    side_covariance: Float
    mcc: Float
    peak_ratio: Float
    rotation: Float
    strain: Float
    half_width: Float

    @classmethod
    def nothing(cls, status: NDArray[np.int8]) -> Look:
        """No vector for points of which this is known."""
        shapes = ((2,), (2, 2), (2, 2), (), (), (), (3,), ())
        end, *rest = (np.full((len(status), *shape), np.nan) for shape in shapes)
        return cls(end, status, *rest)


@dataclass(frozen=True)
class ImagePair:
    """Both images with their bands, and what guides the search."""

    source: GeoImage
    target: GeoImage
    bands: Bands
    settings: FirstGuessSettings

    def look(
        self,
        xy: Float,
        prediction: Prediction,
        field: MotionField,
        settings: MccSettings,
        line: Float | None = None,
    ) -> Look:
        """Refine points (M, 2) from their predictions and judge them by the field.

        Lines (M, 3) cut their templates.
        """
        look = Look.nothing(np.full(len(xy), Status.TOO_LITTLE_DATA, dtype=np.int8))
        seen = np.flatnonzero(self.seen(xy, prediction, settings))
        cut = None if line is None else line[seen]
        return look.put(seen, self._look(xy[seen], prediction.take(seen), field, settings, cut))

    def seen(self, xy: Float, prediction: Prediction, settings: MccSettings) -> NDArray[np.bool_]:
        """Whether a template has data, and the target has any where it is looked for."""
        ends = torch.from_numpy(self.target.grid.rowcol(xy + prediction.displacement))
        reach = settings.half_width + max(settings.search_radius, LARGEST_RADIUS)
        any_data = self.bands.target.share(ends, reach) > 0
        return np.asarray(self.templates_known(xy, settings) & any_data.numpy())

    def shown(self, ends: Float, settings: MccSettings) -> NDArray[np.bool_]:
        """Whether the target has data enough for templates that lie at ends (M, 2)."""
        return _data_enough(self.bands.target, self.target.grid.rowcol(ends), settings)

    def templates_known(self, xy: Float, settings: MccSettings) -> NDArray[np.bool_]:
        """Whether the templates around points have data enough."""
        return _data_enough(self.bands.source, self.source.grid.rowcol(xy), settings)

    def _look(
        self,
        xy: Float,
        prediction: Prediction,
        field: MotionField,
        settings: MccSettings,
        line: Float | None,
    ) -> Look:
        pixel = self.source.grid.pixel
        found = refine(
            self.bands,
            self.source.grid.rowcol(xy),
            self.target.grid.rowcol(xy + prediction.displacement),
            prediction.error / pixel,
            prediction.rotation,
            settings,
            line,
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
        return Look(
            end,
            status,
            map_covariance(found.covariance, pixel),
            np.zeros((len(end), 2, 2)),
            found.correlation,
            found.ratio,
            rotation,
            strain,
            np.full(len(end), float(settings.half_width)),
        )

    def places(self, xy: Float, look: Look) -> tuple[Float, Float, Float]:
        """Row, col (M, 2) in the source and the target, and rotation (M,) of points found."""
        return self.source.grid.rowcol(xy), self.target.grid.rowcol(look.end), look.rotation

    def returns(self, xy: Float, look: Look, settings: MccSettings) -> NDArray[np.bool_]:
        """Whether the ice at the end of each vector is found again at its start."""
        backwards = Bands(
            self.bands.target,
            self.bands.source,
            self.bands.target_filtered,
            self.bands.source_filtered,
            self.bands.colour,
            self.bands.agreement,
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


def _data_enough(band: Band, centre: Float, settings: MccSettings) -> NDArray[np.bool_]:
    """Whether templates at row, col (M, 2) have data enough in a band."""
    share = band.share(torch.from_numpy(centre), settings.half_width)
    return np.asarray((share >= settings.min_valid).numpy())


def _verdict(found: Refined, settings: MccSettings) -> NDArray[np.int8]:
    """First reason that speaks against each point, in the order in which they are found."""
    discounted = np.nan_to_num(found.discounted, nan=-1.0)
    reasons = [
        (np.isnan(found.correlation), Status.NO_TEXTURE),
        (discounted < settings.min_correlation, Status.LOW_CORRELATION),
        (found.at_edge, Status.EDGE_OF_SEARCH),
        (found.ratio > settings.max_peak_ratio, Status.TWO_PEAKS),
        (_peak_odds(discounted, found.ratio, settings) < LEAST_PEAK_ODDS, Status.TWO_PEAKS),
        (found.overlap < settings.min_valid, Status.TOO_LITTLE_DATA),
        (~found.converged, Status.NO_CONVERGENCE),
    ]
    conditions = [condition for condition, _ in reasons]
    chosen = np.select(conditions, [int(s) for _, s in reasons], default=int(Status.TRACKED))
    return chosen.astype(np.int8)


def _peak_odds(score: Float, ratio: Float, settings: MccSettings) -> Float:
    """Logarithm (N,) of how much likelier the highest peak is than the second.

    The likelihood of a correlation r of n independent pixels goes with ``(1 - r^2)^(-n / 2)``.
    """
    independent = (2 * settings.half_width + 1) ** 2 / PIXELS_PER_SAMPLE
    left, second_left = (1 - np.clip(one, 0, 0.999) ** 2 for one in (score, ratio * score))
    return np.asarray(0.5 * independent * np.log(second_left / left))


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
        field.tree,
        field.displacement,
        settings.consensus_neighbours,
        OUTLIER_TOLERANCE * STRIDE * source.grid.pixel,
        rotation,
    )
    return np.asarray(share < OUTLIER_SHARE)


def map_covariance(covariance: Float, pixel: float) -> Float:
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
