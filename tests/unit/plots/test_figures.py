"""Figures of small products: written, not blank, labelled with units; clear errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as images
from matplotlib.colors import LogNorm, SymLogNorm
from matplotlib.figure import Figure
from product_frames import make_frames, write_frames
from pyproj import Geod

from lagrangian_ice.errors import ProductError
from lagrangian_ice.grid import lonlat_to_xy, xy_to_lonlat
from lagrangian_ice.plots import figures, polar
from lagrangian_ice.plots.draw import FIGURES, plot


def half_land(grid):
    """Land in the eastern half of the map, in place of the real mask."""
    rows, cols = grid.shape
    return np.broadcast_to(np.arange(cols) > cols // 2, (rows, cols)).copy()


PRODUCT_OF = {"trajectories": "LP", "drift": "PD", "deformation": "DP", "coverage": "LP"}


@pytest.fixture(scope="module", autouse=True)
def half_of_the_map_is_land():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polar, "land_mask", half_land)
        yield


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("products"), make_frames(side=7))


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they were when saved."""
    kept: list[Figure] = []

    def keep(figure, path):
        kept.append(figure)
        return polar.save(figure, path)

    monkeypatch.setattr(figures, "save", keep)
    return kept


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text"))]


@pytest.mark.parametrize("what", FIGURES)
def test_figure_is_written_and_not_blank(what, products, tmp_path):
    path = plot(what, products[PRODUCT_OF[what]], tmp_path / f"{what}.png")
    pixels = images.imread(path)
    assert pixels.shape[1] >= 1200
    for channel in range(3):
        assert pixels[..., channel].std() > 0.05
    assert list(tmp_path.iterdir()) == [path]


BARS = {
    "trajectories": ["Days since 2021-01-01"],
    "drift": ["Speed (cm s$^{-1}$)"],
    "deformation": [
        "Divergence (per day), opening positive",
        "Shear (per day)",
        "Total deformation (per day)",
        "Total deformation over its standard error (1)",
    ],
    "coverage": ["Observations in squares of 10 km (count)"],
}


@pytest.mark.parametrize("what", FIGURES)
def test_every_bar_has_its_unit_and_the_map_is_labelled(what, products, tmp_path, drawn):
    plot(what, products[PRODUCT_OF[what]], tmp_path / "figure.png")
    found = texts(drawn[0])
    for label in BARS[what]:
        assert label in found
    assert any(text.endswith("°N") for text in found)
    assert any(text.endswith("°W") for text in found)
    assert any(text.endswith(" km") for text in found)
    assert any("2021-01-0" in text for text in found)


def test_divergence_is_symmetric_and_shear_logarithmic(products, tmp_path, drawn):
    plot("deformation", products["DP"], tmp_path / "figure.png")
    norms = [
        item.norm
        for axes in drawn[0].axes
        for item in axes.collections
        if isinstance(item.norm, SymLogNorm | LogNorm)
    ]
    divergence, shear = norms[0], next(norm for norm in norms if isinstance(norm, LogNorm))
    assert isinstance(divergence, SymLogNorm)
    assert divergence.vmin == -divergence.vmax
    assert shear.vmin > 0


def test_newest_patch_lies_on_top():
    """Parcels 1 to 3 are in both patches, 4 in the older alone."""
    nodes = pd.DataFrame(
        {
            "trajectory": [1, 2, 3, 4, 3, 2, 1],
            "node_pair_index": [0, 0, 0, 0, 1, 1, 1],
            "time_end": [10.0, 10.0, 10.0, 10.0, 20.0, 20.0, 20.0],
        }
    )
    corners = np.array([[0, 1, 2], [1, 2, 3], [4, 5, 6]])
    faces = pd.DataFrame(corners, columns=["node_1", "node_2", "node_3"])
    faces["pair_index"] = [0, 0, 1]
    assert figures._newest(nodes, faces).index.tolist() == [1, 2]


