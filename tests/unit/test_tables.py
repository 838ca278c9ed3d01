"""CSV tables of others."""

import gzip

import numpy as np
import pytest

from lagrangian_ice.errors import ProductError
from lagrangian_ice.tables import read_table, refuse_rows, times_of


@pytest.fixture
def table_of(tmp_path):
    """Write text as a CSV and read it."""

    def read(text):
        path = tmp_path / "t.csv"
        path.write_text(text)
        return path, read_table(path)

    return read


def test_times_without_zone_are_utc(table_of):
    path, table = table_of("t\n2021-01-01\n2021-01-01T01:00:00.5\n2021-01-01T03:00+01:00\n")
    seconds = times_of(path, table, "t") - 1609459200
    assert seconds.tolist() == [0, 3600.5, 7200]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("noon", "row 3: t = 'noon' is not an ISO 8601 time"),
        ("1899-12-31", "row 3: t = '1899-12-31' is not between 1900-01-01 and 2100-01-01"),
        ("2100-01-01", "row 3: t = '2100-01-01' is not between"),
    ],
)
def test_a_time_that_is_none_is_named(table_of, value, told):
    path, table = table_of(f"t\n2021-01-01\n{value}\n")
    with pytest.raises(ProductError, match=f"t.csv: {told}.*; correct it or leave the row out"):
        times_of(path, table, "t")


def test_rows_are_counted_as_in_the_file_when_some_are_left_out(table_of):
    path, table = table_of("t\n1\n2\n3\n4\n")
    with pytest.raises(ProductError, match="row 4: odd"):
        refuse_rows(path, table[table["t"] > 1], np.array([False, True, True]), "odd")
    refuse_rows(path, table, np.zeros(4, bool), "odd")


def test_compressed_tables_are_read_and_cut_ones_named(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a, b\n1, 2\n" * 500))
    assert list(read_table(path)) == ["a", "b"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ProductError, match=r"t\.csv\.gz: cannot be read as CSV"):
        read_table(path)
