"""ONNX files beside torch."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lagrangian_ice.errors import WeightsError
from lagrangian_ice.superlim import weights_store
from lagrangian_ice.superlim.network import PUBLISHED, SuperLIM, Topology
from lagrangian_ice.superlim.onnx_export import export_onnx


def outputs(path, image, **others):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits", "descriptors"], {"image": image, **others})


@pytest.mark.parametrize("shape", [(1, 96, 64), (2, 64, 128)])
def test_shipped_weights_give_the_same_in_onnx_runtime(tmp_path, shape):
    network = weights_store.load_network("default")
    export_onnx(network, tmp_path / "default.onnx")
    batch, rows, cols = shape
    image = np.random.default_rng(0).normal(size=(batch, 1, rows, cols)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image))
    for found, wanted in zip(outputs(tmp_path / "default.onnx", image), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_published_topology_gives_the_same_in_onnx_runtime(tmp_path):
    torch.manual_seed(0)
    network = SuperLIM(PUBLISHED).eval()
    export_onnx(network, tmp_path / "p.onnx")
    image = np.random.default_rng(0).uniform(size=(1, 2, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image))
    for found, wanted in zip(outputs(tmp_path / "p.onnx", image), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize("separable", [False, True])
def test_rotation_is_a_second_input(tmp_path, separable):
    torch.manual_seed(0)
    network = SuperLIM(Topology(separable=separable, rotation_input=True)).eval()
    torch.nn.init.normal_(network.modulation.weight)
    export_onnx(network, tmp_path / "t.onnx")
    image = np.random.default_rng(0).normal(size=(2, 1, 64, 96)).astype(np.float32)
    rotation = np.array([40.0, -170.0], np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image), torch.from_numpy(rotation))
    for found, wanted in zip(
        outputs(tmp_path / "t.onnx", image, rotation=rotation), expected, strict=True
    ):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_metadata_tells_topology_and_weights(tmp_path):
    weights_store.export_weights("default", tmp_path / "d.onnx")
    model = onnx.load(tmp_path / "d.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    network = weights_store.load_network("default")
    assert told["weights_sha256"] == network.sha256
    assert told["topology"] == network.topology.model_dump_json()


def test_missing_onnx_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(WeightsError, match=r"lagrangian-ice\[onnx\]"):
        weights_store.export_weights("default", tmp_path / "d.onnx")
    assert not list(tmp_path.iterdir())
