"""Brute-force matching of descriptors, block by block inside a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.engine import one_thread, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.subcell import AROUND, peak_offset
from lagrangian_ice.superlim.features import STRIDE, Features, cell_to_rowcol, rowcol_to_cell

Index = NDArray[np.intp]
NONE = np.float32(-2.0)
"""Similarity to what is no candidate."""
SUBCELL_CHUNK = 2048
KEPT = 0.999
"""Share of the descriptors' length, squared, that is compared."""
AXES_STEP = 4
"""Every so many cells say along which axes the descriptors vary."""
AXES_GROUP = 16
"""Axes are taken in groups of so many, which products of matrices like."""


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


@dataclass(frozen=True)
class CellPair:
    """Cells of two images, ready to be compared.

    Attributes
    ----------
    source, target : Features
        Of images with the same pixel size.
    source_descriptors, target_descriptors : (cells, K) float32 Tensor
        Row by row, in the axes along which the descriptors of these images vary most: K of the
        256 hold all but ``1 - KEPT`` of them, and products over K values cost less.
    """

    source: Features
    target: Features
    source_descriptors: Tensor
    target_descriptors: Tensor

    @classmethod
    def of(cls, source: Features, target: Features) -> CellPair:
        """Make two images ready.

        Raises
        ------
        ValueError
            If the pixel sizes differ.
        """
        if source.grid.pixel != target.grid.pixel:
            raise ValueError(
                f"pixels of {source.grid.pixel} and {target.grid.pixel} m do not match"
            )
        with one_thread():
            axes = _main_axes(source, target)
        first, second = thread_map(lambda features: _along(features, axes), (source, target))
        return cls(source, target, first, second)


