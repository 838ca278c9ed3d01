"""Where the textures of training pairs come from: real scenes, simulated ice, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lagrangian_ice.errors import SceneError
from lagrangian_ice.scenes.reader import open_scene, read_band
from lagrangian_ice.simulate.texture import ice_texture
from lagrangian_ice.superlim.scaling import Pixels

TextureSource = Callable[[np.random.Generator], Pixels]
"""Gives a texture (rows, cols) without gaps for each call."""

LARGEST_GAP = 0.02
"""Share of a texture's pixels that may lack data; they get the mean of the others."""
TRIES = 200
FLOOR = 1e-3


def simulated(side: int) -> TextureSource:
    """Textures of ``side`` x ``side`` pixels of simulated ice."""
    return lambda rng: ice_texture((side, side), rng)


def from_scenes(
    paths: Sequence[Path], side: int, simulated_share: float = 0.0, least: int = 1
) -> TextureSource:
    """Textures cut from real scenes, turned and mirrored, in proportion to their size.

    Parameters
    ----------
    paths : sequence of Path
        Scenes that the readers open; each band is a texture. They are held in memory.
    side : int
        Pixels; smaller where a scene is.
    simulated_share : float
        Share of the textures that is simulated instead, 0 to 1.
    least : int
        Pixels that a scene must have along each side.

    Raises
    ------
    SceneError
        If a scene cannot be read or is too small, or none has a part without gaps.
    ValueError
        If there are no paths.
    """
    if not paths:
        raise ValueError("no scenes to take textures from")
    bands = [band for path in paths for band in _bands(path, least)]
    weight = np.array([np.isfinite(band).sum() for band in bands], dtype=np.float64)

    def texture(rng: np.random.Generator) -> Pixels:
        if rng.random() < simulated_share:
            return ice_texture((side, side), rng)
        for _ in range(TRIES):
            band = bands[rng.choice(len(bands), p=weight / weight.sum())]
            cut = _cut(band, side, rng)
            if np.isnan(cut).mean() < LARGEST_GAP:
                return _filled(_turned(cut, rng))
        raise SceneError(f"{paths[0]}: no part of {side} px without gaps in this and the others")

    return texture


def _bands(path: Path, least: int) -> list[Pixels]:
    """Bands in dB or grey levels."""
    scene = open_scene(path)
    if min(scene.shape) < least:
        rows, cols = scene.shape
        raise SceneError(
            f"{path}: {rows} x {cols} pixels are too few for views of {least}; leave it out, or "
            "give a smaller --size"
        )
    bands = [read_band(scene, name) for name in scene.polarisations]
    if scene.units != "linear":
        return bands
    return [np.asarray(10 * np.log10(np.maximum(b, FLOOR)), dtype=np.float32) for b in bands]


def _cut(band: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    rows, cols = (min(side, n) for n in band.shape)
    row = int(rng.integers(0, band.shape[0] - rows + 1))
    col = int(rng.integers(0, band.shape[1] - cols + 1))
    return band[row : row + rows, col : col + cols]


def _turned(texture: Pixels, rng: np.random.Generator) -> Pixels:
    turned = np.rot90(texture, int(rng.integers(4)))
    return turned[:, ::-1] if rng.random() < 0.5 else turned


def _filled(texture: Pixels) -> Pixels:
    filled = np.array(texture, dtype=np.float32)
    filled[np.isnan(filled)] = np.nanmean(texture)
    return filled
