"""Files of the cache."""

import os

import numpy as np
import pytest

from lagrangian_ice.errors import WorkspaceError
from lagrangian_ice.parcels.kept import evict, load_arrays, save_arrays

ARRAYS = {"numbers": np.arange(5.0), "word": "ice", "none": np.empty((0, 2), dtype=np.float16)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cache" / "one.npz"
    save_arrays(path, ARRAYS)
    return path


def test_what_is_kept_is_read(path):
    read = load_arrays(path, ARRAYS)
    assert read["numbers"].tolist() == ARRAYS["numbers"].tolist()
    assert str(read["word"]) == "ice"
    assert (read["none"].shape, read["none"].dtype) == ((0, 2), np.float16)
    assert list(path.parent.iterdir()) == [path]


def test_only_what_is_asked_for_is_read(path):
    assert list(load_arrays(path, ["word"])) == ["word"]


@pytest.mark.parametrize("left", [0, 1, 100, -30])
def test_a_damaged_file_is_none(path, left):
    path.write_bytes(path.read_bytes()[:left])
    assert load_arrays(path, ARRAYS) is None


def test_a_file_that_is_gone_or_lacks_an_array_is_none(path):
    assert load_arrays(path, [*ARRAYS, "more"]) is None
    assert load_arrays(path.with_name("other.npz"), ARRAYS) is None


def test_what_is_read_was_used_last(path):
    os.utime(path, (1e9, 1e9))
    load_arrays(path, ARRAYS)
    assert path.stat().st_mtime > 1.5e9


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WorkspaceError, match=r"one\.npz: cannot be written"):
        save_arrays(tmp_path / "cache" / "one.npz", ARRAYS)


def test_those_used_longest_ago_go_but_not_the_one_to_keep(tmp_path):
    for age, name in enumerate("dcba"):
        file = tmp_path / f"{name}.npz"
        file.write_bytes(b"0" * 10)
        os.utime(file, (1e9 - age, 1e9 - age))
    evict(tmp_path, 25, keep=tmp_path / "a.npz")
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["a", "d"]
    evict(tmp_path, 0, keep=tmp_path / "a.npz")
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["a"]
