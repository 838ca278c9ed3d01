"""Concentration files as their makers write them."""

import netCDF4
import numpy as np
import pytest
from pyproj import CRS

from lagrangian_ice.errors import SettingsError
from lagrangian_ice.grid import lonlat_to_xy, transform, xy_to_lonlat
from lagrangian_ice.parcels.concentration import STANDARD_NAME, Concentration

T0 = 1_609_459_200.0
"""2021-01-01."""
DAY = 86400.0
STEP = 10_000.0
X = np.arange(-200_000.0, 200_001.0, STEP)
Y = np.arange(-300_000.0, -700_001.0, -STEP)
OSI_SAF = CRS.from_proj4("+proj=stere +a=6378273 +b=6356889.44891 +lat_0=90 +lat_ts=70 +lon_0=-45")


def fraction_at(x, y):
    """Without ice west of 0 m; the share grows to the east."""
    return np.where(x < 0, 0.0, np.clip(0.2 + x / 400_000.0, 0, 1)) + 0.0 * y


def write(path, days, *, units="1", form="projected", fill=(), extra=()):
    """Daily fields on projected coordinates (km or m) or on latitudes and longitudes."""
    x, y = np.meshgrid(X, Y)
    whole = fraction_at(x, y)
    factor = 100.0 if units == "%" else 1.0
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("yc", len(Y))
        dataset.createDimension("xc", len(X))
        time = dataset.createVariable("time", "f8", ("time",))
        time.units, time.standard_name = "seconds since 1978-01-01 00:00:00", "time"
        time[:] = netCDF4.date2num(
            [netCDF4.num2date(T0 + day * DAY, "seconds since 1970-01-01") for day in days],
            time.units,
        )
        for name, shown in extra:
            other = dataset.createVariable(name, "f4", ("time", "yc", "xc"))
            other.standard_name = shown
        made = dataset.createVariable("ice_conc", "i4", ("time", "yc", "xc"), fill_value=-999)
        made.setncatts({"standard_name": STANDARD_NAME, "units": units, "scale_factor": 0.01})
        if form != "placed":
            made.grid_mapping = "Polar_Stereographic_Grid"
            mapping = dataset.createVariable(made.grid_mapping, "i4")
            mapping.setncatts(OSI_SAF.to_cf())
            for name, values in (("xc", X), ("yc", Y)):
                own = name if form == "projected" else f"{name[0]}grid"
                axis = dataset.createVariable(own, "f8", (name,))
                axis.units = "km"
                axis.standard_name = f"projection_{name[0]}_coordinate"
                axis[:] = values / 1e3
        else:
            lonlat = transform(np.stack([x, y], -1), OSI_SAF.to_wkt(), "EPSG:4326")
            for name, values in (("lon", lonlat[..., 0]), ("lat", lonlat[..., 1])):
                axis = dataset.createVariable(name, "f8", ("yc", "xc"))
                axis.standard_name = {"lon": "longitude", "lat": "latitude"}[name]
                axis[:] = values
        for number, day in enumerate(days):
            field = np.ma.array(whole * factor * (1.0 if day < 5 else 0.5))
            for row, col in fill:
                field[row, col] = np.ma.masked
            made[number] = field
    return path


def at_grid(rowcol):
    """Map positions (N, 2) of fractional rows and columns of the files."""
    row, col = np.asarray(rowcol, float).T
    there = np.stack([X[0] + col * STEP, Y[0] - row * STEP], -1)
    return transform(there, OSI_SAF.to_wkt(), "EPSG:3413")


@pytest.mark.parametrize("form", ["projected", "coordinates of other names", "placed"])
@pytest.mark.parametrize("units", ["1", "%"])
def test_values_are_those_of_the_cell(tmp_path, form, units):
    path = write(tmp_path / "ice.nc", [0.5], form=form, units=units)
    field = Concentration(str(path), 1.5).at(T0)
    rng = np.random.default_rng(1)
    rowcol = rng.uniform(1, 38, (400, 2))
    near = np.abs(rowcol - np.rint(rowcol)).max(axis=1) < 0.45
    rowcol = rowcol[near]
    expected = fraction_at(X[0] + np.rint(rowcol[:, 1]) * STEP, 0.0)
    np.testing.assert_allclose(field.at(at_grid(rowcol)), expected, atol=0.0051)


@pytest.mark.parametrize("form", ["projected", "coordinates of other names", "placed"])
def test_what_no_cell_tells_is_unknown(tmp_path, form):
    path = write(tmp_path / "ice.nc", [0.5], form=form, fill=[(20, 30)])
    field = Concentration(str(path), 1.5).at(T0)
    xy = at_grid([[20, 30], [20, 31], [-3, 5], [20, 44]])
    assert np.isnan(field.at(xy)).tolist() == [True, False, True, True]
    assert field.at(np.empty((0, 2))).shape == (0,)
    # The other side of the Earth.
    far = lonlat_to_xy([[0.0, -70.0]])
    assert np.isnan(field.at(far)).all()


def test_flags_beyond_one_are_unknown(tmp_path):
    path = write(tmp_path / "ice.nc", [0.5])
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["ice_conc"][0, 5, 30] = 2.54
    field = Concentration(str(path), 1.5).at(T0)
    assert np.isnan(field.at(at_grid([[5, 30]]))).all()