def test_crowds_are_thinned_and_it_is_said(products, tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(figures, "MOST_TRAJECTORIES", 10)
    monkeypatch.setattr(figures, "MOST_ARROWS", 10)
    plot("trajectories", products["LP"], tmp_path / "figure.png")
    plot("drift", products["PD"], tmp_path / "figure.png")
    assert any("one in 5 drawn" in text for text in texts(drawn[0]))
    assert any("drawn" in text for text in texts(drawn[1]))


def resting():
    frames = make_frames(side=7)
    first = frames.observations.groupby("parcel_id")[["x", "y"]].transform("first")
    still = frames.observations.assign(x=first["x"], y=first["y"])
    vectors = frames.vectors.assign(x1=frames.vectors["x0"], y1=frames.vectors["y0"])
    vectors.loc[vectors["status"] != 0, ["x1", "y1"]] = np.nan
    return replace(frames, observations=still, vectors=vectors)


def test_ice_at_rest(tmp_path):
    paths = write_frames(tmp_path, resting())
    for what in FIGURES:
        plot(what, paths[PRODUCT_OF[what]], tmp_path / f"{what}.png")


def test_single_parcel(tmp_path):
    frames = resting()
    names = ("observations", "parcels", "vectors")
    tables = {name: getattr(frames, name) for name in names}
    alone = {name: table[table["parcel_id"] == 2] for name, table in tables.items()}
    paths = write_frames(tmp_path, replace(frames, **alone))
    for what in ("trajectories", "drift", "coverage"):
        plot(what, paths[PRODUCT_OF[what]], tmp_path / f"{what}.png")


def test_nothing_to_draw_is_said(tmp_path):
    frames = make_frames(side=7)
    names = ("parcels", "observations", "pairs", "vectors")
    nothing = replace(frames, **{name: getattr(frames, name).iloc[:0] for name in names})
    paths = write_frames(tmp_path, nothing)
    for what in FIGURES:
        with pytest.raises(ProductError, match="nothing to draw"):
            plot(what, paths[PRODUCT_OF[what]], tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()


def test_wrong_calls(products, tmp_path):
    with pytest.raises(ValueError, match=r"'speed' is not known; allowed are trajectories, drift"):
        plot("speed", products["LP"], tmp_path / "figure.png")
    with pytest.raises(ValueError, match=r"must end in \.png"):
        plot("drift", products["PD"], tmp_path / "figure.jpg")
    with pytest.raises(ProductError, match=r"not a _PD\.nc product"):
        plot("drift", products["LP"], tmp_path / "figure.png")
    with pytest.raises(ProductError, match="no such file"):
        plot("drift", tmp_path / "none.nc", tmp_path / "figure.png")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ProductError, match="cannot be written"):
        plot("coverage", products["LP"], tmp_path / "file" / "figure.png")


def test_bounds_are_nearly_square_and_hold_the_data():
    xy = np.array([[0.0, 0.0], [400e3, 20e3], [np.nan, np.nan]])
    left, bottom, right, top = polar.bounds_of(xy)
    assert left < 0 < 400e3 < right
    assert bottom < 0 < 20e3 < top
    assert 0.6 < (top - bottom) / (right - left) < 1.0


def test_graticule_labels_are_where_the_lines_are():
    bounds = (-200e3, -1000e3, 200e3, -600e3)
    figure = polar.new_figure(6, 6)
    axes = figure.subplots()
    polar._draw_graticule(axes, bounds)
    bottom = [note for note in axes.texts if note.xy[1] == bounds[1]]
    assert len(bottom) >= 3
    for note in bottom:
        lon = float(xy_to_lonlat(np.array(note.xy))[0])
        assert float(note.get_text().rstrip("°W")) == pytest.approx(-lon, abs=0.05)
    for note in axes.texts:
        if note.get_text().endswith("N"):
            lat = float(xy_to_lonlat(np.array(note.xy))[1])
            assert float(note.get_text().rstrip("°N")) == pytest.approx(lat, abs=0.05)


def test_parallels_around_the_pole_are_labelled_inside():
    side = float(np.hypot(*lonlat_to_xy([[0.0, 72.0]])[0]))
    figure = polar.new_figure(6, 6)
    axes = figure.subplots()
    polar._draw_graticule(axes, (-side, -side, side, side))
    found = {note.get_text(): note.xy for note in axes.texts}
    assert {"75°N", "80°N", "85°N"} <= set(found)
    for text in ("75°N", "80°N", "85°N"):
        lat = float(xy_to_lonlat(np.array(found[text]))[1])
        assert lat == pytest.approx(float(text.rstrip("°N")), abs=0.01)


def test_the_scale_bar_is_as_long_on_the_ice_as_it_says():
    middle = lonlat_to_xy([30.0, 86.0])
    axes = polar.new_figure(6, 6).subplots()
    polar._draw_scale(axes, (*(middle - 2e5), *(middle + 2e5)))
    (bar,), (note,) = axes.lines, axes.texts
    half = 0.5 * np.ptp(bar.get_xdata())
    ends = xy_to_lonlat(middle + half * np.array([[-1.0, 0.0], [1.0, 0.0]]))
    _, _, length = Geod(ellps="WGS84").inv(*ends[0], *ends[1])
    assert length == pytest.approx(1e3 * float(note.get_text().removesuffix(" km")), rel=1e-3)


def test_dates():
    assert polar.dates(1609459200.0, 1609632000.0) == "2021-01-01 to 2021-01-03"
    assert polar.dates(1609462800.0, 1609470000.0) == "2021-01-01 01:00 to 03:00 UTC"


@pytest.mark.parametrize(("value", "rounded"), [(0.03, 0.05), (1.0, 1.0), (6.0, 10.0), (0.0, 0.02)])
def test_scales_end_at_round_numbers(value, rounded):
    assert figures._round_up(value, 0.02) == pytest.approx(rounded)
