from dataclasses import dataclass, replace

import numpy as np
import pytest
from drifting_ice import DAY, T0, WHOLE, Ice, See, same_question, stream

from lagrangian_ice.matching.vectors import Status, nothing_seen
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.earlier import PastSightings, matched_from, speed_to_search
from lagrangian_ice.parcels.population import State
from lagrangian_ice.parcels.view import View
from lagrangian_ice.settings import ParcelSettings

WEST = (-1_000.0, -1_000.0, 14_000.0, 31_000.0)
PLACE = np.array([20_000.0, 10_000.0])
SETTINGS = ParcelSettings(birth_margin=0, reseed=False)
OFF = np.array([2_000.0, 0.0])
"""Four pixels: no outlier among its neighbours, but more than ``confirm_within``."""


@dataclass
class Torn(Ice):
    """Ice at rest where one parcel is found wrong from what is nearer than so many days."""

    velocity: tuple[float, float] = (0.0, 0.0)
    sigma: float = 200.0
    strain: float = 0.1
    wrong_within: float = 1.5
    unseen: tuple[int, ...] = ()
    elsewhere: float = 0.0

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        vectors.strain[:, 0] = self.strain
        at = np.hypot(*(xy - PLACE).T) < 100
        apart = self.passes[target].day - self.passes[source].day
        if self.wrong_within and target >= 2 and apart < self.wrong_within:
            vectors = replace(vectors, xy1=vectors.xy1 + at[:, None] * OFF)
        if source in self.unseen:
            status = np.where(at, Status.OUT_OF_IMAGE, vectors.status).astype(np.int8)
            xy1 = np.where(at[:, None], np.nan, vectors.xy1)
            guess = vectors.first_guess + at[:, None] * [self.elsewhere, 0.0]
            vectors = replace(vectors, status=status, xy1=xy1, first_guess=guess)
        return vectors


def whole(*days):
    return [See(day, WHOLE) for day in days]


def parcel(fold):
    """Id of the parcel that is found wrong."""
    first = fold.parcels.xy - PLACE
    return int(fold.parcels.parcel_id[np.hypot(*first.T) < 100][0])


def test_a_doubtful_sighting_that_an_earlier_one_contradicts_is_none():
    folds = Torn().followed(whole(0, 1, 2), SETTINGS)
    wrong = parcel(folds[1])
    assert folds[2].missed.tolist() == [wrong]
    row = t.rows_of(folds[2].parcels, [wrong])
    assert folds[2].parcels.state[row] == State.DORMANT
    assert folds[2].parcels.pass_index[row] == 1
    # All are doubtful; all are asked of the birth, and the others are confirmed.
    assert [pair.source_pass for pair in folds[2].pairs] == [0, 1]
    assert len(folds[2].pairs[0].parcel_id) == 24
    assert len(folds[2].observations.parcel_id) == 23
    refused = folds[2].pairs[1]
    assert refused.parcel_id[refused.vectors.status == Status.OUTLIER].tolist() == [wrong]


def test_one_that_is_refused_is_found_again_from_where_it_was_last_seen():
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=0)
    folds = Torn().followed(whole(0, 1, 2, 3), settings)
    wrong = parcel(folds[1])
    seen = folds[3].observations
    at = seen.parcel_id == wrong
    assert seen.source_pass[at].tolist() == [1]
    np.testing.assert_allclose(seen.xy[at], [PLACE])


@pytest.mark.parametrize(
    ("ice", "settings"),
    [
        (Torn(sigma=90.0), SETTINGS),
        (Torn(strain=0.04), SETTINGS),
        (Torn(), SETTINGS.model_copy(update={"confirm_doubt": 100.0})),
        (Torn(), SETTINGS.model_copy(update={"confirm_within": 4.5})),
    ],
    ids=["sure", "hardly strained", "never doubted", "near enough"],
)
def test_what_is_sure_or_near_enough_is_believed(ice, settings):
    fold = ice.followed(whole(0, 1, 2), settings)[2]
    assert len(fold.observations.parcel_id) == 24
    assert len(fold.missed) == 0


def test_a_parcel_without_an_earlier_sighting_is_believed():
    ice = Torn()
    # Seen first by the second pass, from which the third finds it wrong.
    fold = ice.followed([See(0, WEST), See(1, WHOLE), See(2, WHOLE)], SETTINGS)[2]
    east = fold.observations.xy[:, 0] >= PLACE[0]
    assert (fold.observations.source_pass[east] == 1).all()
    assert (np.abs(fold.observations.xy - PLACE - OFF).sum(axis=1) < 1).sum() == 1


