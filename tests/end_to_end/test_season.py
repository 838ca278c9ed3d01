"""Seed and advance as cron would: divided, killed, late, broken; the records stay the same."""

import json
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import small_archive as small
import xarray as xr

import lagrangian_ice as li
from lagrangian_ice.cli import run
from lagrangian_ice.cli.common import changed
from lagrangian_ice.errors import ProductError
from lagrangian_ice.matching.vectors import Status
from lagrangian_ice.parcels import store
from lagrangian_ice.settings import Settings
from lagrangian_ice.workflow.ahead import Ahead

DAYS = 4


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("season") / "scenes"
    small.write_archive(folder)
    return folder


@pytest.fixture(autouse=True)
def known_motion(monkeypatch):
    small.tell_motion(monkeypatch)


@pytest.fixture(scope="module")
def straight(archive, tmp_path_factory):
    """The undisturbed run."""
    return small.undisturbed(
        small.seeded(tmp_path_factory.mktemp("straight") / "ws", archive), DAYS
    )


@pytest.fixture
def fresh(archive, straight, tmp_path):
    return small.seeded(tmp_path / "ws", archive, straight / "cache")


def test_the_season_is_tracked(straight):
    population = li.open_workspace(straight)
    status = population.status()
    assert status["passes_done"] == 7
    assert status["passes_waiting"] == status["passes_failed"] == 0
    assert status["processed_until"] == "2021-01-05T00:00:00.000Z"
    assert status["parcels"]["alive"] > 50
    assert status["parcels"]["dormant"] > 3
    seen = population.observations()
    assert seen["parcel_id"].nunique() == (population.parcels["n_obs"] > 0).sum()
    assert (seen.groupby("parcel_id")["time"].diff().dropna() >= 12 * 3600 - 60).all()
    assert seen.groupby("parcel_id").size().max() >= 4
    # Found by less correlation than is asked for, because two sightings led there.
    assert (seen["mcc"] == small.FAINTEST).sum() > 3
    (path,) = (straight / "products").glob("*_LP.nc")
    with xr.open_dataset(path) as dataset:
        assert int(dataset["n_obs"].sum()) == len(seen)
    with li.open_trajectories(path) as dataset:
        assert dataset.sizes["trajectory"] == seen["parcel_id"].nunique()


@pytest.mark.parametrize("parts", [(1, 3), (1, 1, 1, 1), (0.5, 2.9, 0.6)])
def test_it_does_not_matter_how_the_days_are_divided(straight, fresh, parts):
    for days in parts:
        assert small.command(fresh, "advance", "--days", days) == 0
    small.assert_same_products(straight, fresh)


def test_until_is_days_from_the_clock(straight, fresh):
    assert small.command(fresh, "advance", "--until", "2021-01-05") == 0
    small.assert_same_products(straight, fresh)


def test_an_excerpt_has_all_that_ends_in_it_and_its_own_name(straight, tmp_path):
    window = ("--start", "2021-01-03", "--end", "2021-01-05")
    kinds = "trajectories,deformation,pairs"
    out = tmp_path / "out"
    assert small.command(straight, "export", "--format", kinds, *window, "--out", out) == 0
    stem = "lagrangian_ice_a_20210103_20210104_v0.1.0"
    names = [f"{stem}_{kind}.nc" for kind in ("DP", "LP", "PD")]
    assert sorted(path.name for path in out.iterdir()) == names
    (season,) = (straight / "products").glob("*_LP.nc")
    assert run(["deform", str(season), *window, "--out", str(tmp_path / "DP.nc")]) == 0
    with xr.open_dataset(out / names[0]) as found, xr.open_dataset(tmp_path / "DP.nc") as asked:
        assert found.attrs["id"] == names[0].removesuffix(".nc")
        assert found.sizes["face"] == asked.sizes["face"] > 20
        assert (found["time_start"] < np.datetime64("2021-01-03")).any()
        for name in ("divergence", "x", "dx", "trajectory"):
            np.testing.assert_array_equal(found[name], asked[name])
    begin = np.datetime64("2021-01-03")
    with xr.open_dataset(out / names[1]) as dataset:
        assert not (dataset["time"] < begin).any()
        assert dataset["n_obs"].min() >= 1
        assert (dataset["birth_time"] < begin).any()
    with xr.open_dataset(out / names[2]) as dataset:
        ends = dataset["image_time"].values[dataset["pair_target_image"].values]
        assert (ends >= begin).all()
        assert set(dataset["pair_index"].values) == set(range(dataset.sizes["pair"]))


