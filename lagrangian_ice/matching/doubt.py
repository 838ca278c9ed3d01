"""The doubt about a match: whether it may be of other ice than was looked for.

Most vectors that are wrong have a crack under their template. It takes time to open, leaves
open which side was found, and the affine motion that is fitted across it turns and strains
otherwise than ice does. The chance goes with the product of the three (decision 0035).
"""

from __future__ import annotations

import numpy as np

from lagrangian_ice.grid import Float


def doubt(error: Float, days: float | Float, turns: tuple[Float, Float], strain: Float) -> Float:
    """Multiply what makes a match doubtful.

    Parameters
    ----------
    error : (N,) float64
        Standard error of the ends, in any unit of length.
    days : float or (N,) float64
        That have passed.
    turns : tuple of (N,) float64
        What the templates have turned, and what the ice around has, degrees. A floe that turned
        as the ice around did is in no doubt: the less of what it turned on the map and beside
        that ice counts.
    strain : (N, 3) float64
        Of the templates.

    Returns
    -------
    (N,) float64
        Error times days times the root of the sum of squares of turn (radians) and strain.
    """
    rotation, around = turns
    otherwise = (rotation - around + 180.0) % 360.0 - 180.0
    turned = np.radians(np.minimum(np.abs(rotation), np.abs(otherwise)))
    deformed = np.hypot(turned, np.linalg.norm(strain, axis=1))
    return np.asarray(error * days * deformed, dtype=np.float64)
