"""Brute-force matching of descriptors, block by block inside a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagrangian_ice.engine import one_thread, thread_map
from lagrangian_ice.grid import Float
from lagrangian_ice.matching.subcell import BESIDE, peak_offset
from lagrangian_ice.superlim.features import STRIDE, Features, cell_to_rowcol, rowcol_to_cell

Index = NDArray[np.intp]
NONE = np.float32(-2.0)
"""Similarity to what is no candidate."""
CHUNK = 1024
"""Cells worked on at once: what they need stays in the cache."""
KEPT = 0.999
"""Share of the descriptors' length, squared, that is compared."""
AXES_CELLS = 4096
"""Of each image so many cells, evenly chosen, say along which axes the descriptors vary."""
LARGEST = 2**25
"""Similarities that one thread holds at once: 128 MiB."""
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
        From the block's rim to that of its square window, metres: each cell is compared with
        all that are so near to its expected end, and with some beyond.
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
    source_descriptors, target_descriptors : (valid cells, K) float32 Tensor
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

    def along(self, axes: int) -> CellPair:
        """Return the pair along the first, strongest, axes only: coarser and quicker."""
        return replace(
            self,
            source_descriptors=self.source_descriptors[:, :axes].contiguous(),
            target_descriptors=self.target_descriptors[:, :axes].contiguous(),
        )


