"""Outputs that appear whole or not at all."""

from __future__ import annotations

import os

import netCDF4
import pytest

from lagrangian_ice.errors import ProductError
from lagrangian_ice.output.netcdf import CACHE_BYTES, new_file
from lagrangian_ice.output.whole import whole_file, whole_folder


def test_the_folder_is_made_and_the_file_moved(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as beside:
        beside.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("fault", [OSError(28, "no space"), RuntimeError("NetCDF: HDF error")])
def test_a_fault_leaves_the_old_file_and_one_line(fault, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with whole_file(path) as beside:
            beside.write_text("half")
            raise fault

    with pytest.raises(ProductError, match=r"a\.txt: cannot be written \((no space|NetCDF)"):
        write()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_other_errors_go_through(tmp_path):
    def write():
        with whole_file(tmp_path / "a.txt") as beside:
            beside.write_text("half")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_the_hidden_folder_of_an_export_is_not_named(tmp_path):
    def write():
        with (
            whole_folder(tmp_path) as outer,
            whole_folder(outer) as inner,
            whole_file(inner / "a.nc"),
        ):
            raise OSError(28, "no space")

    with pytest.raises(ProductError) as caught:
        write()
    assert str(caught.value).startswith(f"{tmp_path / 'a.nc'}: cannot be written (no space")


def test_files_appear_together_or_none(tmp_path):
    out = tmp_path / "out"
    with whole_folder(out) as folder:
        for name in ("a", "b"):
            (folder / name).write_text("new")
        assert [path.name for path in out.iterdir()] == [folder.name]
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]

    def write():
        with whole_folder(out) as folder:
            (folder / "a").write_text("newer")
            # as of a library: without a number
            raise OSError("no such place")

    with pytest.raises(ProductError, match=r"out: cannot be written \(no such place\)"):
        write()
    assert {path.name: path.read_text() for path in out.iterdir()} == {"a": "new", "b": "new"}


def test_what_a_killed_export_left_goes_a_day_later(tmp_path):
    left, running = (tmp_path / f".export-{name}.part" for name in ("left", "running"))
    for folder in (left, running):
        folder.mkdir()
        (folder / "a").write_text("half")
    os.utime(left, (1.6e9, 1.6e9))
    with whole_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == [running]


def test_files_that_are_written_keep_little_in_memory(tmp_path):
    """The library's own 64 MiB a variable are 4 GB of a season's deformation."""
    before = netCDF4.get_chunk_cache()
    with new_file(tmp_path / "a.nc") as dataset:
        dataset.createDimension("n", None)
        made = dataset.createVariable("x", "f8", ("n",), zlib=True, chunksizes=(16,))
        assert made.get_var_chunk_cache()[0] == CACHE_BYTES < before[0]
        made[:3] = 1.0
    assert netCDF4.get_chunk_cache() == before
