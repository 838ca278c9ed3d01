import pytest
import torch

from lagrangian_ice.superlim.device import computes_bfloat16
from lagrangian_ice.superlim.network import SuperLIM, Topology
from lagrangian_ice.superlim.training.loop import seen


def capabilities(monkeypatch: pytest.MonkeyPatch, **told: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16"])
def test_processors_that_have_bfloat16(monkeypatch, name):
    capabilities(monkeypatch, **{name: True})
    assert computes_bfloat16(torch.device("cpu"))


def test_a_processor_that_would_emulate_it(monkeypatch):
    capabilities(monkeypatch, avx2=True, avx512_bf16=False)
    assert not computes_bfloat16(torch.device("cpu"))


def test_a_torch_that_does_not_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not computes_bfloat16(torch.device("cpu"))


def test_training_without_bfloat16_is_exact(monkeypatch):
    capabilities(monkeypatch, avx512_bf16=False)
    network = SuperLIM(Topology(channels=(4, 4, 8, 8), detector_width=8, descriptor_width=8))
    images = torch.randn(1, 64, 64)
    network.eval()
    _, descriptors = seen(network, images)
    torch.testing.assert_close(descriptors, network(images[:, None])[1], rtol=0, atol=1e-6)
