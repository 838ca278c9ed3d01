"""Losses of descriptors and detector on pairs of known motion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

POSITIVE_MARGIN, NEGATIVE_MARGIN = 1.0, 0.2
"""Similarities beyond which the hinge loss is content (SuperPoint, section 3.4)."""
POSITIVE_WEIGHT = 250.0
"""Of a matching pair of cells beside one that does not match (the same)."""
MATCH_RADIUS = 1.0
"""Cells from the truth within which a target cell matches."""


def bilinear_targets(cells: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Soft label of each source place over the target's cells.

    Parameters
    ----------
    cells : Tensor
        (B, N, 2) true row, column in the target, in cells; NaN where there is none.
    height, width : int
        Cells of the target.

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


def all_cells(descriptors: Tensor) -> Tensor:
    """Descriptors of every cell, (B, D, h, w) -> (B, h * w, D)."""
    return descriptors.flatten(2).transpose(1, 2)


def sampled(descriptors: Tensor, at: Tensor) -> Tensor:
    """Descriptors at places between cells, as parcels are looked up.

    Parameters
    ----------
    descriptors : Tensor
        (B, D, h, w).
    at : Tensor
        (B, N, 2) row, column in cells; NaN where there is none.

    Returns
    -------
    Tensor
        (B, N, D) of unit length; zero where there is no place or it is not inside.
    """
    index, weight = bilinear_targets(at, *descriptors.shape[-2:])
    corners = index.flatten(1)[..., None].expand(-1, -1, descriptors.shape[1])
    values = torch.gather(all_cells(descriptors), 1, corners)
    values = values.view(*index.shape, -1) * weight[..., None]
    return functional.normalize(values.sum(dim=2), dim=-1)


def infonce_loss(source: Tensor, target: Tensor, cells: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each source place's similarity to all target cells, both ways.

    InfoNCE (van den Oord et al. 2018) with bilinear soft labels: the similarity map is
    taught to peak between cells where the truth lies between cells. The backward term runs
    the softmax over the source places, so that matches are mutual; the sum of both is the
    dual-softmax loss (Sun et al. 2021). The softmax weighs the hardest negatives most.

    Parameters
    ----------
    source : Tensor
        (B, N, D) unit descriptors of places in the source.
    target : Tensor
        (B, D, h, w) unit descriptors.
    cells : Tensor
        (B, N, 2) true target row, column in cells of each place; NaN where none.
    temperature : float
        Of the softmax.
    """
    height, width = target.shape[-2:]
    similarity = source @ target.flatten(2) / temperature
    index, weight = bilinear_targets(cells, height, width)
    forward = torch.gather(functional.log_softmax(similarity, dim=2), 2, index)
    backward = torch.gather(functional.log_softmax(similarity, dim=1), 2, index)
    return -((forward + backward) * weight).sum() / (2 * weight.sum()).clamp_min(1)


def hinge_loss(source: Tensor, target: Tensor, cells: Tensor, hardest: int | None = None) -> Tensor:
    """Hinge on matching and non-matching cells (SuperPoint, eq. 5 and 6).

    Parameters
    ----------
    source, target, cells : Tensor
        As in :func:`infonce_loss`.
    hardest : int, optional
        Non-matching cells of each place that count, the most similar first. All by default,
        as published: then all pairs of cells have one mean, with ``POSITIVE_WEIGHT``; else
        matching and non-matching cells have a mean each.
    """
    height, width = target.shape[-2:]
    similarity = source @ target.flatten(2)
    rows, cols = torch.meshgrid(
        torch.arange(height, device=cells.device),
        torch.arange(width, device=cells.device),
        indexing="ij",
    )
    places = torch.stack([rows, cols], dim=-1).reshape(1, 1, -1, 2)
    # NaN compares as false: what has no truth matches nothing.
    matching = (places - cells[:, :, None]).norm(dim=-1) <= MATCH_RADIUS
    known = torch.isfinite(cells).all(dim=-1)
    attract: Tensor = (POSITIVE_MARGIN - similarity).clamp_min(0) * matching
    repel: Tensor = (similarity - NEGATIVE_MARGIN).clamp_min(0) * (~matching & known[..., None])
    if hardest is None:
        pairs = known.sum().clamp_min(1) * height * width
        mean: Tensor = (POSITIVE_WEIGHT * attract.sum() + repel.sum()) / pairs
        return mean
    most = min(hardest, height * width)
    worst: Tensor = repel.topk(most, dim=-1).values.sum() / (known.sum().clamp_min(1) * most)
    near: Tensor = attract.sum() / matching.sum().clamp_min(1)
    return near + worst


def right_share(source: Tensor, target: Tensor, cells: Tensor) -> float:
    """Share of places whose most similar target cell is within one cell of the truth."""
    width = target.shape[-1]
    best = (source @ target.flatten(2)).argmax(dim=2)
    found = torch.stack([best // width, best % width], dim=-1)
    known = torch.isfinite(cells).all(dim=-1)
    right = (found - cells).norm(dim=-1)[known] <= MATCH_RADIUS
    return float(right.float().mean()) if len(right) else float("nan")


def detector_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the 64 pixels of a cell and "no keypoint" (SuperPoint, eq. 2).

    Parameters
    ----------
    logits : Tensor
        (B, 65, h, w).
    labels : Tensor
        (B, h, w) int64, 64 where the cell has no keypoint, -100 where nothing is known.
    """
    return functional.cross_entropy(logits, labels)


def teacher_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with another network's detector: what it has learnt is kept.

    Parameters
    ----------
    logits, wanted : Tensor
        (B, 65, h, w).
    """
    return functional.cross_entropy(logits, torch.softmax(wanted, dim=1))