@pytest.mark.parametrize("later", [-1.0, 1.0])
def test_two_excerpts_hold_what_is_seen_in_a_pass_once(straight, tmp_path, later):
    """They are cut between its two frames, before or after its mean time."""
    (season,) = (straight / "products").glob("*_LP.nc")
    with xr.open_dataset(season) as dataset:
        means = dataset["image_time"].values
        seen = dataset["time"].values[dataset["image_index"].values == 2]
    cut = means[2] + np.timedelta64(int(later * 1e9), "ns")
    assert (seen < cut).any()
    assert (seen >= cut).any()
    found = {name: [] for name in ("LP", "DP", "PD")}
    kinds = "trajectories,deformation,pairs"
    for side in ("--end", "--start"):
        out = tmp_path / side
        words = ("--format", kinds, side, str(cut), "--out", out)
        assert small.command(straight, "export", *words) == 0
        for path in out.iterdir():
            found[path.name[-5:-3]].append(path)
    for kind, key in (("LP", "time"), ("DP", "divergence"), ("PD", "mcc")):
        whole = _sorted(key, *(straight / "products").glob(f"*_{kind}.nc"))
        np.testing.assert_array_equal(_sorted(key, *found[kind]), whole, err_msg=kind)


def _sorted(key, *paths):
    """All values of a variable of some products."""
    parts = []
    for path in paths:
        with xr.open_dataset(path) as dataset:
            parts.append(dataset[key].values.ravel())
    values = np.concatenate(parts)
    return np.sort(values[~np.isnan(values)])


@pytest.mark.parametrize(
    ("formats", "start", "fault"),
    [("mojito,pairs", "2021-01-03", "no room"), ("nextsim-rgps,pairs", "2021-01-03T00:30", "hour")],
)
def test_an_export_of_both_kinds_that_fails_leaves_nothing(
    straight, tmp_path, monkeypatch, capsys, formats, start, fault
):
    def full(*_):
        raise ProductError("no room")

    if fault == "no room":
        monkeypatch.setattr("lagrangian_ice.output.products.write_pairs", full)
    out = tmp_path / "out"
    assert small.command(straight, "export", "--format", formats, "--start", start, "--out", out)
    assert fault in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_an_export_of_both_kinds(straight, tmp_path, capsys):
    out = tmp_path / "out"
    assert small.command(straight, "export", "--format", "mojito,pairs", "--out", out) == 0
    told = [line.removeprefix("wrote ") for line in capsys.readouterr().out.splitlines()]
    assert sorted(told) == sorted(str(path) for path in out.iterdir())
    assert len(told) == 2


STORE = "lagrangian_ice.parcels.store.Store"
PREPARE = "lagrangian_ice.parcels.prepare"
FIELDS = "lagrangian_ice.parcels.fields"
KEPT = "lagrangian_ice.parcels.kept"
PLACES = [
    (f"{STORE}._insert", 2, True),
    (f"{STORE}._insert", 7, False),
    (f"{STORE}._insert", 19, True),
    (f"{STORE}._insert_pass", 4, False),
    (f"{STORE}.add_fold", 1, False),
    (f"{STORE}.add_fold", 7, True),
    (f"{STORE}.add_lost", 1, False),
    (f"{STORE}.set_clock", 1, True),
    ("lagrangian_ice.output.products.write_pairs", 1, True),
    (f"{PREPARE}._save", 1, False),
    (f"{FIELDS}._save", 2, True),
    (f"{KEPT}.np.savez", 1, False),
    (f"{KEPT}.np.savez", 3, False),
]


@pytest.mark.parametrize(("place", "count", "before"), PLACES)
def test_killed_anywhere_and_started_again_it_ends_the_same(
    straight, archive, tmp_path, place, count, before
):
    cache = None if place.startswith((PREPARE, FIELDS, KEPT)) else straight / "cache"
    workspace = small.seeded(tmp_path / "ws", archive, cache)
    small.killed(place, count, before, workspace, "advance", "--days", DAYS)
    assert small.command(workspace, "advance", "--days", DAYS) == 0
    small.assert_same_products(straight, workspace)
    assert [path for path in workspace.rglob("*") if path.name.endswith(".part")] == []


@pytest.mark.parametrize("place", [".", "products"])
def test_a_killed_export_into_the_workspace_stops_no_advance(straight, tmp_path, place):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    out = workspace / place
    export = ("export", "--format", "pairs", "--out", out)
    small.killed("lagrangian_ice.output.products.write_pairs", 1, False, workspace, *export)
    (left,) = out.glob(".export-*.part")
    fetched = workspace / ".S1A_scene.zip.part"
    fetched.write_text("half of a download")
    assert small.command(workspace, "advance", "--days", 1) == 0
    assert left.is_dir()
    assert fetched.exists()


