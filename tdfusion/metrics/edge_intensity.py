"""EI: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention, resolve
from tdfusion.metrics.filters import sobel, strips


def edge_intensity(
    I_f: Any, *, convention: str | Convention = "paper", border: str | None = None, name: str | None = None
) -> float:
    """EI, the mean edge intensity: the strength of Sobel's gradient, in gray levels.

    ``mean(sqrt(s_x^2 + s_y^2))`` with Sobel 3x3, whose kernels are not divided by anything, so a ramp of one level
    per pixel has 8. Range 0 (constant) to below 1020 sqrt(2). Sharpness, contrast and noise all raise it. The border
    is continued by its own pixels, as in VIFB; IVIF_ZOO continues it by zeros, which adds a frame of strong edges to
    any image that is not black.

    Args:
        I_f: fused image (H, W) in 0..255, at least 3x3.
        convention: see `Convention`; only "ivif_zoo" differs.
        border: "replicate" or "zero"; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Rajalingam and Priya, Int. J. Eng. Sci. Invention (2018), by which VIFB cites it; border as in VIFB.
    """
    chosen = resolve(convention, ei_border=border)
    return edge_intensity_of(as_planes((I_f,), min_side=3, name=name), chosen)[0]


def edge_intensity_of(planes: np.ndarray, convention: Convention) -> Value:
    """EI of the first of checked planes, float64 (1 or 3, H, W) in 0..255."""
    padded = np.pad(planes[0], 1, mode="edge" if convention.ei_border == "replicate" else "constant")
    total = 0.0
    for first, last in strips(*planes.shape[1:]):
        s_x, s_y = sobel(padded[first : last + 2])
        total += np.sqrt(s_x * s_x + s_y * s_y).sum()
    return float(total / planes[0].size), ""
