"""Vectors of parcels between two images: first guess, refinement, verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.engine import thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.matching.cracks import SAME, Candidates, Sides, choose_sides
from lagrangian_ice.matching.first_guess import first_guess, motion_field
from lagrangian_ice.matching.halves import halves_apart, seen_again, torn
from lagrangian_ice.matching.look import ImagePair, Look, map_covariance
from lagrangian_ice.matching.motion_field import MotionField, Prediction
from lagrangian_ice.matching.motions import motions_around, moves_otherwise
from lagrangian_ice.matching.polarisations import both, is_faint, near, torn_around
from lagrangian_ice.matching.refine import FILTER_PLACES, Bands
from lagrangian_ice.matching.second_look import HALF, QUARTER, Tracked, look_again
from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.settings import FirstGuessSettings, MccSettings
from lagrangian_ice.superlim.features import Features
from lagrangian_ice.times import SECONDS_PER_DAY

WORTH_A_SECOND_LOOK = (
    Status.NO_FIRST_GUESS,
    Status.LOW_CORRELATION,
    Status.EDGE_OF_SEARCH,
    Status.TWO_PEAKS,
    Status.NO_CONVERGENCE,
    Status.OUTLIER,
    Status.TOO_FAST,
)
WORTH_A_LOOK_BESIDE_CRACKS = (*WORTH_A_SECOND_LOOK, Status.BACK_MATCH_DISAGREES)
LEAST_ODDS, SURE_ODDS = 2.0, 4.0
"""Logarithm of the odds with which a parcel must be on one side of a crack: where matches tell of
two motions, and where only its template looks broken."""
SIDE_SEARCH, SIDE_ERROR = 4, 1.0
"""Pixels around the motion of a side that are searched, and its standard error."""
APART = 3.0
"""Pixels by which motions must differ to be two; where they do the side must be sure."""
STRAINED = 0.04
"""Strain of a template that is taken for a crack under it."""
LARGER = (1.5, 2.0)
"""Times the first look's template: the second look's, and one for what is too faint in that."""
MORE_ROTATIONS = (-30.0, -24.0, -18.0, -12.0, -6.0, 0.0, 6.0, 12.0, 18.0, 24.0, 30.0)
"""Degrees from what the matches predict at which the second look tries their guess once more."""
FIRM = 8.0
"""Pixels: the largest error of a guess that is tried so."""
SURER = 1.2
"""Times what else must correlate: of so many rotations chance makes more."""
SECOND_NEIGHBOURS = 12
COMPANY = 400.0
"""Pixels within which some ice must have been found surely: else it may all be something else."""
MOST_ASTRAY = 6.0
"""Standard errors of the first guess from where it leads that a point is believed to be which only
the other polarisation finds: chance finds as many farther away as the ice."""
LEAST_AGREEMENT = 0.5
"""Of the matches that the other polarisation shows too: 0.9 and more where it sees ice, 0.1 to 0.2
where it sees the seams and stripes of the radar."""
UNREFINED_SCALE = 1.25
"""Stated over formal standard error of a first guess: 68 % of the errors along an axis lie within
1.17 to 1.31 formal ones in five cases of known motion."""


@dataclass(frozen=True)
class _Guess:
    """Prediction for the parcels and the field of matches it was read from."""

    prediction: Prediction
    field: MotionField

    def take(self, which: NDArray[np.intp]) -> _Guess:
        """For some of the parcels."""
        return _Guess(self.prediction.take(which), self.field)


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
    seconds = _seconds_apart(source, target)
    return motion_field(source_features, target_features, seconds, settings)


def _seconds_apart(source: GeoImage, target: GeoImage) -> float:
    """One time for the whole pair; each vector gets its own later."""
    return float(target.node_time.mean() - source.node_time.mean())


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
    covariance[:, 0, 0] = covariance[:, 1, 1] = (UNREFINED_SCALE * guess.prediction.error) ** 2
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
    guess: _Guess,
    status: NDArray[np.int8],
    settings: MccSettings,
    guess_settings: FirstGuessSettings,
) -> Vectors:
    places = _places(source, target, guess, guess_settings.fit_neighbours)
    pair = ImagePair(source, target, _bands(source, target, 0, places), guess_settings)
    tried = np.flatnonzero(status == Status.TRACKED)
    prediction = guess.prediction
    first = pair.look(xy[tried], prediction.take(tried), guess.field, settings)
    look = Look.nothing(status).put(tried, first)
    look, prediction = _second_look(pair, xy, look, guess, settings)
    guess = _Guess(prediction, guess.field)
    look = _beside_cracks(pair, xy, look, guess, settings)
    _refuse_other_ice(pair, xy, look, settings)
    if settings.other_polarisation and _two_in_common(source, target):
        look = _with_other_polarisation(pair, places, xy, look, guess, settings)
    _tell_of_gaps(pair, xy, look, guess, settings)
    return _assembled(
        source,
        target,
        xy,
        guess,
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
    pair: ImagePair, xy: Float, look: Look, guess: _Guess, settings: MccSettings
) -> tuple[Look, Prediction]:
    """Look again, with larger templates, for what a wrong first guess or weak texture lost.

    A vector found so must be tracked as well as one of the first look, agree with its
    neighbours, and lead back from its end to its start. Of two, the surer one is taken.
    """
    failed = _worth_larger_templates(pair, xy, look, settings)
    if settings.thorough:
        again = guess.take(failed)
        found = _by_more_rotations(pair, xy[failed], look.take(failed), again, settings)
        look = look.put(failed, found)
    tracked = look.status == Status.TRACKED
    if len(failed) == 0 or not tracked.any():
        return look, guess.prediction
    scale = HALF if settings.thorough else QUARTER
    field = look_again(
        (pair.source.grid, pair.bands.source),
        (pair.target.grid, pair.bands.target),
        xy[failed],
        Tracked(xy[tracked], (look.end - xy)[tracked]),
        scale.reaching(max(abs(angle) for angle in settings.rotations)),
    )
    expected = field.predict(xy[failed], SECOND_NEIGHBOURS)
    known = expected.error <= pair.settings.max_error * pair.source.grid.pixel
    failed, expected = failed[known], expected.take(known)
    wider = {"rotations": tuple(2 * angle for angle in settings.rotations)}
    second = _by_larger_templates(
        pair, xy[failed], _Guess(expected, field), settings.model_copy(update=wider)
    )
    surer = np.flatnonzero(_sureness(second) > _sureness(look.take(failed)))
    return (
        look.put(failed[surer], second.take(surer)),
        guess.prediction.put(failed[surer], expected.take(surer)),
    )


def _worth_larger_templates(
    pair: ImagePair, xy: Float, look: Look, settings: MccSettings
) -> NDArray[np.intp]:
    """Points that were not found and have data enough for a larger template."""
    failed = np.flatnonzero(np.isin(look.status, WORTH_A_SECOND_LOOK))
    return np.asarray(failed[pair.templates_known(xy[failed], _larger(settings, LARGER[0]))])


def _sureness(look: Look) -> Float:
    """By how many times its chance value each correlation is higher, to a factor; 0 if none is.

    Chance goes with one over the square root of the pixels.
    """
    return np.where(look.status == Status.TRACKED, look.mcc * look.half_width, 0.0)


def _by_more_rotations(
    pair: ImagePair, xy: Float, look: Look, guess: _Guess, settings: MccSettings
) -> Look:
    """Look where the matches led once more: on a small plate they tell less of its rotation."""
    firm = np.flatnonzero(guess.prediction.error <= FIRM * pair.source.grid.pixel)
    expected = guess.take(firm)
    least = SURER * settings.min_correlation
    asked = settings.model_copy(update={"rotations": MORE_ROTATIONS, "min_correlation": least})
    again = _by_larger_templates(pair, xy[firm], expected, asked)
    found = np.flatnonzero(again.status == Status.TRACKED)
    return look.put(firm[found], again.take(found))


def _by_larger_templates(pair: ImagePair, xy: Float, guess: _Guess, settings: MccSettings) -> Look:
    """Look at points (M, 2) with larger templates, those that stay faint with the largest."""
    look = Look.nothing(np.full(len(xy), Status.LOW_CORRELATION, dtype=np.int8))
    for size in LARGER:
        larger = _larger(settings, size)
        faint = np.flatnonzero(look.status == Status.LOW_CORRELATION)
        again = pair.look(xy[faint], guess.prediction.take(faint), guess.field, larger)
        found = np.flatnonzero(again.status == Status.TRACKED)
        back = pair.returns(xy[faint[found]], again.take(found), larger)
        again.status[found[~back]] = Status.BACK_MATCH_DISAGREES
        look = look.put(faint, again)
    return look


def _with_other_polarisation(
    pair: ImagePair,
    places: tuple[Float, Float, Float],
    xy: Float,
    look: Look,
    guess: _Guess,
    settings: MccSettings,
) -> Look:
    """Look for what is faint in the other polarisation too, where that shows the ice."""
    pixel = pair.source.grid.pixel
    days = abs(_seconds_apart(pair.source, pair.target)) / SECONDS_PER_DAY
    faint = is_faint(look, days, guess.prediction.rotation, pixel)
    sure = (look.status == Status.TRACKED) & ~faint
    index = np.flatnonzero(faint & near(xy, xy[sure], COMPANY * pixel))
    # Beside a crack it is the crack that lets a point correlate little, in both.
    moved = (look.end - xy)[sure]
    index = index[~torn_around(xy[index], xy[sure], moved, pixel)]
    index = index[pair.templates_known(xy[index], settings)]
    if len(index) == 0:
        return look
    bands = _bands(pair.source, pair.target, 1, places)
    if bands.agreement < LEAST_AGREEMENT:
        return look
    guess = guess.take(index)
    again = _anew(replace(pair, bands=bands), xy[index], guess, settings)
    first = look.take(index)
    led = np.linalg.norm(again.end - xy[index] - guess.prediction.displacement, axis=1)
    astray = led > MOST_ASTRAY * guess.prediction.error
    again.status[astray & (first.status != Status.TRACKED)] = Status.OUTLIER
    return look.put(index, both(first, again, pixel))


def _anew(pair: ImagePair, xy: Float, guess: _Guess, settings: MccSettings) -> Look:
    """Look at points (M, 2) with larger templates for what is faint, and beside cracks."""
    look = pair.look(xy, guess.prediction, guess.field, settings)
    failed = _worth_larger_templates(pair, xy, look, settings)
    found = _by_larger_templates(pair, xy[failed], guess.take(failed), settings)
    look = _beside_cracks(pair, xy, look.put(failed, found), guess, settings)
    _refuse_other_ice(pair, xy, look, settings)
    return look


def _beside_cracks(
    pair: ImagePair, xy: Float, look: Look, guess: _Guess, settings: MccSettings
) -> Look:
    """Look at parcels around which motions meet by the ice on their own side only.

    What was found of them follows the larger part of their templates. Where the side cannot be
    told there is no vector.
    """
    index = _between_motions(pair, xy, look, guess)
    broken = _broken(pair, xy, look, settings)
    candidates = _candidates(pair, xy[index], look.take(index), guess.field)
    cut = np.full((len(index), 2, 2), np.nan)
    cut[np.isin(index, broken)] = _halves(pair, xy, look, np.intersect1d(index, broken), settings)
    candidates = candidates.beside(cut)
    look = _torn_apart(pair, xy, look, np.setdiff1d(broken, index), guess, settings)
    several = np.flatnonzero(np.isfinite(candidates.guess[..., 0]).sum(axis=1) > 1)
    index, candidates = index[several], candidates.take(several)
    if len(index) == 0:
        return look
    parts = [
        _by_sides(pair, xy, index[here], candidates.take(here), guess.field, sized)
        for here, sized in _by_size(look.take(index), settings)
    ]
    index = np.concatenate([part[0] for part in parts])
    sides = Sides.joined([part[1] for part in parts])
    anew = Look.joined([part[2] for part in parts])
    better = (anew.status == Status.TRACKED) | ~_found_there(pair, look.take(index), sides)
    look = look.put(index[better], anew.take(better))
    look = look.put(index, _with_sides(look.take(index), sides, pair.source.grid.pixel))
    apart = np.hypot(sides.apart[:, 0], sides.apart[:, 1])
    unsure = index[(sides.favoured < LEAST_ODDS) & (apart > APART)]
    look.status[unsure[look.status[unsure] == Status.TRACKED]] = Status.TWO_MOTIONS
    return look


def _refuse_other_ice(pair: ImagePair, xy: Float, look: Look, settings: MccSettings) -> None:
    """Give up parcels of which only ice around may have been found, in place, if it is asked."""
    if settings.min_odds <= 0:
        return
    found = np.flatnonzero(look.status == Status.TRACKED)
    places = pair.places(xy[found], look.take(found))
    unsure = seen_again(pair.bands, *places, settings.half_width) < settings.min_odds
    look.status[found[unsure]] = Status.TWO_MOTIONS


def _broken(pair: ImagePair, xy: Float, look: Look, settings: MccSettings) -> NDArray[np.intp]:
    """Parcels found whose templates no one motion explains."""
    index = np.flatnonzero(look.status == Status.TRACKED)
    strained = np.linalg.norm(look.strain[index], axis=1) > STRAINED
    places = pair.places(xy[index], look.take(index))
    return np.asarray(index[strained | torn(pair.bands, *places, settings.half_width)])


def _halves(
    pair: ImagePair, xy: Float, look: Look, index: NDArray[np.intp], settings: MccSettings
) -> Float:
    """Row, col (M, 2, 2) in the target of both halves of the templates of some parcels."""
    places = pair.places(xy[index], look.take(index))
    return halves_apart(pair.bands, *places, settings.half_width)


def _torn_apart(
    pair: ImagePair,
    xy: Float,
    look: Look,
    index: NDArray[np.intp],
    guess: _Guess,
    settings: MccSettings,
) -> Look:
    """Look at parcels of broken templates by their own side, where one is sure.

    Their crack opens by less than the matches tell, or has no matches beyond. Else what was
    found holds, with the error that the other side would make of it.
    """
    _, end, rotation = pair.places(xy[index], look.take(index))
    whole = Candidates(end[:, None], rotation[:, None], np.zeros((len(index), 1, 2)))
    found = whole.beside(_halves(pair, xy, look, index, settings))
    index, sides, anew = _by_sides(pair, xy, index, found, guess.field, settings)
    better = (anew.status == Status.TRACKED) & (sides.odds >= SURE_ODDS)
    look = look.put(index[better], anew.take(better))
    return look.put(index, _with_sides(look.take(index), sides, pair.source.grid.pixel))


def _with_sides(look: Look, sides: Sides, pixel: float) -> Look:
    """Look at points to the error of which is added what their sides leave open."""
    spread = map_covariance(sides.spread(), pixel)
    return replace(look, covariance=look.covariance + spread, side_covariance=spread)


def _by_sides(
    pair: ImagePair,
    xy: Float,
    index: NDArray[np.intp],
    candidates: Candidates,
    field: MotionField,
    settings: MccSettings,
) -> tuple[NDArray[np.intp], Sides, Look]:
    """Those of the parcels whose motions differ, their sides, and what these alone find."""
    sides = choose_sides(pair.bands, pair.source.grid.rowcol(xy[index]), candidates, settings)
    several = np.isfinite(sides.odds)
    index, sides = index[several], sides.take(several)
    return index, sides, _by_own_side(pair, xy[index], sides, field, settings)


def _by_own_side(
    pair: ImagePair, xy: Float, sides: Sides, field: MotionField, settings: MccSettings
) -> Look:
    """Refine parcels (N, 2) by that part of their templates that is on their own side."""
    expected = Prediction(
        pair.target.grid.xy(sides.position) - xy,
        np.full(len(xy), SIDE_ERROR * pair.source.grid.pixel),
        sides.rotation,
    )
    near = settings.model_copy(update={"search_radius": SIDE_SEARCH})
    look = pair.look(xy, expected, field, near, sides.line)
    # Of fewer pixels chance makes more: what n of them correlate goes with 1 / sqrt(n).
    least = settings.min_correlation / np.sqrt(sides.share(settings.half_width).clip(0.01))
    look.status[(look.status == Status.TRACKED) & (look.mcc < least)] = Status.LOW_CORRELATION
    return look


def _found_there(pair: ImagePair, look: Look, sides: Sides) -> NDArray[np.bool_]:
    """Whether parcels (N,) were found by their whole templates where their side leads."""
    apart = pair.target.grid.rowcol(_found_end(look)) - sides.position
    return np.asarray(np.hypot(apart[:, 0], apart[:, 1]) < SAME)


def _between_motions(pair: ImagePair, xy: Float, look: Look, guess: _Guess) -> NDArray[np.intp]:
    """Parcels, found or not, that others around them do not move with."""
    tracked = look.status == Status.TRACKED
    moved = np.where(tracked[:, None], look.end - xy, guess.prediction.displacement)
    rotation = np.where(tracked, look.rotation, guess.prediction.rotation)
    index = np.flatnonzero(tracked | np.isin(look.status, WORTH_A_LOOK_BESIDE_CRACKS))
    index = index[np.isfinite(moved[index]).all(axis=1)]
    other = moves_otherwise(
        guess.field, xy[index], moved[index], rotation[index], pair.source.grid.pixel
    )
    return index[other]


def _candidates(pair: ImagePair, xy: Float, look: Look, field: MotionField) -> Candidates:
    """Motions that parcels (N, 2) may follow: as they were found, and others around them."""
    motions = motions_around(field, xy, pair.source.grid.pixel)
    found = pair.target.grid.rowcol(_found_end(look))[:, None]
    ends = xy[:, None] + motions.displacement
    others = pair.target.grid.rowcol(ends.reshape(-1, 2)).reshape(ends.shape)
    # What leads so near to where a parcel was found is the same motion, less well known.
    others[np.linalg.norm(others - found, axis=2) < APART] = np.nan
    x, y = np.moveaxis(motions.towards(), -1, 0)
    towards = np.stack([-y, x], axis=-1)
    return Candidates(
        np.concatenate([found, others], axis=1),
        np.concatenate([np.nan_to_num(look.rotation)[:, None], motions.rotation], axis=1),
        np.concatenate([np.zeros((len(xy), 1, 2)), towards], axis=1),
    )


def _found_end(look: Look) -> Float:
    """Return the ends (N, 2) of what is tracked; NaN else."""
    return np.where((look.status == Status.TRACKED)[:, None], look.end, np.nan)


def _by_size(look: Look, settings: MccSettings) -> Iterator[tuple[NDArray[np.intp], MccSettings]]:
    """Points to be asked of one size of templates, and the settings of that size.

    It is the first look's, in which the least of other ice has room, or for what is faint the one
    that found it.
    """
    faint = (look.status == Status.TRACKED) & (look.mcc < settings.faint * settings.min_correlation)
    half_width = np.where(faint, look.half_width, settings.half_width).astype(np.intp)
    for value in np.unique(half_width):
        yield np.flatnonzero(half_width == value), _of_size(settings, int(value))


def _larger(settings: MccSettings, size: float) -> MccSettings:
    """Of templates so many times as large."""
    return _of_size(settings, round(size * settings.half_width))


def _of_size(settings: MccSettings, half_width: int) -> MccSettings:
    """Templates of another size: of more pixels less must correlate to be no chance."""
    least = settings.min_correlation * settings.half_width / half_width
    return settings.model_copy(update={"half_width": half_width, "min_correlation": least})


def _two_in_common(source: GeoImage, target: GeoImage) -> bool:
    """Whether both images have the same two polarisations."""
    names = source.co_polarised_first
    return len(names) > 1 and names == target.co_polarised_first


def _bands(
    source: GeoImage, target: GeoImage, number: int, places: tuple[Float, Float, Float]
) -> Bands:
    """Take the co-polarised band (0) of both images, or the other one (1), without land."""

    def sea(image: GeoImage) -> NDArray[np.float32]:
        pixels = image.band(image.co_polarised_first[number])
        return np.where(image.land, np.float32(np.nan), pixels) if image.land.any() else pixels

    source_sea, target_sea = thread_map(sea, (source, target))
    return Bands.prepare(source_sea, target_sea, places)


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


def _tell_of_gaps(
    pair: ImagePair, xy: Float, look: Look, guess: _Guess, settings: MccSettings
) -> None:
    """Say where the target does not show the place of what was not found in it, in place."""
    unlike = np.flatnonzero(np.isin(look.status, (Status.NO_TEXTURE, Status.LOW_CORRELATION)))
    ends = xy[unlike] + guess.prediction.displacement[unlike]
    look.status[unlike[~pair.shown(ends, settings)]] = Status.TOO_LITTLE_DATA


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
        first_guess_rotation=guess.prediction.rotation,
        status=status,
        time0=time0,
        time1=time1,
        **measures,
    )
