"""The trained network arranged for speed: the same function in fewer passes over memory.

A batch normalisation behind a ReLU is a scale and a shift of each channel, which the next
convolution takes into its own weights; positive scales pass through the poolings unchanged.
The network is cut in two: the fine layers want tiles that stay in the processor's cache, the
coarse ones want few seams.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lagrangian_ice.superlim.network import SuperLIM

FINE_STAGES = 2
FINE_STRIDE = 4
"""Pixels per node of the map between the two halves."""
FINE_HALO = 2 + 2 * 2
"""Pixels that the fine half looks beyond a tile on each side."""
COARSE_HALO = 2 * 4 + 2 * 8 + 8
"""Pixels that the coarse half and the heads do: four whole cells."""


@dataclass(frozen=True)
class FoldedNetwork:
    """Two halves that together compute what a network in evaluation mode does.

    Nothing is padded: each layer's result is smaller than what it is given, and nothing is
    computed of which a part is thrown away.

    Attributes
    ----------
    fine : Module
        (1, inputs, 8 h + 12, 8 w + 12) -> (1, channels, 2 h, 2 w).
    coarse : Module
        (1, channels, 2 h + 16, 2 w + 16) -> (1, width, h + 2, w + 2), before the heads.
    detector, descriptor : Module
        The heads: (1, 65, h, w), and (1, 256, h, w) not yet of unit length.
    device : torch.device
        Where they are.
    dtype : torch.dtype
        Of weights and maps; the heads' results are always float32.
    """

    fine: nn.Module
    coarse: nn.Module
    detector: nn.Module
    descriptor: nn.Module
    device: torch.device
    dtype: torch.dtype

    def scores_and_descriptors(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (h, w) and unit descriptors (h, w, 256) of nodes (1, channels, 2 h + 16, ...)."""
        features = self.coarse(nodes)
        scores = keypoint_scores(self.detector(features).float())[0]
        descriptors = functional.normalize(self.descriptor(features).float(), dim=1)
        return scores, descriptors[0].permute(1, 2, 0)


def keypoint_scores(logits: Tensor) -> Tensor:
    """Largest keypoint probability of each cell, (B, 65, h, w) -> (B, h, w)."""
    return torch.softmax(logits, dim=1)[:, :-1].amax(dim=1)


def fold(
    network: SuperLIM,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    rotation: float = 0.0,
) -> FoldedNetwork:
    """Fold the batch normalisations of a network into its convolutions.

    Parameters
    ----------
    network : SuperLIM
        In evaluation mode; it is not changed.
    device : torch.device
        Where the result shall run.
    dtype : torch.dtype
        In which it computes.
    rotation : float, optional
        Degrees that a network with a rotation input is told.

    Raises
    ------
    ValueError
        If the network is in training mode: its batch statistics would make descriptors
        depend on far pixels. If it is told a rotation and has no input for it.
    """
    if network.training:
        raise ValueError("network is in training mode; call network.eval() first")
    before = _Affine.none(network.topology.inputs)
    stages: list[nn.Module] = []
    for stage in network.backbone.children():
        folded, before = _folded_blocks(list(stage.children()), before)
        stages.append(folded)
    detector, _ = _folded_blocks(list(network.detector.children()), before)
    told = _Affine.told(network, rotation) if rotation else None
    descriptor, _ = _folded_blocks(list(network.descriptor.children()), before, told)
    halves = (
        nn.Sequential(*stages[:FINE_STAGES]),
        nn.Sequential(*stages[FINE_STAGES:]),
        detector,
        descriptor,
    )
    for half in halves:
        # torch's own annotations leave this documented form out.
        half.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FoldedNetwork(*halves, device, dtype)


@dataclass(frozen=True)
class _Affine:
    """Scale and shift of each channel."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def none(cls, channels: int) -> _Affine:
        """Leave everything as it is."""
        return cls(torch.ones(channels).double(), torch.zeros(channels).double())

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> _Affine:
        """Read off a batch normalisation in evaluation mode."""
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("batch normalisation keeps no running statistics")
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        return cls(scale, norm.bias.double() - norm.running_mean.double() * scale)

    @classmethod
    def told(cls, network: SuperLIM, rotation: float) -> _Affine:
        """Take what a rotation does to the descriptor head's first convolution."""
        with torch.no_grad():
            scale, shift = network.modulated(torch.tensor([rotation]))
        return cls(scale[0].double(), shift[0].double())


def _folded_blocks(
    blocks: list[nn.Module], before: _Affine, told: _Affine | None = None
) -> tuple[nn.Sequential, _Affine]:
    """Blocks without normalisation, and the scale and shift that are still to be applied.

    ``told`` follows the first convolution.
    """
    layers: list[nn.Module] = []
    norm: nn.Module = nn.Identity()
    for block in blocks:
        if isinstance(block, nn.MaxPool2d):
            # The largest of scaled values is the scaled largest where the scale is positive.
            if bool((before.scale < 0).any()):
                layers.append(copy.deepcopy(norm))
                before = _Affine.none(len(before.scale))
            layers.append(block)
            continue
        conv, activation, norm = block.children()
        parts = list(conv.children()) or [conv]
        convolutions = [part for part in parts if isinstance(part, nn.Conv2d)]
        if len(convolutions) < len(parts) or not isinstance(norm, nn.BatchNorm2d):
            raise ValueError(f"block {block} is not convolution, activation, normalisation")
        after = _Affine.of(norm)
        if isinstance(activation, nn.ReLU):
            layers += [*_convolutions(convolutions, before, told), nn.ReLU(inplace=True)]
            before, told = after, None
        else:
            layers += _convolutions(convolutions, before, after)
            before = _Affine.none(convolutions[-1].out_channels)
    return nn.Sequential(*layers), before


def _convolutions(
    convs: list[nn.Conv2d], before: _Affine, after: _Affine | None = None
) -> list[nn.Module]:
    """Convolutions behind each other that take what is before the first and after the last."""
    made: list[nn.Module] = []
    for number, conv in enumerate(convs):
        made.append(_convolution(conv, before, after if number == len(convs) - 1 else None))
        before = _Affine.none(conv.out_channels)
    return made


def _convolution(conv: nn.Conv2d, before: _Affine, after: _Affine | None = None) -> nn.Conv2d:
    """Convolution with a scale and shift of its input, and of its output, in its weights."""
    weight = conv.weight.detach().double()
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    # Inputs (outputs, inputs of a group) that each output sees.
    seen = torch.arange(conv.in_channels).reshape(conv.groups, -1)
    seen = seen.repeat_interleave(conv.out_channels // conv.groups, dim=0)
    shifted = bias.double() + (weight.sum((2, 3)) * before.shift[seen]).sum(1)
    weight = weight * before.scale[seen][:, :, None, None]
    if after is not None:
        weight, shifted = weight * after.scale[:, None, None, None], shifted * after.scale
        shifted = shifted + after.shift
    side = conv.kernel_size[0]
    made = nn.Conv2d(conv.in_channels, conv.out_channels, side, groups=conv.groups)
    made.weight = nn.Parameter(weight.float(), requires_grad=False)
    made.bias = nn.Parameter(shifted.float(), requires_grad=False)
    return made