def _main_axes(source: Features, target: Features) -> Tensor:
    """Orthonormal axes (256, K) that hold ``KEPT`` of the descriptors of both images."""
    size = source.descriptors.shape[-1]
    products = torch.zeros(size, size)
    for features in (source, target):
        cells = np.flatnonzero(features.valid)
        some = features.descriptors.reshape(-1, size)[cells[:: -(-len(cells) // AXES_CELLS) or 1]]
        values = torch.from_numpy(some).float()
        products += values.T @ values
    strength, axes = torch.linalg.eigh(products.double())
    share = strength.flip(0).clamp_min(0).cumsum(0) / strength.sum().clamp_min(1e-30)
    enough = int((share < KEPT).sum()) + 1
    count = min(-(-enough // AXES_GROUP) * AXES_GROUP, size)
    main: Tensor = axes.flip(1)[:, :count].float()
    return main


def _along(features: Features, axes: Tensor) -> Tensor:
    """Descriptors (valid cells, K) along the axes."""
    cells = np.flatnonzero(features.valid)
    rows = features.descriptors.reshape(-1, len(axes))
    turned = torch.empty(len(cells), axes.shape[1])
    for first in range(0, len(cells), CHUNK):
        part = slice(first, first + CHUNK)
        torch.mm(torch.from_numpy(rows[cells[part]]).float(), axes, out=turned[part])
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
    looked = pair.source.valid if looking is None else looking & pair.source.valid
    search = _Search.prepare(pair, windows, looked)
    # A row of blocks a task: a task for each block would cost as much as its work.
    for found in thread_map(search.look, range(len(windows.displacement))):
        for bests in found:
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


def any_of_block(cells: NDArray[np.bool_], block: int) -> NDArray[np.bool_]:
    """Blocks (bh, bw) in which any cell (h, w) is True."""
    firsts = (np.arange(0, size, block) for size in cells.shape)
    for axis, first in enumerate(firsts):
        cells = np.logical_or.reduceat(cells, first, axis=axis)
    return cells


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

    Cells are counted among the valid ones of their image. ``wanted`` (M,) is the target cell
    that each source cell is most like, ``similarity`` (M,) how much. ``highest`` (W,) is each
    target cell's highest similarity, and ``answer`` (W,) the source cell that it is most like,
    where one wants it; else -1.
    """

    source: Index
    wanted: Index
    similarity: NDArray[np.float32]
    target: Index
    highest: NDArray[np.float32]
    answer: Index


@dataclass
class _Search:
    """Running bests of a match in progress; cells are counted among the valid ones.

    ``source`` and ``target`` hold the count of each cell, -1 where it does not matter: source
    cells to whole blocks, target cells with a margin as wide as a window.
    """

    pair: CellPair
    windows: Windows
    source: Index
    target: Index
    shift: Float
    wanted: Index
    similarity: NDArray[np.float32]
    highest: NDArray[np.float32]
    answer: Index

    @classmethod
    def prepare(cls, pair: CellPair, windows: Windows, looking: NDArray[np.bool_]) -> _Search:
        count0, count1 = len(pair.source_descriptors), len(pair.target_descriptors)
        # Cell (0, 0) of the source expressed in the target's cells.
        origin = pair.source.grid.xy(cell_to_rowcol(np.zeros(2)))
        short = [(0, -size % windows.block) for size in looking.shape]
        source = np.where(looking, _counted(pair.source.valid), -1)
        return cls(
            pair,
            windows,
            np.pad(source, short, constant_values=-1),
            np.pad(_counted(pair.target.valid), _side(pair, windows), constant_values=-1),
            rowcol_to_cell(pair.target.grid.rowcol(origin)),
            np.full(count0, -1, dtype=np.intp),
            np.full(count0, NONE),
            np.full(count1, NONE),
            np.full(count1, -1, dtype=np.intp),
        )

    def look(self, block_row: int) -> list[_Bests]:
        """Compare the blocks of one row with the target cells of their windows."""
        columns = range(self.windows.displacement.shape[1])
        return [bests for column in columns for bests in self._look(block_row, column)]

    def _look(self, block_row: int, block_col: int) -> Iterator[_Bests]:
        block = self.windows.block
        first = np.array([block_row, block_col]) * block
        source = _known(self.source, first, block)
        east, north = self.windows.displacement[block_row, block_col]
        if len(source) == 0 or not np.isfinite(east + north):
            return
        side = _side(self.pair, self.windows)
        move = np.array([-north, east]) / _cell_size(self.pair) + self.shift
        # The window's first cell in the target with its margin, which is as wide as the window.
        corner = np.rint(first + move).astype(np.intp) + (side - (side - block) // 2)
        if (corner < 0).any() or (corner + side > self.target.shape).any():
            return
        target = _known(self.target, corner, side)
        if len(target) == 0:
            return
        right = self.pair.target_descriptors[torch.from_numpy(target)]
        # Windows of days are large: some of the source's cells after the others.
        rows = max(1, LARGEST // len(target))
        for start in range(0, len(source), rows):
            yield self._bests(source[start : start + rows], target, right)

    def _bests(self, source: Index, target: Index, right: Tensor) -> _Bests:
        """Compare source cells with target cells, whose descriptors are given."""
        left = self.pair.source_descriptors[torch.from_numpy(source)]
        similarity = (left @ right.T).numpy()
        # Indices of the highest along both axes, of all cells, would take twenty times as long.
        best = similarity.argmax(axis=1)
        answer = np.full(len(target), -1)
        answer[best] = source[similarity[:, best].argmax(axis=0)]
        value = similarity[np.arange(len(best)), best]
        return _Bests(source, target[best], value, target, similarity.max(axis=0), answer)

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
        index0 = np.flatnonzero(self.wanted >= 0)
        index1 = self.wanted[index0]
        both = self.answer[index1] == index0
        index0, index1 = index0[both], index1[both]
        similarity = self.similarity[index0]
        cells0 = np.argwhere(self.pair.source.valid)[index0]
        cells1 = np.argwhere(self.pair.target.valid)[index1]
        ends = cells1 + self._subcell(index0, cells1, similarity) if between else cells1
        return Matches(
            self.pair.source.grid.xy(cell_to_rowcol(cells0)),
            self.pair.target.grid.xy(cell_to_rowcol(ends)),
            similarity,
        )

    def _subcell(self, index0: Index, cells1: Index, similarity: NDArray[np.float32]) -> Float:
        """Offset (M, 2) in cells of the similarity's peak from the best cell."""

        def fitted(first: int) -> Float:
            part = slice(first, first + CHUNK)
            beside = [self._beside(index0[part], cells1[part] + step) for step in BESIDE]
            return peak_offset(similarity[part].astype(np.float64), np.stack(beside, axis=1))

        return np.concatenate([np.empty((0, 2)), *thread_map(fitted, range(0, len(cells1), CHUNK))])

    def _beside(self, index0: Index, cells1: Index) -> Float:
        """Similarity (M,) of source cells to target cells; -inf where there is none."""
        margin = _side(self.pair, self.windows)
        index1 = self.target[cells1[:, 0] + margin, cells1[:, 1] + margin]
        left = self.pair.source_descriptors[torch.from_numpy(index0)]
        right = self.pair.target_descriptors[torch.from_numpy(np.maximum(index1, 0))]
        similarity = (left * right).sum(dim=1).double().numpy()
        return np.where(index1 >= 0, similarity, -np.inf)


def _cell_size(pair: CellPair) -> float:
    return STRIDE * pair.source.grid.pixel


def _side(pair: CellPair, windows: Windows) -> int:
    """Target cells along each side of a window."""
    return windows.block + 2 * int(np.ceil(windows.radius / _cell_size(pair)))


def _counted(valid: NDArray[np.bool_]) -> Index:
    """How many valid cells are before each valid cell, row by row; -1 where it is not valid."""
    count = np.full(valid.shape, -1, dtype=np.intp)
    count[valid] = np.arange(np.count_nonzero(valid))
    return count


def _known(counts: Index, first: Index, side: int) -> Index:
    """Return the counts of the valid cells of a square, row by row."""
    row, col = first
    square = counts[row : row + side, col : col + side].ravel()
    return square[square >= 0]
