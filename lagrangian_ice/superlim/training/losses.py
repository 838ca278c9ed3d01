"""Losses of descriptors and detector on pairs of known motion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def bilinear_targets(cells: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Soft label of each source cell over the target's cells.

    Parameters
    ----------
    cells : Tensor
        (B, N, 2) true row, column in the target, in cells; NaN where there is none.

    Returns
    -------
    index : Tensor
        (B, N, 4) int64 flat index of the four cells around.
    weight : Tensor
        (B, N, 4) bilinear weights; all zero where the position is not inside.
    """
    corner = torch.floor(cells)
    inside = (
        (corner[..., 0] >= 0)
        & (corner[..., 0] < height - 1)
        & (corner[..., 1] >= 0)
        & (corner[..., 1] < width - 1)
    )
    corner = torch.where(inside[..., None], corner, torch.zeros_like(corner))
    fraction = torch.where(inside[..., None], cells - corner, torch.zeros_like(corner))
    row, col = corner[..., 0].long(), corner[..., 1].long()
    down, right = fraction[..., 0], fraction[..., 1]
    index = torch.stack([(row + i) * width + col + j for i in (0, 1) for j in (0, 1)], dim=-1)
    weight = torch.stack(
        [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=-1
    )
    return index, weight * inside[..., None]


def descriptor_loss(source: Tensor, target: Tensor, cells: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each source cell's similarity to all target cells, both ways.

    InfoNCE (van den Oord et al. 2018) with bilinear soft labels: the similarity map is
    taught to peak between cells where the truth lies between cells. The backward term
    runs the softmax over source cells, so that matches are mutual.

    Parameters
    ----------
    source, target : Tensor
        (B, 256, h, w) unit descriptors.
    cells : Tensor
        (B, h * w, 2) true target row, column in cells of each source cell; NaN where none.
    temperature : float
        Of the softmax.
    """
    height, width = target.shape[-2:]
    similarity = source.flatten(2).transpose(1, 2) @ target.flatten(2) / temperature
    index, weight = bilinear_targets(cells, height, width)
    forward = torch.gather(functional.log_softmax(similarity, dim=2), 2, index)
    backward = torch.gather(functional.log_softmax(similarity, dim=1), 2, index)
    return -((forward + backward) * weight).sum() / (2 * weight.sum()).clamp_min(1)


def detector_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the 64 pixels of a cell and "no keypoint" (SuperPoint, eq. 2).

    Parameters
    ----------
    logits : Tensor
        (B, 65, h, w).
    labels : Tensor
        (B, h, w) int64, 64 where the cell has no keypoint.
    """
    return functional.cross_entropy(logits, labels)