def test_interrupted_by_the_keyboard_it_goes_on(straight, fresh, monkeypatch, capsys):
    add = store.Store.add_fold

    def interrupted(self, *args):
        add(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "add_fold", interrupted)
        assert small.command(fresh, "advance", "--days", DAYS) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert small.command(fresh, "advance", "--days", DAYS) == 0
    small.assert_same_products(straight, fresh)


def test_a_late_scene_is_reported_and_taken_in_by_a_rebuild(straight, archive, tmp_path, capsys):
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    late = sorted(scenes.glob("*20210102T16*.tif"))
    assert len(late) == 1
    aside = tmp_path / late[0].name
    shutil.move(late[0], aside)
    workspace = small.seeded(tmp_path / "ws", scenes, straight / "cache")
    assert small.command(workspace, "advance", "--days", DAYS) == 0
    shutil.move(aside, late[0])
    assert small.command(workspace, "scenes", "add", scenes) == 0
    assert li.open_workspace(workspace).status()["late_scenes"] == [late[0].stem]
    capsys.readouterr()
    assert small.command(workspace, "status") == 0
    date = "2021-01-02T16:00:00.000Z"
    assert f"rebuild --from {date}` takes it in" in capsys.readouterr().out
    assert small.command(workspace, "advance", "--days", 1) == 0
    assert f"rebuild --from {date}` takes them in" in capsys.readouterr().err
    assert small.command(workspace, "rebuild", "--from", date) == 0
    assert li.open_workspace(workspace).status()["late_scenes"] == []
    longer = small.seeded(tmp_path / "longer", archive, straight / "cache")
    assert small.command(longer, "advance", "--days", DAYS + 1) == 0
    small.assert_same_products(longer, workspace)


def test_a_date_from_which_no_scene_can_be_is_refused(straight, tmp_path, capsys):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    for words in (["advance"], ["rebuild", "--from", "2021-01-02"]):
        for date in ("2121-01-01", "9999-12-31"):
            capsys.readouterr()
            assert small.command(workspace, *words, "--until", date) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert date in line
    small.assert_same_products(straight, workspace)
    assert li.open_workspace(workspace).status() == {
        **li.open_workspace(straight).status(),
        "workspace": str(workspace),
    }


def test_what_went_too_far_is_taken_back(straight, tmp_path, capsys):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    assert small.command(workspace, "advance", "--until", "2021-12-01") == 0
    assert li.open_workspace(workspace).status()["parcels"]["alive"] == 0
    capsys.readouterr()
    assert small.command(workspace, "advance", "--until", "2021-01-05") == 1
    assert "rebuild --from DATE --until DATE" in capsys.readouterr().err
    back = ("rebuild", "--from", "2021-01-03", "--until")
    assert small.command(workspace, *back, "2021-01-02") == 1
    assert small.command(workspace, *back, "2021-01-04") == 0
    assert li.open_workspace(workspace).status()["rebuilding_until"] is None
    assert small.command(workspace, "advance", "--until", "2021-01-05") == 0
    small.assert_same_products(straight, workspace)


def test_a_rebuild_that_is_killed_goes_on(straight, archive, tmp_path):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    small.killed(f"{STORE}.add_fold", 2, False, workspace, "rebuild", "--from", "2021-01-02")
    assert li.open_workspace(workspace).status()["rebuilding_until"] is not None
    assert small.command(workspace, "rebuild", "--from", "2021-01-02") == 0
    small.assert_same_products(straight, workspace)
    assert li.open_workspace(workspace).status()["rebuilding_until"] is None


def test_a_scene_that_breaks_later_is_named_and_the_rest_goes_on(archive, tmp_path, capsys):
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    workspace = small.seeded(tmp_path / "ws", scenes)
    frame = sorted(scenes.glob("*20210102T05*.tif"))[1]
    whole = sorted(scenes.glob("*20210103T05*.tif"))[0]
    for path in (frame, whole):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
    capsys.readouterr()
    assert small.command(workspace, "advance", "--days", DAYS) == 3
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(path.stem in "".join(errors) for path in (frame, whole))
    status = li.open_workspace(workspace).status()
    assert status["passes_done"] == 6
    assert status["passes_failed"] == 1
    assert set(status["failed_scenes"]) == {frame.stem, whole.stem}
    assert small.command(workspace, "advance", "--days", 1) == 0