def _main_axes(source: Features, target: Features) -> Tensor:
    """Orthonormal axes (256, K) that hold ``KEPT`` of the descriptors of both images."""
    size = source.descriptors.shape[-1]
    products = torch.zeros(size, size)
    for features in (source, target):
        some = torch.from_numpy(features.descriptors[features.valid][::AXES_STEP]).float()
        products += some.T @ some
    strength, axes = torch.linalg.eigh(products.double())
    share = strength.flip(0).clamp_min(0).cumsum(0) / strength.sum().clamp_min(1e-30)
    enough = int((share < KEPT).sum()) + 1
    count = min(-(-enough // AXES_GROUP) * AXES_GROUP, size)
    main: Tensor = axes.flip(1)[:, :count].float()
    return main


def _along(features: Features, axes: Tensor) -> Tensor:
    """Descriptors (cells, K) along the axes; 0 where a cell has no data."""
    turned = torch.zeros(features.valid.size, axes.shape[1])
    valid = torch.from_numpy(features.valid.ravel())
    turned[valid] = torch.from_numpy(features.descriptors[features.valid]).float() @ axes
    return turned


def match_cells(
    pair: CellPair,
    windows: Windows,
    looking: NDArray[np.bool_] | None = None,
    *,
    between: bool = True,
) -> Matches:
    """Mutual best matches between the cells of two images.

    Parameters
    ----------
    pair : CellPair
        Both images.
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
    """
    search = _Search.prepare(pair, pair.source.valid if looking is None else looking)
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
    """What one block found: M source cells, the W target cells of their window.

    ``wanted`` (M,) is the target cell that each source cell is most like, ``similarity`` (M,)
    how much. ``highest`` (W,) is each target cell's highest similarity, and ``answer`` (W,) the
    source cell that it is most like, where one wants it; else -1.
    """

    source: Index
    wanted: Index
    similarity: NDArray[np.float32]
    target: Index
    highest: NDArray[np.float32]
    answer: Index


@dataclass
class _Search:
    """Running bests of a match in progress; cells are counted row by row."""

    pair: CellPair
    looking: NDArray[np.bool_]
    shift: Float
    wanted: Index
    similarity: NDArray[np.float32]
    highest: NDArray[np.float32]
    answer: Index

    @classmethod
    def prepare(cls, pair: CellPair, looking: NDArray[np.bool_]) -> _Search:
        count0, count1 = len(pair.source_descriptors), len(pair.target_descriptors)
        # Cell (0, 0) of the source expressed in the target's cells.
        origin = pair.source.grid.xy(cell_to_rowcol(np.zeros(2)))
        return cls(
            pair,
            looking & pair.source.valid,
            rowcol_to_cell(pair.target.grid.rowcol(origin)),
            np.full(count0, -1, dtype=np.intp),
            np.full(count0, NONE),
            np.full(count1, NONE),
            np.full(count1, -1, dtype=np.intp),
        )

    def look(self, block_row: int, block_col: int, windows: Windows) -> _Bests | None:
        """Compare one block of source cells with the target cells of its window."""
        height, width = self.pair.source.valid.shape
        side = windows.block
        rows = np.arange(block_row * side, min((block_row + 1) * side, height))
        cols = np.arange(block_col * side, min((block_col + 1) * side, width))
        keep = self.looking[np.ix_(rows, cols)].ravel()
        if not keep.any():
            return None
        cell_size = STRIDE * self.pair.source.grid.pixel
        radius = windows.radius / cell_size
        east, north = windows.displacement[block_row, block_col]
        move = np.array([-north, east]) / cell_size + self.shift
        there = self._window(rows, cols, move, radius)
        valid = self.pair.target.valid[np.ix_(*there)]
        if not valid.any():
            return None
        cells = _grid_points(rows, cols)[keep]
        source = cells @ np.array([width, 1])
        target = _grid_points(*there) @ np.array([self.pair.target.valid.shape[1], 1])
        left, right = self.pair.source_descriptors[source], self.pair.target_descriptors[target]
        similarity = (left @ right.T).numpy()
        np.copyto(similarity, NONE, where=_outside(cells + move, there, radius, valid))
        # Indices of the highest along both axes, of all cells, would take twenty times as long.
        best = similarity.argmax(axis=1)
        answer = np.full(len(target), -1)
        answer[best] = source[similarity[:, best].argmax(axis=0)]
        value = similarity[np.arange(len(best)), best]
        return _Bests(source, target[best], value, target, similarity.max(axis=0), answer)

    def _window(self, rows: Index, cols: Index, move: Float, radius: float) -> tuple[Index, Index]:
        ranges = []
        for axis, cells in enumerate((rows, cols)):
            first = int(np.ceil(cells[0] + move[axis] - radius))
            last = int(np.floor(cells[-1] + move[axis] + radius))
            size = self.pair.target.valid.shape[axis]
            ranges.append(np.arange(max(first, 0), min(last + 1, size)))
        return ranges[0], ranges[1]

    def record(self, bests: _Bests) -> None:
        """Take in the bests of one block; of equal ones the earlier block's stays."""
        self.similarity[bests.source] = bests.similarity
        self.wanted[bests.source] = bests.wanted
        better = bests.highest > self.highest[bests.target]
        improved = bests.target[better]
        self.highest[improved] = bests.highest[better]
        self.answer[improved] = bests.answer[better]

    def mutual(self, between: bool) -> Matches:
        """Return the matches of which each end chose the other."""
        index0 = np.flatnonzero(self.similarity > NONE)
        index1 = self.wanted[index0]
        both = self.answer[index1] == index0
        index0, index1 = index0[both], index1[both]
        width0, width1 = self.pair.source.valid.shape[1], self.pair.target.valid.shape[1]
        cells0 = np.stack([index0 // width0, index0 % width0], axis=1)
        cells1 = np.stack([index1 // width1, index1 % width1], axis=1)
        ends = cells1 + self._subcell(index0, cells1) if between else cells1
        return Matches(
            self.pair.source.grid.xy(cell_to_rowcol(cells0)),
            self.pair.target.grid.xy(cell_to_rowcol(ends)),
            self.similarity[index0],
        )

    def _subcell(self, index0: Index, cells1: Index) -> Float:
        """Offset (M, 2) in cells of the similarity's peak among the 3 x 3 cells around."""
        parts = [
            slice(first, first + SUBCELL_CHUNK) for first in range(0, len(cells1), SUBCELL_CHUNK)
        ]
        offsets = thread_map(
            lambda part: peak_offset(self._around(index0[part], cells1[part])), parts
        )
        return np.concatenate([np.empty((0, 2)), *offsets])

    def _around(self, index0: Index, cells1: Index) -> Float:
        """Similarity (M, 9) to the cells around the best one; -inf where there is none."""
        height, width = self.pair.target.valid.shape
        left = self.pair.source_descriptors[index0]
        right = self.pair.target_descriptors
        similarity = np.full((len(cells1), 9), -np.inf)
        for k, (i, j) in enumerate(AROUND):
            rows, cols = cells1[:, 0] + i, cells1[:, 1] + j
            inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
            inside[inside] = self.pair.target.valid[rows[inside], cols[inside]]
            index = torch.from_numpy(rows[inside] * width + cols[inside])
            dots = (left[torch.from_numpy(inside)] * right[index]).sum(dim=1)
            similarity[inside, k] = dots.numpy()
        return similarity


def _grid_points(rows: Index, cols: Index) -> Index:
    """All (row, col) pairs (N, 2), row by row."""
    first, second = np.meshgrid(rows, cols, indexing="ij")
    return np.stack([first.ravel(), second.ravel()], axis=1)


def _outside(
    centres: Float, window: tuple[Index, Index], radius: float, valid: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mask (N, W) of the window's cells beyond the circle around each centre, or without data."""
    rows, cols = window
    across = np.abs(cols - centres[:, 1:]).astype(np.float32)
    square = radius**2 - (rows - centres[:, :1]) ** 2
    half = np.where(square >= 0, np.sqrt(np.abs(square)), -1.0).astype(np.float32)
    outside = across[:, None, :] > half[:, :, None]
    if not valid.all():
        outside |= ~valid
    return outside.reshape(len(centres), -1)
