"""Parts of the state: each is whole by itself, and parts that meet hold everything once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from product_frames import DAY, HEADER, START, make_frames, records_of

from lagrangian_ice.output.products import write_products
from lagrangian_ice.output.reading import read_trajectories
from lagrangian_ice.times import ALWAYS, Window
from lagrangian_ice.workflow.products import _excerpt, _Part

SECOND = START + 2 * DAY + 3630.0
"""Mean time of the third pass."""


pytestmark = pytest.mark.usefixtures("straight_coast")


@pytest.fixture(scope="module")
def frames():
    """Passes of 20 s in which parcels are seen; they do not count from 0, as none here does."""
    made = make_frames()
    passes = made.passes.assign(
        pass_index=made.passes["pass_index"] + 10,
        start=made.passes["time"] - 5.0,
        stop=made.passes["time"] + 15.0,
    )
    observations = made.observations.assign(
        pass_index=made.observations["pass_index"] + 10,
        source_pass_index=made.observations["source_pass_index"].map(
            lambda index: index + 10 if index >= 0 else -1
        ),
    )
    ends = ["source_pass_index", "target_pass_index"]
    pairs = made.pairs.assign(**{name: made.pairs[name] + 10 for name in ends})
    return replace(made, passes=passes, observations=observations, pairs=pairs)


def excerpt(frames, window, kinds=("LP",), lead=0.0, stream=None):
    return _excerpt(records_of(frames, window), _Part(kinds, window, lead), stream)


@pytest.mark.parametrize("later", [-1.0, 3.0])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_cut_within_a_pass_both_parts_are_whole(frames, tmp_path, number, later):
    """Before or after its mean time; the pass that its parcels came from is in either."""
    cut = START + number * DAY + 3630.0 + later
    parts = []
    for name, window in (("before", Window(end=cut)), ("after", Window(start=cut))):
        records = excerpt(frames, window)
        (path,) = write_products(tmp_path / name, HEADER, records, ["LP"], window)
        parts.append(read_trajectories(path))
        with xr.open_dataset(path, decode_times=False) as dataset:
            source = dataset["source_image_index"].to_numpy()
            image = dataset["image_index"].to_numpy()
            times = dataset["image_time"].to_numpy()
            known = np.isfinite(source) & (source >= 0)
            seen, came = image[known].astype(int), source[known].astype(int)
            np.testing.assert_allclose(times[seen] - times[came], DAY, rtol=0, atol=1e-3)
            np.testing.assert_array_equal(
                dataset["n_obs"], np.isfinite(dataset["time"]).sum(dim="obs")
            )
    both = pd.concat(parts).sort_values(["parcel_id", "time"], ignore_index=True)
    assert (parts[0]["time"] < cut).all()
    assert (parts[1]["time"] >= cut).all()
    np.testing.assert_array_equal(both["parcel_id"], frames.observations["parcel_id"])
    np.testing.assert_allclose(both["time"], frames.observations["time"], rtol=0, atol=1e-3)


def test_pairs_and_vectors_are_those_that_end_inside(frames):
    window = Window(SECOND - 60, SECOND + 60)
    found = excerpt(frames, window, ["PD"])
    assert found.pairs["target_pass_index"].tolist() == [12]
    vectors = pd.concat(list(found.vectors(0)))
    assert set(vectors["pair_index"]) == {1}
    # the lost ones too
    assert len(vectors) == (frames.vectors["pair_index"] == 1).sum()
    assert set(found.passes["pass_index"]) == {11, 12}


def test_whole_passes_are_chosen_by_their_mean_time(frames):
    window = Window(SECOND + 1, SECOND + DAY + 1)
    found = excerpt(frames, window, ["DP"], lead=DAY)
    assert set(pd.concat(list(found.observations(0)))["pass_index"]) == {12, 13}
    assert set(excerpt(frames, window).passes["pass_index"]) >= {12, 13}


def of_two_streams(frames, last_of_second):
    """Every second parcel is of stream b, which no pass after the given one sees."""
    parcels = frames.parcels.assign(stream=[0, 1] * 32)
    records = records_of(replace(frames, parcels=parcels))

    def own(stream):
        ids = parcels.loc[parcels["stream"] == stream, "parcel_id"]
        rows = frames.observations[frames.observations["parcel_id"].isin(ids)]
        yield rows[rows["pass_index"] <= last_of_second] if stream else rows

    return replace(records, observations=own)


def test_one_stream_alone(frames):
    records = of_two_streams(frames, 14)
    found = _excerpt(records, _Part(["LP"], ALWAYS), 1)
    assert set(found.parcels["stream"]) == {1}
    assert len(_excerpt(records, _Part(["LP"], ALWAYS), None).parcels) == 64


@pytest.mark.parametrize("lead", [0.0, 3 * DAY])
def test_a_stream_that_ended_before_has_nothing_to_be_written(frames, lead):
    """Though what is computed at the beginning of the window needs what was before it."""
    window = Window(START + 3 * DAY)
    part = _Part(["DP"], window, lead)
    records = of_two_streams(frames, 12)
    assert _excerpt(records, part, 1).parcels.empty
    assert set(_excerpt(records, part, None).parcels["stream"]) == {0}


@pytest.mark.parametrize(
    ("start", "lead", "nothing"),
    [
        (SECOND - 1, DAY, False),
        # a patch may begin before the window, but none ends in it
        (START + 4 * DAY + 4000, 4 * DAY, True),
        (START + 4 * DAY + 4000, 0.0, True),
        (START + 4 * DAY + 3630 + 5, 0.0, False),
    ],
)
def test_nothing_is_held_where_nothing_ends(frames, start, lead, nothing):
    assert excerpt(frames, Window(start), lead=lead).parcels.empty == nothing
