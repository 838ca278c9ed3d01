"""Whatever happens in whatever order of rows: ids keep their values, none doubles, none revives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lagrangian_ice.parcels import transitions as t
from lagrangian_ice.parcels.population import EndReason, State

COUNT = 8
SEEDS = st.integers(0, 2**32 - 1)
ACTS = st.lists(
    st.tuples(st.sampled_from(["observed", "missed", "ended", "shuffle"]), SEEDS), max_size=12
)


def some_of(rng, ids):
    return rng.permutation(ids)[: rng.integers(0, len(ids) + 1)]


@settings(max_examples=60)
@given(acts=ACTS, seed=SEEDS)
def test_a_population_behaves_like_one_record_per_id(acts, seed):
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(1000, COUNT, replace=False))
    parcels = t.planted(ids, 0, ids % 7, ids % 5, 1e4)
    parcels = t.born(parcels, ids, ids * 1.0, 0)
    truth = {int(i): {"xy": (i % 5 * 1e4, i % 7 * 1e4), "state": State.ALIVE} for i in ids}
    for number, (act, salt) in enumerate(acts, start=1):
        rng = np.random.default_rng(salt)
        if act == "shuffle":
            parcels = parcels.take(rng.permutation(len(parcels)))
            continue
        living = np.array([i for i, one in truth.items() if one["state"] != State.ENDED], int)
        chosen = some_of(rng, living)
        if act == "observed":
            # The place tells whose it is, so a swap would show.
            xy = np.stack([chosen * 100.0 + number, -chosen * 3.0], axis=-1)
            time = chosen + number * 1000.0
            parcels = t.observed(parcels, chosen, xy, time, np.zeros((len(xy), 2, 2)), number)
            for i, place in zip(chosen.tolist(), xy.tolist(), strict=True):
                truth[i] = {"xy": tuple(place), "state": State.ALIVE}
        elif act == "missed":
            parcels = t.missed(parcels, chosen)
            for i in chosen.tolist():
                truth[i]["state"] = State.DORMANT
        else:
            parcels = t.ended(parcels, chosen, EndReason.LOST)
            for i in chosen.tolist():
                truth[i]["state"] = State.ENDED
    assert len(np.unique(parcels.parcel_id)) == len(parcels) == COUNT
    for i, xy, state in zip(parcels.parcel_id, parcels.xy, parcels.state, strict=True):
        assert truth[int(i)] == {"xy": tuple(xy), "state": state}


@settings(max_examples=60)
@given(seed=SEEDS)
def test_merging_does_not_depend_on_the_order_of_rows(seed):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(20).astype(np.int64)
    xy = rng.uniform(0, 10_000, (20, 2))
    streams = rng.integers(0, 2, 20).astype(np.int32)
    gone = t.merging(ids, streams, xy, 2000.0)
    order = rng.permutation(20)
    assert t.merging(ids[order], streams[order], xy[order], 2000.0).tolist() == gone.tolist()
    left = ~np.isin(ids, gone)
    assert len(t.merging(ids[left], streams[left], xy[left], 2000.0)) == 0
