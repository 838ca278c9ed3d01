"""Files are known by their names and contents, not by where they lie."""

import pytest

from lagrangian_ice.errors import SceneError
from lagrangian_ice.superlim.training.inputs import digest_of


@pytest.fixture
def files(tmp_path):
    def make(folder, **contents):
        (tmp_path / folder / "deep").mkdir(parents=True)
        for name, content in contents.items():
            (tmp_path / folder / "deep" / name).write_text(content)
        return tmp_path / folder

    return make


def test_names_contents_and_order_are_told_but_not_places(files):
    one = files("one", a="1", b="2")
    same = files("same", a="1", b="2")
    others = [files("changed", a="1", b="3"), files("renamed", a="1", c="2"), files("less", a="1")]
    assert digest_of([one]) == digest_of([same])
    assert digest_of([one / "deep" / "a"]) == digest_of([same / "deep" / "a"])
    assert len({digest_of([path]) for path in [one, *others]}) == 4
    assert digest_of([one, others[0]]) != digest_of([others[0], one])


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(SceneError, match=r"none\.tif: cannot be read \(No such file"):
        digest_of([tmp_path / "none.tif"])