@pytest.mark.parametrize(("elsewhere", "missed"), [(0.0, 0), (33_000.0, 0), (35_000.0, 1)])
def test_an_earlier_sighting_that_shows_nothing_refuses_only_what_went_elsewhere(elsewhere, missed):
    """Its first guess is 66 or 70 pixels away, and four nearer to what is found wrong."""
    ice = Torn(elsewhere=elsewhere)
    folds = ice.followed(whole(0, 1), SETTINGS)
    ice.unseen = (0,)
    fold = ice.fold(folds[1].parcels, 2, See(2, WHOLE), [stream()], SETTINGS, 1000)
    assert fold.missed.tolist() == [parcel(folds[1])] * missed
    assert len(fold.observations.parcel_id) == 24 - missed


def test_a_doubtful_parcel_that_nothing_else_is_found_around_needs_a_witness():
    ice = Torn(wrong_within=0.0)
    folds = ice.followed(whole(0, 1), SETTINGS)
    parcels, own = folds[1].parcels, parcel(folds[1])
    alone = parcels.take(parcels.parcel_id == own)
    seen = {}
    for unseen in ((), (0,)):
        ice.unseen = unseen
        for name, some in (("alone", alone), ("among others", parcels)):
            fold = ice.fold(some, 2, See(2, WHOLE), [stream()], SETTINGS, 1000)
            seen[name, unseen] = own in fold.observations.parcel_id
    assert seen == {
        ("alone", ()): True,
        ("among others", ()): True,
        ("alone", (0,)): False,
        ("among others", (0,)): True,
    }


@dataclass
class Leaving(Torn):
    """The parcel leaves the ice around it, by ``leap`` metres a pass from the third on."""

    leap: float = 0.0

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        at = (np.hypot(*(xy - PLACE).T) < 100) & (target == 2)
        return replace(vectors, xy1=vectors.xy1 + at[:, None] * [self.leap, 0.0])


@pytest.mark.parametrize(("leap", "believed"), [(7_000.0, True), (8_000.0, False)])
def test_company_that_moves_otherwise_is_none(leap, believed):
    # 0.04 m/s and eight pixels in a day: 7.5 km.
    ice = Leaving(wrong_within=0.0, leap=leap)
    folds = ice.followed(whole(0, 1), SETTINGS)
    parcels, own = folds[1].parcels, parcel(folds[1])
    apart = np.hypot(*(parcels.xy - PLACE).T)
    far = parcels.take((apart < 100) | (apart > 25_000))
    ice.unseen = (0,)
    settings = SETTINGS.model_copy(update={"max_fold_side": 1.0})
    fold = ice.fold(far, 2, See(2, WHOLE), [stream()], settings, 1000)
    assert len(fold.observations.parcel_id) > 1
    assert (own in fold.observations.parcel_id) == believed


def test_the_reference_is_asked_where_the_sighting_before_the_last_is_not_found():
    ice = Torn(wrong_within=0.0)
    folds = ice.followed(whole(0, 0.6, 1.2), SETTINGS)
    wrong = parcel(folds[1])
    ice.unseen = ()

    class Forgotten(Torn):
        """The parcel is known again from the first pass and the last one, not from the second."""

        def match(self, source, target, xy):
            vectors = super().match(source, target, xy)
            if source != 1:
                return vectors
            at = np.hypot(*(xy - PLACE).T) < 100
            return vectors.without(at) if at.any() else vectors

    again = Forgotten(wrong_within=0.0, passes=dict(ice.passes))
    fold = again.fold(folds[2].parcels, 3, See(1.9, WHOLE), [stream()], SETTINGS, 1000)
    assert wrong in fold.observations.parcel_id
    asked = {pair.source_pass: len(pair.parcel_id) for pair in fold.pairs}
    assert asked == {0: 1, 1: 24, 2: 24}


@dataclass
class Faint(Ice):
    """Ice at rest, too faint to be found from its second pass on but where less is asked for.

    ``off`` is how far from its place one parcel is found by its first sighting, metres.
    """

    velocity: tuple[float, float] = (0.0, 0.0)
    off: float = 0.0
    least: float = 0.5

    def answer(self, one, target):
        vectors = super().answer(one, target)
        if target == 1:
            return vectors
        if one.correlation > self.least:
            found = vectors.without(vectors.tracked)
            status = np.full(len(vectors), Status.LOW_CORRELATION, dtype=np.int8)
            return replace(found, status=status)
        at = (np.hypot(*(one.xy - PLACE).T) < 100) & (one.source_pass == 0)
        return replace(vectors, xy1=vectors.xy1 + at[:, None] * [self.off, 0.0])


def test_what_is_too_faint_is_found_where_two_sightings_lead_to_one_place():
    fold = Faint(least=0.7).followed(whole(0, 1, 2), SETTINGS)[2]
    assert len(fold.observations.parcel_id) == 24
    assert (fold.observations.source_pass == 1).all()
    # Both that led there are kept, those of the earlier sighting too.
    assert [(one.source_pass, len(one.parcel_id)) for one in fold.pairs] == [(0, 24), (1, 24)]
    assert all(one.vectors.tracked.all() for one in fold.pairs)