def test_two_workers_give_the_same(straight, archive, tmp_path):
    workspace = small.seeded(tmp_path / "ws", archive)
    assert small.command(workspace, "advance", "--days", DAYS, "--workers", 2) == 0
    small.assert_same_products(straight, workspace)
    kept = sorted((straight / "cache").glob("*.npz"))
    assert len([path for path in kept if not path.name.startswith("field-")]) == 7
    assert len(kept) > 7
    for path in kept:
        with np.load(path) as one, np.load(workspace / "cache" / path.name) as other:
            for name in one.files:
                np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_second_advance_at_once_is_refused(fresh, capsys):
    program = f"""
        from pathlib import Path
        from lagrangian_ice.parcels.schema import locked
        with locked(Path({str(fresh)!r})):
            print("held", flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        holder.stdout.readline()
        capsys.readouterr()
        assert small.command(fresh, "advance", "--days", 1) == 1
        assert capsys.readouterr().err.count("\n") == 1
        holder.communicate("\n")


def test_a_seed_at_the_end_of_the_calendar_is_one_line(archive, tmp_path, capsys):
    words = ("seed", "--date", "9999-12-31", "--scenes", archive)
    assert small.command(tmp_path / "ws", *words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no scene starts from 9999-12-31" in line
    assert not (tmp_path / "ws").exists()


def test_a_seed_remembers_what_it_read_of_scenes(fresh, archive, monkeypatch, capsys):
    """A new workspace had no folder yet when the cache was saved."""
    monkeypatch.delattr("lagrangian_ice.scenes.reader.open_geotiff")
    assert small.command(fresh, "scenes", "add", archive) == 0
    assert "0 scenes added, 8 known before" in capsys.readouterr().out


def test_a_second_seed_needs_a_new_stream(fresh, archive, capsys):
    assert small.command(fresh, "seed", "--date", "2021-01-02") == 1
    assert "--stream" in capsys.readouterr().err
    assert small.command(fresh, "advance", "--days", 1) == 0
    again = ("seed", "--date", "2021-01-02", "--stream", "--spacing", 5000, "--window-days", 1)
    assert small.command(fresh, *again) == 0
    assert small.command(fresh, "advance", "--days", 3) == 0
    names = sorted(path.name for path in (fresh / "products").iterdir())
    assert [name.split("_")[2] for name in names] == ["a"] * 3 + ["b"] * 3
    assert len(li.open_workspace(fresh).observations(1)) > 50


def test_a_second_seed_changes_no_settings_but_those_given(archive, tmp_path):
    """It took the defaults, and with them a pixel for which no template was made."""
    workspace, config = tmp_path / "ws", tmp_path / "c.toml"
    config.write_text("[images]\npixel = 300\n[mcc]\nhalf_width = 20\n")
    first = ("seed", "--date", "2021-01-01", "--scenes", archive, "--spacing", 8000)
    assert small.command(workspace, *first, "--config", config) == 0
    with store.Store(workspace) as state:
        kept = state.recalled_settings()
    assert (kept.images.pixel, kept.mcc.half_width, kept.parcels.spacing) == (300, 20, 8000)
    again = ("seed", "--date", "2021-01-02", "--stream")
    assert small.command(workspace, *again, "--window-days", 1) == 0
    with store.Store(workspace) as state:
        assert state.recalled_settings() == changed(kept, {"parcels.window_days": 1.0})
        assert [one.spacing for one in state.streams()] == [8000, 8000]
    config.write_text("[mcc]\nhalf_width = 18\n")
    assert small.command(workspace, *again, "--config", config, "--spacing", 9000) == 0
    with store.Store(workspace) as state:
        found = state.recalled_settings()
    given = {"images.pixel": 300.0, "mcc.half_width": 18, "parcels.spacing": 9000.0}
    assert found == changed(Settings(), given)


@pytest.mark.parametrize("date", ["2021-03-01", "2020-12-01"])
def test_a_date_without_scenes_changes_nothing(archive, tmp_path, capsys, date):
    workspace = tmp_path / "ws"
    assert small.command(workspace, "seed", "--date", date, "--scenes", archive) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not workspace.exists()
    assert small.command(workspace, "scenes", "add", archive) == 0
    before = (workspace / "lagrangian_ice.sqlite").read_bytes()
    assert small.command(workspace, "seed", "--date", date) == 1
    assert (workspace / "lagrangian_ice.sqlite").read_bytes() == before


def test_the_cache_keeps_within_its_limit(archive, straight, tmp_path):
    workspace = small.seeded(tmp_path / "ws", archive)
    assert small.command(workspace, "advance", "--days", DAYS, "--cache-gb", 0.005) == 0
    size = sum(path.stat().st_size for path in (workspace / "cache").glob("*.npz"))
    assert 0 < size < 0.005 * 2**30 * 2
    small.assert_same_products(straight, workspace)


def test_threads_give_the_same(straight, archive, tmp_path, monkeypatch):
    early = []

    def matched(self, pair, real=Ahead.matched):
        early.append(real(self, pair))
        return early[-1]

    monkeypatch.setattr(Ahead, "matched", matched)
    workspace = small.seeded(tmp_path / "ws", archive)
    words = ("advance", "--days", DAYS, "--workers", 2, "--threads")
    assert small.command(workspace, *words) == 0
    small.assert_same_products(straight, workspace)
    # Some pairs were matched before their passes came.
    assert [job for job in early if job is not None]


def test_a_dask_cluster_gives_the_same(straight, archive, tmp_path):
    distributed = pytest.importorskip("distributed")
    workspace = small.seeded(tmp_path / "ws", archive)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        words = ("--scheduler", cluster.scheduler_address)
        assert small.command(workspace, "advance", "--days", 2, *words) == 0
        assert small.command(workspace, "advance", "--days", DAYS - 2, *words) == 0
    small.assert_same_products(straight, workspace)


def test_the_name_of_a_scene_may_hold_a_comma(archive, tmp_path):
    """Ids were joined with commas and split again: the second advance was a KeyError."""
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    odd = min(scenes.iterdir())
    odd = odd.rename(odd.with_stem(f"{odd.stem} (1, 2)"))
    workspace = small.seeded(tmp_path / "ws", scenes)
    for _ in range(2):
        assert small.command(workspace, "advance", "--days", 1) == 0
    assert small.command(workspace, "advance", "--plan") == 0
    first = li.open_workspace(workspace).status()["passes"][0]
    assert first["scenes"] == [odd.stem]
    (path,) = (workspace / "products").glob("*_LP.nc")
    with li.open_trajectories(path) as dataset:
        assert odd.stem in dataset.attrs["input_scenes"]
        assert dataset.attrs["number_of_input_scenes"] == 5


def test_scenes_of_processed_passes_may_be_deleted(straight, archive, tmp_path):
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    workspace = small.seeded(tmp_path / "ws", scenes)
    done = 0
    for _ in range(DAYS):
        # Hardly any cache: what is needed again is among the templates.
        assert small.command(workspace, "advance", "--days", 1, "--cache-gb", 0) == 0
        entries = li.open_workspace(workspace).status()["passes"]
        for name in {name for one in entries if one["status"] == "done" for name in one["scenes"]}:
            (scenes / f"{name}.tif").unlink(missing_ok=True)
        shutil.rmtree(workspace / "cache")
        done = sum(one["status"] == "done" for one in entries)
    assert done == 7
    assert list(scenes.iterdir()) == []
    small.assert_same_products(straight, workspace)


def test_doubtful_sightings_were_asked_for_a_witness(straight):
    # What holds for divided days, workers and deleted scenes must hold for these too.
    season = li.open_workspace(straight)
    vectors, seen = season.vectors(), season.observations()
    assert (vectors["status"] == Status.OUTLIER).any()
    # Each sighting has a vector of its own; the others are witnesses and references.
    followed = int((seen["source_pass_index"] >= 0).sum())
    compared = int(seen["closure"].notna().sum())
    assert vectors["x1"].notna().sum() > followed + compared


def test_templates_go_when_no_parcel_needs_them(straight, tmp_path):
    with store.Store(straight) as kept:
        living = kept.living()
    needed = {*living.pass_index, *living.earlier_pass, *living.reference_pass}
    assert len(list((straight / "templates").glob("*.npz"))) == len(needed - {-1}) > 0
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    assert small.command(workspace, "advance", "--days", 8) == 0
    assert li.open_workspace(workspace).status()["parcels"]["alive"] == 0
    assert list((workspace / "templates").iterdir()) == []


def reprocessed(scene, folder):
    """The same frame under another id."""
    folder.mkdir(exist_ok=True)
    return shutil.copy(scene, folder / f"{scene.stem[:-4]}F00D.tif")


def test_a_reprocessed_scene_replaces_the_old_one_only_when_asked(
    straight, archive, tmp_path, capsys
):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    scenes = sorted(archive.glob("*.tif"))
    again = reprocessed(scenes[4], tmp_path / "new")
    assert small.command(workspace, "scenes", "add", tmp_path / "new") == 0
    status = li.open_workspace(workspace).status()
    assert status["repeated_scenes"] == [again.stem]
    assert status["late_scenes"] == []
    capsys.readouterr()
    assert small.command(workspace, "advance", "--days", 1) == 0
    assert "--replace" in capsys.readouterr().err
    assert small.command(workspace, "rebuild", "--from", "2021-01-02") == 0
    assert li.open_workspace(workspace).status()["repeated_scenes"] == [again.stem]
    assert small.command(workspace, "rebuild", "--from", "2021-01-02", "--replace") == 0
    status = li.open_workspace(workspace).status()
    assert status["repeated_scenes"] == []
    assert status["replaced_scenes"] == [scenes[4].stem]
    used = {name for one in status["passes"] for name in one["scenes"]}
    assert again.stem in used
    assert scenes[4].stem not in used
    assert status["passes_done"] == 7


def test_a_frame_that_is_late_is_taken_in_from_where_its_pass_begins(
    straight, archive, tmp_path, capsys
):
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    frame = sorted(scenes.glob("*20210102T0500*.tif"))[1]
    aside = shutil.move(frame, tmp_path)
    workspace = small.seeded(tmp_path / "ws", scenes, straight / "cache")
    assert small.command(workspace, "advance", "--days", DAYS) == 0
    shutil.move(aside, frame)
    assert small.command(workspace, "scenes", "add", scenes) == 0
    status = li.open_workspace(workspace).status()
    assert status["late_scenes"] == [frame.stem]
    assert status["late_from"] == "2021-01-02T05:00:00.000Z"
    assert small.command(workspace, "rebuild", "--from", status["late_from"]) == 0
    status = li.open_workspace(workspace).status()
    assert (status["late_scenes"], status["late_from"]) == ([], None)
    small.assert_same_products(straight, workspace)


@pytest.mark.parametrize("fault", ["gone", "cut"])
def test_what_cannot_be_read_takes_no_ones_place(straight, archive, tmp_path, capsys, fault):
    """A good scene was given up for one that was not there, for good."""
    workspace, new = tmp_path / "ws", tmp_path / "new"
    shutil.copytree(straight, workspace)
    again = reprocessed(sorted(archive.glob("*.tif"))[4], new)
    assert small.command(workspace, "scenes", "add", new) == 0
    whole = again.read_bytes()
    again.unlink() if fault == "gone" else again.write_bytes(whole[: len(whole) // 2])
    rebuild = ("rebuild", "--from", "2021-01-02", "--replace")
    assert small.command(workspace, *rebuild) == 0
    status = li.open_workspace(workspace).status()
    assert (status["replaced_scenes"], status["repeated_scenes"]) == ([], [again.stem])
    small.assert_same_products(straight, workspace)
    again.write_bytes(whole)
    assert small.command(workspace, *rebuild) == 0
    assert len(li.open_workspace(workspace).status()["replaced_scenes"]) == 1


def test_a_scene_whose_place_was_taken_comes_back(straight, archive, tmp_path):
    workspace, new = tmp_path / "ws", tmp_path / "new"
    shutil.copytree(straight, workspace)
    again = reprocessed(sorted(archive.glob("*.tif"))[4], new)
    assert small.command(workspace, "scenes", "add", new) == 0
    rebuild = ("rebuild", "--from", "2021-01-02", "--replace")
    assert small.command(workspace, *rebuild) == 0
    kept = li.open_workspace(workspace).status()["replaced_scenes"]
    # What a pass holds that is not made again may go.
    again.unlink()
    assert small.command(workspace, "rebuild", "--from", "2021-01-04", "--replace") == 0
    assert li.open_workspace(workspace).status()["replaced_scenes"] == kept


def test_a_report_that_cannot_be_written_leaves_the_clock(straight, fresh, monkeypatch, capsys):
    """The call is repeated as it was, and must not go a step further."""
    reports = fresh / "reports"
    reports.write_text("in the way")
    assert small.command(fresh, "advance", "--days", 1) == 1
    assert "reports" in capsys.readouterr().err
    assert li.open_workspace(fresh).status()["processed_until"] == "2021-01-01T00:00:00.000Z"
    reports.unlink()
    assert small.command(fresh, "advance", "--days", DAYS) == 0
    small.assert_same_products(straight, fresh)


def test_products_of_each_stream_tell_its_own_spacing(straight, tmp_path):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    back = ("rebuild", "--from", "2021-01-01", "--until", "2021-01-01")
    assert small.command(workspace, *back) == 0
    words = ("seed", "--stream", "--date", "2021-01-01", "--spacing", "15000")
    assert small.command(workspace, *words) == 0
    assert small.command(workspace, "advance", "--days", 2) == 0
    found = {}
    for path in (workspace / "products").glob("*.nc"):
        with xr.open_dataset(path) as dataset:
            spacing = json.loads(dataset.attrs["settings"])["parcels"]["spacing"]
            found.setdefault(path.name.split("_")[2], set()).add(spacing)
    (own,) = found.pop("a")
    assert own != 15_000
    assert found == {"b": {15_000.0}}


def test_the_same_scene_twice_is_one(straight, archive, tmp_path):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    twice = tmp_path / "twice"
    shutil.copytree(archive, twice)
    assert small.command(workspace, "scenes", "add", twice) == 0
    status = li.open_workspace(workspace).status()
    assert status["late_scenes"] == status["repeated_scenes"] == []
    assert status["passes_waiting"] == 0


def test_the_plan_is_what_advance_then_does(fresh, capsys):
    before = (fresh / "lagrangian_ice.sqlite").read_bytes()
    capsys.readouterr()
    assert small.command(fresh, "advance", "--plan", "--days", DAYS, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (fresh / "lagrangian_ice.sqlite").read_bytes() == before
    assert small.command(fresh, "advance", "--plan") == 0
    lines = capsys.readouterr().out.splitlines()
    pairs = [pair for one in plan for pair in one["pairs"]]
    assert lines[-1] == f"7 passes, {len(pairs)} pairs"
    assert small.command(fresh, "advance", "--days", DAYS) == 0
    with store.Store(fresh) as state:
        passes = state.passes().set_index("pass_index")["pass_id"]
        found = state.pairs()
    done = {
        (passes[source], passes[target])
        for source, target in zip(
            found["source_pass_index"], found["target_pass_index"], strict=True
        )
    }
    assert [one["pass"] for one in plan] == passes.tolist()
    # What is not found, or drifts over an edge, is not foreseen.
    follow = [pair for pair in pairs if pair["purpose"] == "follow"]
    kept = [pair["parcels"] for pair in follow if (pair["source"], pair["target"]) in done]
    assert sum(kept) > 0.8 * sum(pair["parcels"] for pair in follow)
    assert all(12 <= pair["hours"] <= 96 for pair in follow)
    assert all(pair["overlap_km2"] > 0 and pair["parcels"] > 0 for pair in pairs)
    assert {pair["purpose"] for pair in pairs} <= {"follow", "check"}


def test_a_run_ends_with_a_report(straight):
    (path,) = (straight / "reports").glob("*.json")
    report = json.loads(path.read_text())
    status = li.open_workspace(straight).status()
    assert len(report["passes"]) == 7
    assert report["until"] == status["processed_until"]
    fates = {name: status["parcels"][name] for name in ("alive", "dormant", "pending")}
    assert report["parcels"] == fates
    seen = li.open_workspace(straight).observations()
    assert sum(one["found"] + one["born"] for one in report["passes"]) == len(seen)
    assert sum(one["checked"] for one in report["passes"]) == seen["closure"].notna().sum() > 0
    assert report["failed"] == {}
    assert {"image", "match", "fold", "write", "products"} <= set(report["seconds"])
    assert all(pair["tracked"] <= pair["vectors"] for pair in report["pairs"])
    text = path.with_suffix(".txt").read_text()
    assert text.count("\n") < 66
    assert "7 done, 0 failed" in text


def test_a_log_line_a_pass_where_there_is_no_terminal(fresh, capsys):
    assert run(["advance", "--days", str(DAYS), "--workspace", str(fresh)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if " pass " in line]
    assert len(lines) == 7
    assert all("parcels found" in line for line in lines)


def test_without_products_only_the_state_moves(fresh):
    assert small.command(fresh, "advance", "--days", DAYS, "--no-products") == 0
    assert not (fresh / "products").exists()
    assert li.open_workspace(fresh).status()["passes_done"] == 7


@pytest.mark.parametrize(
    "words", [("--days", 1, "--until", "2021-01-02"), (), ("--days", 1, "--json")]
)
def test_wrong_words_are_refused(fresh, words):
    assert small.command(fresh, "advance", *words) == 2


def test_every_product_tells_the_same_scenes(straight):
    told = {}
    for path in (straight / "products").glob("*.nc"):
        with xr.open_dataset(path) as dataset:
            told[path.name[-5:]] = dataset.attrs["input_scenes"].split(",")
            assert dataset.attrs["number_of_input_scenes"] == 8
    assert set(told) == {"LP.nc", "DP.nc", "PD.nc"}
    names = {scene.stem for scene in (straight.parent.parent).glob("season*/scenes/*.tif")}
    assert all(sorted(scenes) == sorted(names) for scenes in told.values())


def test_passes_are_not_taken_back_without_their_scenes(straight, archive, tmp_path, capsys):
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    workspace = small.seeded(tmp_path / "ws", scenes, straight / "cache")
    assert small.command(workspace, "advance", "--days", DAYS) == 0
    shutil.move(scenes, tmp_path / "elsewhere")
    before = li.open_workspace(workspace).status()
    capsys.readouterr()
    assert small.command(workspace, "rebuild", "--from", "2021-01-02") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "and 5 more: gone" in line
    assert "scenes add" in line
    assert li.open_workspace(workspace).status() == before
    assert small.command(workspace, "scenes", "add", tmp_path / "elsewhere") == 0
    assert small.command(workspace, "rebuild", "--from", "2021-01-02") == 0
    small.assert_same_products(straight, workspace)


def test_a_pass_that_is_not_made_again_needs_no_scenes(straight, archive, tmp_path):
    """It begins before the date, one of its frames after it."""
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    workspace = small.seeded(tmp_path / "ws", scenes, straight / "cache")
    assert small.command(workspace, "advance", "--days", DAYS) == 0
    for path in scenes.glob("*_2021010[12]T0[35]*.tif"):
        path.unlink()
    assert small.command(workspace, "rebuild", "--from", "2021-01-02T05:00:05") == 0
    small.assert_same_products(straight, workspace)


@pytest.fixture
def bare(archive, straight, tmp_path):
    """Two days done; their scenes and the cache are gone."""
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    workspace = small.seeded(tmp_path / "ws", scenes, straight / "cache")
    assert small.command(workspace, "advance", "--days", 2) == 0
    for one in li.open_workspace(workspace).status()["passes"]:
        for name in one["scenes"] if one["status"] == "done" else ():
            (scenes / f"{name}.tif").unlink()
    shutil.rmtree(workspace / "cache")
    return workspace


def test_a_new_version_finds_parcels_whose_scenes_are_gone(bare, straight, monkeypatch):
    """None was found any more, and the exit code was 0."""
    monkeypatch.setattr(f"{PREPARE}.__version__", "99")
    assert small.command(bare, "advance", "--days", DAYS - 2) == 0
    small.assert_same_products(straight, bare)


def test_sources_that_cannot_be_had_are_named(bare, capsys):
    shutil.rmtree(bare / "templates")
    capsys.readouterr()
    assert small.command(bare, "advance", "--days", DAYS - 2) == 3
    told = capsys.readouterr().err.splitlines()
    assert told
    assert all(line.startswith("pass S1A_03000") and "cannot be read" in line for line in told)


def test_no_product_tells_of_what_is_taken_back(straight, tmp_path):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    other = workspace / "products" / "notes.txt"
    other.write_text("mine")
    back = ("rebuild", "--from", "2021-01-01", "--until", "2021-01-01")
    assert small.command(workspace, *back) == 0
    assert list((workspace / "products").iterdir()) == [other]


def test_settings_of_a_call_without_passes_are_kept(straight, tmp_path):
    workspace = tmp_path / "ws"
    shutil.copytree(straight, workspace)
    config = tmp_path / "c.toml"
    config.write_text("[deformation]\nnominal_days = 1.0\n")
    assert small.command(workspace, "advance", "--days", 0.5, "--config", config) == 0
    assert small.command(workspace, "advance", "--days", 0.5) == 0
    (path,) = (workspace / "products").glob("*_DP.nc")
    with xr.open_dataset(path) as dataset:
        assert '"nominal_days":1.0' in dataset.attrs["settings"]


def test_an_export_takes_the_settings_that_it_is_given(straight, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('[product]\ncreator_name = "J. Doe"\n[deformation]\nnominal_days = 1.0\n')
    words = ("export", "--format", "deformation", "--out", tmp_path, "--config", config)
    assert small.command(straight, *words) == 0
    (path,) = tmp_path.glob("*_DP.nc")
    with xr.open_dataset(path) as dataset:
        assert dataset.attrs["creator_name"] == "J. Doe"
        assert '"nominal_days":1.0' in dataset.attrs["settings"]


def test_what_is_no_more_is_not_told_as_unreadable(archive, tmp_path, capsys):
    scenes = tmp_path / "scenes"
    shutil.copytree(archive, scenes)
    broken = scenes / "broken.tif"
    broken.write_text("no picture")
    workspace = tmp_path / "ws"
    assert small.command(workspace, "scenes", "add", scenes) == 3
    broken.unlink()
    assert small.command(workspace, "scenes", "add", scenes) == 0
    assert small.command(workspace, "scenes", "list") == 0


def test_scenes_outlive_the_folder_that_they_were_named_from(archive, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    shutil.copytree(archive, tmp_path / "scenes")
    monkeypatch.chdir(here)
    assert small.command(tmp_path / "ws", "scenes", "add", "../scenes") == 0
    monkeypatch.chdir(tmp_path)
    here.rmdir()
    with store.Store(tmp_path / "ws") as state:
        assert all(scene.path.exists() for scene in state.scenes())
