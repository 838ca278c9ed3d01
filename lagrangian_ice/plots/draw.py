"""One entry for all figures."""

from __future__ import annotations

from pathlib import Path

from lagrangian_ice.plots.figures import (
    plot_coverage,
    plot_deformation,
    plot_drift,
    plot_trajectories,
)

FIGURES = {
    "trajectories": plot_trajectories,
    "drift": plot_drift,
    "deformation": plot_deformation,
    "coverage": plot_coverage,
}


def plot(what: str, file: str | Path, out: str | Path) -> Path:
    """Draw one figure of a product.

    Parameters
    ----------
    what : {"trajectories", "drift", "deformation", "coverage"}
        Which figure; they want ``_LP.nc``, ``_PD.nc``, ``_DP.nc`` and ``_LP.nc``.
    file : str or Path
        Product.
    out : str or Path
        PNG to write.

    Returns
    -------
    Path
        Of the PNG.

    Raises
    ------
    ValueError
        If the figure is not known or ``out`` is not a PNG.
    ProductError
        If the product cannot be read, has nothing to draw, or the figure cannot be written.
    """
    if what not in FIGURES:
        raise ValueError(f"figure {what!r} is not known; allowed are {', '.join(FIGURES)}")
    if Path(out).suffix.lower() != ".png":
        raise ValueError(f"figure {out}: the name must end in .png")
    return FIGURES[what](file, out)
