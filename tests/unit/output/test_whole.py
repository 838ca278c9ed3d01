"""Outputs that appear whole or not at all."""

from __future__ import annotations

import pytest

from lagrangian_ice.errors import ProductError
from lagrangian_ice.output.whole import whole_file


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

    with pytest.raises(ProductError, match=r"a\.txt: cannot be written \((No space|NetCDF)"):
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
        with whole_file(tmp_path / ".export-x1.part" / "a.nc"):
            raise OSError(28, "no space")

    with pytest.raises(ProductError) as caught:
        write()
    assert str(caught.value).startswith(f"{tmp_path / 'a.nc'}: cannot be written (No space")
