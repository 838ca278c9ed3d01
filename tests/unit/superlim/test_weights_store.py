"""Weights files."""

import hashlib
import json
import os
import pickle
import warnings

import pytest
import torch

from lagrangian_ice.errors import WeightsError
from lagrangian_ice.superlim import weights_files, weights_store
from lagrangian_ice.superlim.network import PUBLISHED, SuperLIM, Topology


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    monkeypatch.setenv("LAGRANGIAN_ICE_WEIGHTS", str(folder))
    return folder


@pytest.mark.parametrize("name", weights_files.PACKAGED)
def test_packaged_weights_load_in_evaluation_mode(name):
    network = weights_store.load_network(name)
    assert not network.training
    assert len(network.sha256) == 64


def test_packaged_weights_are_at_most_6_mb():
    sizes = [weights_files.find_weights(name).stat().st_size for name in weights_files.PACKAGED]
    assert sum(sizes) <= 6 * 2**20


def test_the_light_network_is_separable_and_a_fifth_of_the_other():
    default, light = (weights_store.load_network(name) for name in weights_files.PACKAGED)
    assert light.topology == Topology(separable=True)
    count = [sum(p.numel() for p in network.parameters()) for network in (default, light)]
    assert count[1] < 0.21 * count[0]


def test_published_weights_file_runs_through_the_same_code(tmp_path, user_folder):
    torch.manual_seed(3)
    original = SuperLIM(PUBLISHED).eval()
    torch.save(original.state_dict(), tmp_path / "weights.pth")
    entry = weights_store.import_weights(tmp_path / "weights.pth", "published")
    assert entry.parameters == 1_304_643
    image = torch.rand(1, 2, 64, 64)
    for weights in ("published", str(tmp_path / "weights.pth")):
        loaded = weights_store.load_network(weights)
        with torch.inference_mode():
            torch.testing.assert_close(loaded(image), original(image))


def test_list_tells_built_in_from_imported(tmp_path, user_folder):
    weights_store.export_weights("default", tmp_path / "other.pt")
    weights_store.import_weights(tmp_path / "other.pt")
    told = {entry.name: entry.built_in for entry in weights_store.list_weights()[0]}
    assert told == {"default": True, "light": True, "other": False}


@pytest.mark.parametrize(
    "topology",
    [
        Topology(channels=(12, 24, 48, 96)),
        Topology(separable=True),
        Topology(rotation_input=True),
    ],
)
def test_other_topologies_come_back_from_their_files(tmp_path, user_folder, topology):
    torch.manual_seed(4)
    made = SuperLIM(topology).eval()
    weights_store.save_network(made, tmp_path / "other.pt")
    weights_store.import_weights(tmp_path / "other.pt", "other")
    (entry,) = (one for one in weights_store.list_weights()[0] if one.name == "other")
    assert entry.topology == topology
    loaded = weights_store.load_network("other")
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(image), made(image))


def test_weights_from_before_an_option_load_as_they_were(tmp_path):
    old = json.loads(Topology().model_dump_json(exclude={"separable", "rotation_input"}))
    content = {"topology": json.dumps(old), "state": SuperLIM(Topology()).state_dict()}
    torch.save(content, tmp_path / "old.pt")
    assert weights_store.load_network(str(tmp_path / "old.pt")).topology == Topology()


def test_sha256_stays_through_export_and_import(tmp_path, user_folder):
    weights_store.export_weights("default", tmp_path / "copy.pt")
    entry = weights_store.import_weights(tmp_path / "copy.pt", "mine")
    original = weights_store.load_network("default").sha256
    assert entry.sha256 == original
    assert hashlib.sha256((tmp_path / "copy.pt").read_bytes()).hexdigest() == original


def test_export_under_another_ending_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"\.pt or \.onnx"):
        weights_store.export_weights("default", tmp_path / "weights.bin")


def test_export_into_a_missing_folder_is_one_clear_line(tmp_path):
    for name in ("none/w.pt", "none/w.onnx"):
        with pytest.raises(WeightsError, match="cannot be written"):
            weights_store.export_weights("default", tmp_path / name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no weights", "not a torch weights file"),
        (b"", "not a torch weights file"),
        (b"a" * 100, "not a torch weights file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a torch weights file"),
        (pickle.dumps({"state": 1}, protocol=4), "not a torch weights file"),
        (b"PK\x03\x04" + bytes(100), "not a torch weights file"),
        (b"\x80\x02\x8a\x0a" + b"a" * 100, "not a torch weights file"),
    ],
)
def test_damaged_weights_file_is_one_clear_line(tmp_path, content, reason):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=reason) as caught:
        weights_store.load_network(str(path))
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path, user_folder):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not fit"):
        weights_store.import_weights(tmp_path / "other.pth")


def test_weights_file_that_holds_code_is_refused(tmp_path):
    torch.save({"state": print, "topology": "{}"}, tmp_path / "code.pt")
    with pytest.raises(WeightsError, match="not a torch weights file"):
        weights_store.load_network(str(tmp_path / "code.pt"))


def test_unknown_weights_name_points_to_the_list():
    with pytest.raises(WeightsError, match="weights list"):
        weights_store.load_network("nothing")


def test_import_may_not_leave_its_folder(tmp_path):
    with pytest.raises(WeightsError, match="not usable"):
        weights_store.import_weights(tmp_path / "x.pth", "../evil")


@pytest.mark.parametrize("name", ["..", "a\nb", "-x", "a b", "\udcff", "default", "n" * 65])
def test_names_that_no_command_takes_are_refused(tmp_path, user_folder, name):
    weights_store.export_weights("default", tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="not usable; choose another with --name") as caught:
        weights_store.import_weights(tmp_path / "w.pt", name)
    assert str(caught.value).isascii()
    assert not user_folder.exists()


def test_what_is_no_regular_file_is_not_read(tmp_path, user_folder):
    os.mkfifo(tmp_path / "pipe.pt")
    for path, reason in ((tmp_path / "pipe.pt", "not a regular file"), (tmp_path, "a folder")):
        with pytest.raises(WeightsError, match=reason):
            weights_store.import_weights(path, "mine")


def test_another_pickle_protocol_is_refused_without_a_warning_of_torch(tmp_path):
    torch.save(SuperLIM(PUBLISHED).state_dict(), tmp_path / "four.pt", pickle_protocol=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WeightsError, match="not a torch weights file"):
            weights_store.load_network(str(tmp_path / "four.pt"))