def test_the_nearest_day_within_the_limit_is_taken(tmp_path):
    for day in (0.5, 1.5, 5.5):
        write(tmp_path / f"ice_{day:g}.nc", [day])
    fields = Concentration(str(tmp_path), 1.5)
    times = [fields.at(T0 + day * DAY) for day in (0.9, 1.1, 2.9, 3.5, 4.1, 9.0)]
    found = [None if one is None else (one.time - T0) / DAY for one in times]
    assert found == [0.5, 1.5, 1.5, None, 5.5, None]
    # As far from both: the earlier.
    assert fields.at(T0 + 1.0 * DAY).time == T0 + 0.5 * DAY
    east = at_grid([[20, 35]])
    values = [fields.at(T0 + day * DAY).at(east)[0] for day in (1.5, 5.5)]
    np.testing.assert_allclose(values[1], values[0] / 2, atol=0.01)


@pytest.mark.parametrize("pattern", [False, True])
def test_a_file_of_many_days_and_a_pattern(tmp_path, pattern):
    path = write(tmp_path / "season_2021.nc", [0.5, 1.5, 2.5, 6.5])
    source = str(tmp_path / "season_*.nc") if pattern else str(path)
    fields = Concentration(source, 0.6)
    assert [fields.at(T0 + day * DAY).time for day in (0.2, 2.6, 6.1)] == [
        T0 + day * DAY for day in (0.5, 2.5, 6.5)
    ]


def test_the_first_variable_of_its_name_counts_and_not_its_error(tmp_path):
    extra = [("ice_error", f"{STANDARD_NAME} standard_error")]
    path = write(tmp_path / "ice.nc", [0.5], extra=extra)
    assert np.isfinite(Concentration(str(path), 1.5).at(T0).at(at_grid([[5, 30]]))).all()


def test_a_regular_grid_of_degrees(tmp_path):
    path = tmp_path / "degrees.nc"
    lon, lat = np.arange(-60, -29.9, 1.0), np.arange(70, 88.1, 0.5)
    with netCDF4.Dataset(path, "w") as dataset:
        for name, values in (("lon", lon), ("lat", lat)):
            dataset.createDimension(name, len(values))
            axis = dataset.createVariable(name, "f8", (name,))
            axis.standard_name = {"lon": "longitude", "lat": "latitude"}[name]
            axis[:] = values
        time = dataset.createVariable("time", "f8")
        time.units = "days since 2021-01-01"
        time[...] = 0.5
        made = dataset.createVariable("siconc", "f4", ("lat", "lon"))
        made.standard_name = STANDARD_NAME
        made[:] = np.where(lat < 80, 0.0, 1.0)[:, None] + np.zeros(len(lon))
    field = Concentration(str(path), 1.0).at(T0)
    assert field.time == T0 + 0.5 * DAY
    xy = lonlat_to_xy([[-45.0, 79.0], [-45.0, 81.0], [-45.0, 89.9]])
    np.testing.assert_array_equal(field.at(xy), [0.0, 1.0, np.nan])
    np.testing.assert_allclose(xy_to_lonlat(xy)[:2, 1], [79.0, 81.0])


def test_a_damaged_file_is_left_out_and_named(tmp_path):
    write(tmp_path / "a.nc", [0.5])
    (tmp_path / "b.nc").write_bytes(b"CDF nonsense")
    fields = Concentration(str(tmp_path), 1.5)
    assert list(fields.failed) == [str(tmp_path / "b.nc")]
    assert fields.at(T0) is not None


def drop_name(dataset):
    del dataset["ice_conc"].standard_name


def wrong_units(dataset):
    dataset["ice_conc"].units = "K"


def no_projection(dataset):
    del dataset["ice_conc"].grid_mapping


def no_since(dataset):
    dataset["time"].units = "seconds"


def missing_time(dataset):
    dataset["time"][:] = np.nan


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(drop_name, "standard_name"), (no_since, "no time"), (missing_time, "missing values")],
)
def test_without_a_usable_file_one_line_says_so(tmp_path, spoil, told):
    path = write(tmp_path / "ice.nc", [0.5])
    with netCDF4.Dataset(path, "a") as dataset:
        spoil(dataset)
    with pytest.raises(SettingsError, match=told) as caught:
        Concentration(str(path), 1.5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("spoil", "told"), [(wrong_units, "'K'"), (no_projection, "grid mapping")])
def test_a_field_that_cannot_be_read_is_none_and_named(tmp_path, spoil, told):
    path = write(tmp_path / "ice.nc", [0.5])
    with netCDF4.Dataset(path, "a") as dataset:
        spoil(dataset)
    fields = Concentration(str(path), 1.5)
    assert fields.at(T0) is None
    assert fields.at(T0) is None
    assert told in fields.failed[str(path)]


def test_nothing_there_is_told(tmp_path):
    with pytest.raises(SettingsError, match="no NetCDF file") as caught:
        Concentration(str(tmp_path / "none_*.nc"), 1.5)
    assert "ice_concentration" in str(caught.value)
