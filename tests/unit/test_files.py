import os
from pathlib import Path

import pytest

from lagrangian_ice.errors import ProductError
from lagrangian_ice.files import check_output, in_place, write_text


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "first")

    def fail_half_way():
        with in_place(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    path = tmp_path / "out.txt"
    path.with_name(".out.txt.part").write_text("left, and longer")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_is_an_input_or_lies_in_one_is_refused(tmp_path):
    given = tmp_path / "in.csv"
    given.touch()
    (tmp_path / "link.csv").symlink_to(given)
    (tmp_path / "hard.csv").hardlink_to(given)
    for name in ("in.csv", "link.csv", "hard.csv", "../" + tmp_path.name + "/in.csv"):
        with pytest.raises(ProductError, match=r"would replace .*in\.csv; give another name"):
            check_output(tmp_path / name, [tmp_path / "other.csv", given])
    with pytest.raises(ProductError, match="would replace"):
        check_output(tmp_path / "A.SAFE" / "manifest.safe", [tmp_path / "A.SAFE"])
    check_output(tmp_path / "out.csv", [given])


def test_what_is_no_regular_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe", tmp_path):
        with pytest.raises(ProductError, match="is not a regular file"):
            check_output(path)


def test_a_name_that_is_not_utf8_is_refused():
    with pytest.raises(ProductError, match=r"^'a.udcff.nc': is not valid UTF-8"):
        check_output(Path(os.fsdecode(b"a\xff.nc")))


def test_two_that_write_the_same_file_among_others_do_not_meet(tmp_path):
    path = tmp_path / "out.npz"
    with in_place(path, among_others=True) as one, in_place(path, among_others=True) as other:
        assert one != other
        for beside in (one, other):
            # what a killed run left is found by this
            assert beside.match(".*.npz.part")
            beside.write_text("the same")
    assert path.read_text() == "the same"
    assert list(tmp_path.iterdir()) == [path]