def test_what_is_too_faint_is_not_found_where_they_lead_to_two():
    folds = Faint(off=2_000.0, least=0.7).followed(whole(0, 1, 2), SETTINGS)
    assert folds[2].missed.tolist() == [parcel(folds[1])]
    assert len(folds[2].observations.parcel_id) == 23
    vectors = next(one for one in folds[2].pairs if one.source_pass == 1).vectors
    assert vectors.status[~vectors.tracked].tolist() == [Status.LOW_CORRELATION]
    near = Faint(off=1_000.0, least=0.7).followed(whole(0, 1, 2), SETTINGS)[2]
    assert len(near.missed) == 0


@pytest.mark.parametrize(
    ("least", "settings"),
    [(0.6, SETTINGS), (1.0, SETTINGS.model_copy(update={"faint_correlation": 1.0}))],
    ids=["too faint for that too", "nobody is asked"],
)
def test_what_is_fainter_still_is_missed(least, settings):
    ice = Faint(least=least) if least < 1 else Faint(least=0.99)
    fold = ice.followed(whole(0, 1, 2), settings)[2]
    assert len(fold.missed) == 24
    assert [one.source_pass for one in fold.pairs] == [1]


def test_a_faint_parcel_that_was_seen_once_has_no_second_sighting_to_ask():
    fold = Faint(least=0.7).followed([See(0, WEST), See(1, WHOLE), See(2, WHOLE)], SETTINGS)[2]
    assert 0 < len(fold.missed) < 24
    assert (fold.observations.xy[:, 0] < 14_000).all()


@pytest.mark.parametrize(
    ("gone", "expected"), [(0.0, 0.1), (0.03, 0.1), (0.04, 0.2), (0.1, 0.2), (0.2, 0.4), (0.3, 0.6)]
)
def test_not_all_that_ice_could_do_is_searched_from_long_before(gone, expected):
    assert speed_to_search(gone, 0.6) == pytest.approx(expected)
    assert speed_to_search(gone, 0.6) >= min(0.6, 1.5 * gone + 0.05) - 1e-12


@dataclass
class Disowned(Torn):
    """The parcel is not known again from its first sighting, of which two peaks are seen."""

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        at = (np.hypot(*(xy - PLACE).T) < 100) & (source == 0) & (target == 2)
        status = np.where(at, Status.TWO_PEAKS, vectors.status).astype(np.int8)
        return replace(vectors, status=status, xy1=np.where(at[:, None], np.nan, vectors.xy1))


@pytest.mark.parametrize(("day", "believed"), [(1.9, True), (2.1, False)])
def test_a_witness_says_nothing_that_is_more_than_twice_as_old_as_the_last_sighting(day, believed):
    """The witness is of day 0, the last sighting of day 1."""
    ice = Disowned(wrong_within=0.0)
    folds = ice.followed(whole(0, 1), SETTINGS)
    own = parcel(folds[1])
    fold = ice.fold(folds[1].parcels, 2, See(day, WHOLE), [stream()], SETTINGS, 1000)
    assert fold.missed.tolist() == ([] if believed else [own])


def test_those_of_one_pass_are_looked_for_as_fast_as_the_fastest_of_them():
    asked = []

    def match(requests):
        asked.extend(requests)
        return [nothing_seen(one.xy) for one in requests]

    xy = np.array([[0.0, 0.0], [1e4, 0.0], [2e4, 0.0]])
    earlier = PastSightings(np.array([0, 0, 1], np.int32), xy, np.full(3, T0))
    ends = xy + np.array([[0.0, 0.0], [0.1 * DAY, 0.0], [0.0, 0.0]])
    see = See(1, WHOLE)
    view = View(see.image(), 2, see.start, [stream()], SETTINGS, 0.6)
    parts = [part.tolist() for part, _, _ in matched_from(earlier, np.arange(3), ends, view, match)]
    assert parts == [[0, 1], [2]]
    assert [(one.source_pass, one.max_speed) for one in asked] == [
        (0, pytest.approx(0.2)),
        (1, pytest.approx(0.1)),
    ]


def test_the_last_sighting_is_not_compared_with_itself():
    settings = SETTINGS.model_copy(update={"closure_days": 1.0})
    folds = Ice(velocity=(0.0, 0.0)).followed(whole(0, 1, 2), settings)
    # From its birth, from which it is followed anyway: one match, and nothing to compare.
    assert [pair.source_pass for pair in folds[1].pairs] == [0]
    assert np.isnan(folds[1].observations.closure).all()
    assert [pair.source_pass for pair in folds[2].pairs] == [0, 1]


