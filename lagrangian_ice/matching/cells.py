"""Brute-force matching of descriptors, block by block inside a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.engine import thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.subcell import AROUND, peak_offset
from lagrangian_ice.superlim.features import STRIDE, Features, cell_to_rowcol, rowcol_to_cell

SUBCELL_CHUNK = 2048


@dataclass(frozen=True)
class Matches:
    """Matched cells, one row a match.

    Attributes
    ----------
    xy0, xy1 : (M, 2) float64
        Positions in source and target, EPSG:3413 metres.
    similarity : (M,) float32
        Cosine of the two descriptors.
    """

    xy0: Float
    xy1: Float
    similarity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.xy0)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Matches:
        return Matches(self.xy0[which], self.xy1[which], self.similarity[which])

    @property
    def displacement(self) -> Float:
        """(M, 2) metres."""
        return self.xy1 - self.xy0


@dataclass(frozen=True)
class Windows:
    """Where each block of source cells is looked for.

    Attributes
    ----------
    block : int
        Cells per side of a block.
    displacement : (bh, bw, 2) float64
        From each block's cells to the middle of their windows, metres; NaN leaves it out.
    radius : float
        Of the windows, metres.
    """

    block: int
    displacement: Float
    radius: float


def match_cells(
    source: Features,
    target: Features,
    windows: Windows,
    looking: NDArray[np.bool_] | None = None,
    *,
    between: bool = True,
) -> Matches:
    """Mutual best matches between the cells of two images.

    Parameters
    ----------
    source, target : Features
        Of images with the same pixel size.
    windows : Windows
        Of all blocks of the source; see :func:`block_centres`.
    looking : (h, w) bool, optional
        Source cells to match; all that are valid by default.
    between : bool
        Fit the ends between cells; else they are centres of cells.

    Returns
    -------
    Matches
        Of each source cell its most similar target cell inside the window, where it is in
        turn the most similar source cell that looked at that target cell.

    Raises
    ------
    ValueError
        If the pixel sizes differ.
    """
    if source.grid.pixel != target.grid.pixel:
        raise ValueError(f"pixels of {source.grid.pixel} and {target.grid.pixel} m do not match")
    search = _Search.prepare(source, target, source.valid if looking is None else looking)
    blocks = np.argwhere(np.isfinite(windows.displacement).all(axis=-1))
    for bests in thread_map(lambda block: search.look(block[0], block[1], windows), blocks):
        if bests is not None:
            search.record(bests)
    return search.mutual(between)


def block_centres(features: Features, block: int) -> Float:
    """Map position (bh, bw, 2) of the middle of each block of source cells."""
    height, width = features.valid.shape
    rows, cols = np.meshgrid(
        np.arange(-(-height // block)) * block, np.arange(-(-width // block)) * block, indexing="ij"
    )
    middle = np.stack([rows, cols], axis=-1) + (block - 1) / 2
    return features.grid.xy(cell_to_rowcol(middle))


def strongest_cells(features: Features, side: int) -> NDArray[np.bool_]:
    """Cell (h, w) of the highest keypoint score among each ``side`` x ``side`` valid cells."""
    height, width = features.valid.shape
    padded = (-(-height // side) * side, -(-width // side) * side)
    scores = np.full(padded, -1.0, dtype=np.float32)
    scores[:height, :width] = np.where(features.valid, features.scores, -1.0)
    groups = scores.reshape(padded[0] // side, side, padded[1] // side, side).transpose(0, 2, 1, 3)
    flat = groups.reshape(*groups.shape[:2], side * side)
    chosen = np.arange(side * side) == flat.argmax(axis=-1)[..., None]
    chosen = chosen.reshape(groups.shape).transpose(0, 2, 1, 3).reshape(padded)
    return np.asarray(chosen[:height, :width] & features.valid)


@dataclass(frozen=True)
class _Bests:
    """Most similar partner of each cell of a block and of its window."""

    source: Tensor
    source_value: Tensor
    source_choice: Tensor
    target: Tensor
    target_value: Tensor
    target_choice: Tensor


@dataclass
class _Search:
    """Running bests of a match in progress; cells are counted row by row."""

    source: Features
    target: Features
    looking: NDArray[np.bool_]
    source_descriptors: Tensor
    target_descriptors: Tensor
    shift: Float
    best_target: Tensor
    best_value: Tensor
    target_value: Tensor
    target_source: Tensor

    @classmethod
    def prepare(cls, source: Features, target: Features, looking: NDArray[np.bool_]) -> _Search:
        count0, count1 = source.valid.size, target.valid.size
        # Cell (0, 0) of the source expressed in the target's cells.
        origin = source.grid.xy(cell_to_rowcol(np.zeros(2)))
        return cls(
            source,
            target,
            looking & source.valid,
            torch.from_numpy(source.descriptors).float(),
            torch.from_numpy(target.descriptors).float(),
            rowcol_to_cell(target.grid.rowcol(origin)),
            torch.full((count0,), -1, dtype=torch.long),
            torch.full((count0,), -2.0),
            torch.full((count1,), -2.0),
            torch.full((count1,), -1, dtype=torch.long),
        )

    def look(self, block_row: int, block_col: int, windows: Windows) -> _Bests | None:
        """Compare one block of source cells with the target cells of its window."""
        height, width = self.source.valid.shape
        side = windows.block
        rows = np.arange(block_row * side, min((block_row + 1) * side, height))
        cols = np.arange(block_col * side, min((block_col + 1) * side, width))
        keep = self.looking[np.ix_(rows, cols)].ravel()
        if not keep.any():
            return None
        cell_size = STRIDE * self.source.grid.pixel
        radius = windows.radius / cell_size
        east, north = windows.displacement[block_row, block_col]
        move = np.array([-north, east]) / cell_size + self.shift
        target_rows, target_cols = self._window(rows, cols, move, radius)
        looked = self.target.valid[np.ix_(target_rows, target_cols)].ravel()
        if not looked.any():
            return None
        source_cells = _grid_points(rows, cols)[keep]
        target_cells = _grid_points(target_rows, target_cols)[looked]
        source_index = torch.from_numpy(source_cells @ np.array([width, 1]))
        target_index = torch.from_numpy(target_cells @ np.array([self.target.valid.shape[1], 1]))
        similarity = self._similarity(source_index, target_index)
        similarity.masked_fill_(_too_far(source_cells + move, target_cells, radius), -2.0)
        value, which = similarity.max(dim=1)
        target_value, target_which = similarity.max(dim=0)
        return _Bests(
            source_index,
            value,
            target_index[which],
            target_index,
            target_value,
            source_index[target_which],
        )

    def _window(
        self, rows: NDArray[np.intp], cols: NDArray[np.intp], move: Float, radius: float
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        ranges = []
        for axis, cells in enumerate((rows, cols)):
            first = int(np.ceil(cells[0] + move[axis] - radius))
            last = int(np.floor(cells[-1] + move[axis] + radius))
            size = self.target.valid.shape[axis]
            ranges.append(np.arange(max(first, 0), min(last + 1, size)))
        return ranges[0], ranges[1]

    def _similarity(self, source_index: Tensor, target_index: Tensor) -> Tensor:
        size = self.source_descriptors.shape[-1]
        left = self.source_descriptors.reshape(-1, size)[source_index]
        right = self.target_descriptors.reshape(-1, size)[target_index]
        return left @ right.T

    def record(self, bests: _Bests) -> None:
        """Take in the bests of one block; of equal ones the earlier block's stays."""
        self.best_value[bests.source] = bests.source_value
        self.best_target[bests.source] = bests.source_choice
        better = bests.target_value > self.target_value[bests.target]
        self.target_value[bests.target[better]] = bests.target_value[better]
        self.target_source[bests.target[better]] = bests.target_choice[better]

    def mutual(self, between: bool) -> Matches:
        """Return the matches of which each end chose the other."""
        index0 = torch.nonzero(self.best_value > -2.0)[:, 0]
        index1 = self.best_target[index0]
        both = self.target_source[index1] == index0
        index0, index1 = index0[both], index1[both]
        width0, width1 = self.source.valid.shape[1], self.target.valid.shape[1]
        cells0 = torch.stack([index0 // width0, index0 % width0], dim=1).numpy()
        cells1 = torch.stack([index1 // width1, index1 % width1], dim=1).numpy()
        ends = cells1 + self._subcell(index0, cells1) if between else cells1
        return Matches(
            self.source.grid.xy(cell_to_rowcol(cells0)),
            self.target.grid.xy(cell_to_rowcol(ends)),
            self.best_value[index0].numpy(),
        )

    def _subcell(self, index0: Tensor, cells1: NDArray[np.int64]) -> Float:
        """Offset (M, 2) in cells of the similarity's peak among the 3 x 3 cells around."""
        parts = [
            slice(first, first + SUBCELL_CHUNK) for first in range(0, len(cells1), SUBCELL_CHUNK)
        ]
        offsets = thread_map(
            lambda part: peak_offset(self._around(index0[part], cells1[part])), parts
        )
        return np.concatenate([np.empty((0, 2)), *offsets])

    def _around(self, index0: Tensor, cells1: NDArray[np.int64]) -> Float:
        """Similarity (M, 9) to the cells around the best one; -inf where there is none."""
        height, width = self.target.valid.shape
        size = self.source_descriptors.shape[-1]
        left = self.source_descriptors.reshape(-1, size)[index0]
        right = self.target_descriptors.reshape(-1, size)
        similarity = np.full((len(cells1), 9), -np.inf)
        for k, (i, j) in enumerate(AROUND):
            rows, cols = cells1[:, 0] + i, cells1[:, 1] + j
            inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
            inside[inside] = self.target.valid[rows[inside], cols[inside]]
            index = torch.from_numpy(rows[inside] * width + cols[inside])
            dots = (left[torch.from_numpy(inside)] * right[index]).sum(dim=1)
            similarity[inside, k] = dots.numpy()
        return similarity


def _grid_points(rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.int64]:
    """All (row, col) pairs (N, 2), row by row."""
    first, second = np.meshgrid(rows, cols, indexing="ij")
    return np.stack([first.ravel(), second.ravel()], axis=1).astype(np.int64)


def _too_far(centres: Float, cells: NDArray[np.int64], radius: float) -> Tensor:
    """Mask (N, M) of the cells outside the circle around each centre."""
    first = torch.from_numpy(centres.astype(np.float32))
    second = torch.from_numpy(cells.astype(np.float32))
    distance = torch.cdist(first, second, compute_mode="use_mm_for_euclid_dist")
    return distance > radius
