"""Three templates of one parcel: the last sighting (pass 2), the one before it, and its birth."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from drifting_ice import WHOLE, Ice, See, planted, stream

from lagrangian_ice.matching.vectors import Status, Vectors
from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.fold import Fold
from lagrangian_ice.parcels.population import State
from lagrangian_ice.settings import ParcelSettings

PLACE = np.array([20_000.0, 10_000.0])
# No sighting is old enough to be compared with; the references stay witnesses.
SETTINGS = ParcelSettings(birth_margin=0, reseed=False, closure_days=10)
BIRTH, BEFORE, LAST, NOW = range(4)


@dataclass(frozen=True)
class Says:
    """What a template says of where the parcel is: how far off (m), and how sure it is (m)."""

    off: float = 0.0
    sigma: float = 30.0
    strain: float = 0.0
    status: Status = Status.TRACKED
    asked_less: Status | None = None


SURE, UNSURE = Says(), Says(sigma=600.0)
OTHER, NEAR, FARTHER = Says(off=2_000.0), Says(off=450.0), Says(off=600.0)
TORN, STRAINED = Says(sigma=300.0, strain=0.5), Says(sigma=300.0, strain=0.25)
NOTHING = Says(status=Status.TWO_MOTIONS)
FAINT = Says(status=Status.LOW_CORRELATION, asked_less=Status.TRACKED)


@dataclass
class Told(Ice):
    """Ice at rest; of one parcel each template says something of its own in the last pass."""

    velocity: tuple[float, float] = (0.0, 0.0)
    says: dict[int, Says] = field(default_factory=dict)
    asked: list[tuple[int, float, int]] = field(default_factory=list)

    def answer(self, one, target):
        vectors = self.match(one.source_pass, target, one.xy)
        at = np.hypot(*(one.xy - PLACE).T) < 100
        if target != NOW or not at.any():
            return vectors
        self.asked.append((one.source_pass, one.correlation, len(one.xy)))
        return told(vectors, at, self.says[one.source_pass], one.correlation)


def told(vectors: Vectors, at: np.ndarray, says: Says, correlation: float) -> Vectors:
    status = says.status if correlation == 1 or says.asked_less is None else says.asked_less
    here = vectors.take(at)
    end, covariance = here.xy1 + np.array([says.off, 0.0]), says.sigma**2 * np.eye(2)[None]
    if status != Status.TRACKED:
        end, covariance = np.full_like(end, np.nan), np.full_like(covariance, np.nan)
    codes = np.full(len(here), status, np.int8)
    strain = here.strain + says.strain
    return vectors.put(
        at, replace(here, status=codes, xy1=end, covariance=covariance, strain=strain)
    )


def followed(ice: Told, settings: ParcelSettings = SETTINGS) -> Fold:
    """Fold of the last of four daily passes."""
    return ice.followed([See(day, WHOLE) for day in (BIRTH, BEFORE, LAST, NOW)], settings)[-1]


def source_and_place(fold: Fold) -> tuple[int, float] | None:
    """From which pass the parcel was found, and how far off; None if it was missed."""
    seen = fold.observations
    at = np.hypot(*(seen.xy - PLACE).T) < 5_000
    if not at.any():
        return None
    return int(seen.source_pass[at][0]), float(seen.xy[at][0, 0] - PLACE[0])


@pytest.mark.parametrize(
    ("last", "before", "birth", "found"),
    [
        (UNSURE, SURE, NOTHING, (BEFORE, 0.0)),
        (UNSURE, NEAR, NOTHING, (BEFORE, 450.0)),
        (UNSURE, FARTHER, NOTHING, None),
        (UNSURE, UNSURE, UNSURE, None),
        (UNSURE, OTHER, SURE, (BIRTH, 0.0)),
        (UNSURE, OTHER, NOTHING, None),
        (UNSURE, OTHER, OTHER, (BEFORE, 2000.0)),
        (UNSURE, TORN, SURE, (BIRTH, 0.0)),
        (TORN, SURE, NOTHING, None),
        (STRAINED, SURE, NOTHING, (BEFORE, 0.0)),
        (FAINT, SURE, NOTHING, (LAST, 0.0)),
        (FAINT, FARTHER, NOTHING, (LAST, 0.0)),
        (FAINT, OTHER, NOTHING, None),
        (FAINT, FAINT, NOTHING, (LAST, 0.0)),
        (FAINT, NOTHING, NOTHING, None),
        (FAINT, NOTHING, FAINT, (LAST, 0.0)),
        (NOTHING, SURE, SURE, None),
    ],
)
def test_found_where_two_sightings_lead_and_one_is_sure(last, before, birth, found):
    ice = Told(says={LAST: last, BEFORE: before, BIRTH: birth})
    fold = followed(ice)
    assert source_and_place(fold) == found
    assert len(fold.missed) == (found is None)


def test_who_is_not_shown_is_not_looked_for():
    ice = Told(says={LAST: Says(status=Status.TOO_LITTLE_DATA), BEFORE: SURE, BIRTH: SURE})
    fold = followed(ice)
    assert source_and_place(fold) is None
    assert len(fold.missed) == 0


def test_who_is_sure_or_hopeless_is_not_asked_for():
    ice = Told(says={LAST: SURE, BEFORE: SURE, BIRTH: SURE})
    followed(ice)
    assert [source for source, _, _ in ice.asked] == [LAST]
    ice = Told(says={LAST: NOTHING, BEFORE: NOTHING, BIRTH: SURE})
    followed(ice)
    assert [source for source, _, _ in ice.asked] == [LAST]
    ice = Told(says={LAST: UNSURE, BEFORE: SURE, BIRTH: SURE})
    followed(ice)
    assert [source for source, _, _ in ice.asked] == [LAST, BEFORE]


def test_only_the_parcel_is_asked_for_and_less_where_it_is_faint():
    ice = Told(says={LAST: FAINT, BEFORE: NOTHING, BIRTH: FAINT})
    followed(ice)
    assert ice.asked == [(LAST, 1.0, 24), (LAST, 0.7, 1), (BEFORE, 0.7, 1), (BIRTH, 0.7, 1)]


def test_every_vector_of_the_parcel_is_kept_and_one_holds():
    ice = Told(says={LAST: UNSURE, BEFORE: OTHER, BIRTH: SURE})
    fold = followed(ice)
    by_source = {}
    for pair in fold.pairs:
        by_source.setdefault(pair.source_pass, []).extend(pair.parcel_id.tolist())
    elsewhere = next(pair for pair in fold.pairs if pair.source_pass == BEFORE)
    assert elsewhere.vectors.status.tolist() == [Status.OUTLIER]
    wanted = fold.observations.parcel_id[fold.observations.source_pass == BIRTH].tolist()
    assert by_source[BIRTH] == by_source[BEFORE] == wanted
    assert sorted(by_source[LAST]) == fold.observations.parcel_id.tolist()
    row = t.rows_of(fold.parcels, np.array(wanted))
    assert fold.parcels.state[row] == State.ALIVE
    assert fold.parcels.pass_index[row] == NOW


def test_one_template_is_enough_to_miss_a_parcel_that_was_seen_once():
    ice = Told(says={BIRTH: UNSURE})
    born = ice.fold(planted(WHOLE), BIRTH, See(0, WHOLE), [stream()], SETTINGS, 1000).parcels
    fold = ice.fold(born, NOW, See(1, WHOLE), [stream()], SETTINGS, 1000)
    assert len(fold.missed) == 1
    assert len(ice.asked) == 1


def test_none_is_found_so_where_that_is_switched_off():
    ice = Told(says={LAST: UNSURE, BEFORE: SURE, BIRTH: SURE})
    fold = followed(ice, SETTINGS.model_copy(update={"faint_correlation": 1.0}))
    assert source_and_place(fold) is None


def test_who_is_not_faint_is_looked_for_with_no_less_correlation():
    ice = Told(says={LAST: UNSURE, BEFORE: OTHER, BIRTH: SURE})
    followed(ice)
    assert ice.asked == [(LAST, 1.0, 24), (BEFORE, 1.0, 1), (BIRTH, 1.0, 1)]


def test_of_who_is_not_found_no_other_vector_is_kept():
    ice = Told(says={LAST: UNSURE, BEFORE: OTHER, BIRTH: NOTHING})
    fold = followed(ice)
    assert source_and_place(fold) is None
    assert [pair.source_pass for pair in fold.pairs] == [LAST]


def test_a_lead_of_much_doubt_is_no_second_one_even_if_it_is_older():
    off = Says(off=2_000.0, sigma=600.0)
    fold = followed(Told(says={LAST: off, BEFORE: SURE, BIRTH: TORN}))
    assert source_and_place(fold) is None
    # With less doubt it would have been one.
    fold = followed(Told(says={LAST: off, BEFORE: SURE, BIRTH: SURE}))
    assert source_and_place(fold) == (BEFORE, 0.0)


@dataclass
class Fading(Ice):
    """Ice at rest, to be found in the last pass only where less correlation is asked for."""

    velocity: tuple[float, float] = (0.0, 0.0)

    def answer(self, one, target):
        vectors = super().answer(one, target)
        if target != 2 or one.correlation < 1:
            # The place tells whose vector it is.
            return replace(vectors, mcc=0.5 + one.xy.sum(axis=1) / 1e6)
        status = np.full(len(vectors), Status.LOW_CORRELATION, np.int8)
        return replace(vectors.without(vectors.tracked), status=status)


def test_found_twice_or_not_nothing_depends_on_the_order_of_rows():
    folds = Fading().followed([See(day, WHOLE) for day in (0, 1)], SETTINGS)
    parcels = folds[-1].parcels
    shuffled = parcels.take(np.random.default_rng(3).permutation(len(parcels)))
    passes = {0: See(0, WHOLE), 1: See(1, WHOLE)}
    first, second = (
        Fading(passes=dict(passes)).fold(some, 2, See(2, WHOLE), [stream()], SETTINGS, 1000)
        for some in (parcels, shuffled)
    )
    assert len(first.observations.parcel_id) == 24
    for name in vars(first.observations):
        np.testing.assert_array_equal(
            getattr(first.observations, name), getattr(second.observations, name)
        )
    np.testing.assert_allclose(
        second.observations.mcc, 0.5 + second.observations.xy.sum(axis=1) / 1e6
    )
    # Those of the earlier sighting are in order too.
    answers = [next(one for one in fold.pairs if one.source_pass == 0) for fold in (first, second)]
    np.testing.assert_array_equal(answers[0].parcel_id, answers[1].parcel_id)


def test_who_is_found_from_an_earlier_pass_stands_among_those_that_were_seen_in_it_last():
    ice = Told(says={LAST: UNSURE, BEFORE: SURE, BIRTH: NOTHING})
    west = (-1_000.0, -1_000.0, 24_000.0, 31_000.0)
    sees = [See(0, WHOLE), See(1, WHOLE), See(2, west), See(3, WHOLE)]
    fold = ice.followed(sees, SETTINGS)[-1]
    before = next(pair for pair in fold.pairs if pair.source_pass == BEFORE)
    found = fold.observations.parcel_id[fold.observations.source_pass == BEFORE]
    assert len(found) == 13
    np.testing.assert_array_equal(before.parcel_id, found)