@dataclass
class Turning(Ice):
    """Ice at rest that the older template sees turn otherwise, and correlate otherwise."""

    velocity: tuple[float, float] = (0.0, 0.0)

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        days = self.passes[target].day - self.passes[source].day
        values = {"rotation": 1.5 * days, "mcc": 0.9 - 0.1 * days, "peak_ratio": 0.2 * days}
        whole = {name: np.full(len(xy), value) for name, value in values.items()}
        return replace(vectors, first_guess_rotation=whole["rotation"], **whole)


def test_where_the_older_template_holds_all_its_measures_do():
    settings = SETTINGS.model_copy(update={"closure_days": 2.0})
    seen = Turning().followed(whole(0, 1, 2), settings)[2].observations
    assert set(seen.source_pass.tolist()) == {0}
    np.testing.assert_allclose(seen.rotation, 3.0)
    np.testing.assert_allclose(seen.mcc, 0.7)
    np.testing.assert_allclose(seen.peak_ratio, 0.4)


def asked_and_foreseen(ice, index):
    """What a pass asked of earlier sightings, and what of that was foreseen."""
    asked = [one for target, one in ice.asked if target == index][1:]
    foreseen = [one for target, one in ice.foreseen if target == index]
    return asked, [one for one in foreseen if any(same_question(one, other) for other in asked)]


def test_what_is_asked_of_earlier_sightings_is_foreseen_where_all_holds():
    ice = Torn(wrong_within=0.0)
    ice.followed(whole(0, 1, 2, 3, 4, 5), SETTINGS)
    counts = []
    for index in range(6):
        asked, foreseen = asked_and_foreseen(ice, index)
        assert len(asked) == len(foreseen) == len([0 for one, _ in ice.foreseen if one == index])
        assert all(same_question(*both) for both in zip(asked, foreseen, strict=True))
        counts.append(len(asked))
    # Witnesses from the third pass on, and a check of the births after three days.
    assert counts == [0, 0, 1, 2, 1, 1]


def test_who_is_refused_changes_what_was_foreseen():
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=2)
    ice = Torn()
    ice.followed(whole(0, 1, 2), settings)
    asked, foreseen = asked_and_foreseen(ice, 2)
    assert [len(one.xy) for one in asked] == [24, 23]
    assert {len(one.xy) for one in foreseen} == {24}


@pytest.mark.parametrize(("hidden", "foreseen"), [(False, [24]), (True, [])])
def test_a_reference_of_which_a_parcel_is_missing_is_not_foreseen(hidden, foreseen):
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=2, confirm_doubt=100)
    ice = Torn(wrong_within=0.0)
    parcels = ice.followed(whole(0, 1), settings)[1].parcels
    if hidden:
        ice.hidden = ((19_500.0, 9_500.0, 20_500.0, 10_500.0),)
    ice.fold(parcels, 2, See(2, WHOLE), [stream()], settings, 1000)
    assert [len(one.xy) for _, one in ice.foreseen] == foreseen
    checked = [one for index, one in ice.asked if index == 2][-1]
    assert (checked.source_pass, len(checked.xy)) == (0, 23 if hidden else 24)


@dataclass
class Unsure(Ice):
    """Ice at rest where the error of one parcel is too large, when it is set."""

    velocity: tuple[float, float] = (0.0, 0.0)
    error: float = 0.0

    def match(self, source, target, xy):
        vectors = super().match(source, target, xy)
        at = np.hypot(*(xy - PLACE).T) < 100
        return replace(
            vectors,
            covariance=vectors.covariance + self.error**2 * at[:, None, None] * np.eye(2),
        )


@pytest.mark.parametrize(("error", "foreseen"), [(0.0, [24]), (600.0, [])])
def test_nor_one_of_which_a_parcel_is_seen_but_not_surely(error, foreseen):
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=2)
    ice = Unsure()
    parcels = ice.followed(whole(0, 1), settings)[1].parcels
    ice.error = error
    ice.fold(parcels, 2, See(2, WHOLE), [stream()], settings, 1000)
    assert [len(one.xy) for _, one in ice.foreseen] == foreseen


def test_parcels_of_several_sources_are_foreseen_in_the_order_in_which_they_are_asked():
    settings = ParcelSettings(birth_margin=0, reseed=False, closure_days=2.5)
    ice = Ice(velocity=(0.0, 0.0))
    east = (16_000.0, *WHOLE[1:])
    folds = ice.followed([See(0, WHOLE), See(1, WEST), See(2, east), See(3, WHOLE)], settings)
    assert [pair.source_pass for pair in folds[3].pairs] == [0, 1, 2]
    asked = [one for index, one in ice.asked if index == 3][-1]
    ((_, foreseen),) = ice.foreseen
    assert len(asked.xy) == 24
    assert same_question(foreseen, asked)
