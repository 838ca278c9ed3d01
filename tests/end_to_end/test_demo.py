"""The whole chain with nothing replaced: images, network, matching, products, plots, scores."""

import numpy as np
import pytest

import lagrangian_ice as li
from lagrangian_ice.cli import run
from lagrangian_ice.demo import BEGIN, _make_archive, run_demo
from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.parcels.store import Store
from lagrangian_ice.settings import ParcelSettings, Settings
from lagrangian_ice.simulate.archive import ArchiveSettings, write_archive
from lagrangian_ice.simulate.truth import load_truth


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "demo"


SETTINGS = Settings(parcels=ParcelSettings(spacing=4000.0))


@pytest.fixture(scope="module")
def demo(folder):
    return run_demo(folder, SETTINGS, days=2.5, seed=3, area_km=40.0)


@pytest.mark.slow
def test_the_demo_is_near_the_truth(demo):
    score = demo.score
    assert score.parcels > 50
    assert score.observations > 50
    assert score.median_distance < 100
    assert score.share_wrong < 0.05
    assert score.share_kept > 0.8
    assert score.triangles >= 15


@pytest.mark.slow
def test_its_files_are_there_and_it_can_be_repeated(demo, folder, capsys):
    for path in (*demo.products, *demo.plots):
        assert path.stat().st_size > 1000
    drawn = {path.stem for path in demo.plots}
    assert drawn == {"trajectories", "drift", "deformation", "coverage"}
    with li.open_trajectories(demo.products[0]) as dataset:
        assert dataset.sizes["trajectory"] == demo.score.parcels
    again = run_demo(folder, SETTINGS, days=2.5, seed=3, area_km=40.0)
    assert again.score == demo.score
    # It asked for a time before the clock.
    assert run_demo(folder, SETTINGS, days=2, seed=3, area_km=40.0).score == demo.score


@pytest.mark.slow
@pytest.mark.parametrize(
    "other", [{"seed": 4}, {"area_km": 41.0}, {"days": 4.0}, {"settings": Settings()}]
)
def test_another_demo_needs_another_folder(demo, folder, other):
    """The archive that was there was taken for the one that was asked for."""
    asked = {"settings": SETTINGS, "days": 2.5, "seed": 3, "area_km": 40.0} | other
    with pytest.raises(WorkspaceError, match="choose another folder"):
        run_demo(folder, **asked)


def test_a_workspace_of_other_scenes_is_left_alone(tmp_path):
    """The demo advanced it."""
    Store(tmp_path, writable=True, create=True).close()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WorkspaceError, match="a workspace of other scenes; choose another folder"):
        run_demo(tmp_path, Settings(), days=2.5)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_exports_hold_what_was_asked_for(demo, folder, tmp_path, capsys):
    words = ["export", "--workspace", str(folder), "--out", str(tmp_path / "out")]
    assert run([*words, "--format", "trajectories,pairs", "--end", "2021-01-02"]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name[-5:] for name in names] == ["LP.nc", "PD.nc"]
    with li.open_trajectories(tmp_path / "out" / names[0]) as dataset:
        times = dataset["time"].values
        assert str(times[~np.isnat(times)].max()) < "2021-01-02"
        assert int(dataset["n_obs"].sum()) == int(dataset["time"].notnull().sum())
    assert run([*words, "--format", "pairs", "--start", "2022-01-01"]) == 1
    assert "no observation" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "product"), [("trajectories", 0), ("drift", 2), ("deformation", 1), ("coverage", 0)]
)
def test_products_are_drawn_from_the_command_line(demo, tmp_path, what, product):
    out = tmp_path / "map.png"
    assert run(["plot", what, str(demo.products[product]), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_deform_on_the_file_gives_the_same(demo, tmp_path):
    out = tmp_path / "again_DP.nc"
    assert run(["deform", str(demo.products[0]), "--out", str(out)]) == 0
    assert out.stat().st_size > 1000


def test_a_demo_that_was_stopped_while_it_simulates_is_begun_anew(tmp_path, monkeypatch):
    """What it had simulated was taken for something else, and left there for ever."""
    settings = ArchiveSettings(area_km=40.0, pixel=400.0, format="safe")
    monkeypatch.setattr("lagrangian_ice.demo.PIXEL", 400.0)
    archive = tmp_path / "scenes"
    scenes = write_archive(archive.with_name(".scenes.part"), 1.0, 3, BEGIN, settings)
    next(scenes)
    scenes.close()
    said = []
    _make_archive(archive, 1.0, 3, 40.0, said.append)
    assert load_truth(archive / "truth.nc").swaths
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
    _make_archive(archive, 1.0, 3, 40.0, said.append)
    assert said[-1] == f"using the archive in {archive}"
