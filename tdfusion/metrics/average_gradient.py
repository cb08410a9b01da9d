"""AG: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention


def average_gradient(I_f: Any, *, name: str | None = None) -> float:
    """AG, the average gradient, in gray levels per pixel.

    ``mean(sqrt((g_x^2 + g_y^2) / 2))`` with central differences g, half the difference of the two neighbours, and
    on the border the difference to the one neighbour inside. Range 0 (constant) to below 255. Sharpness, contrast
    and noise all raise it, but a one-pixel checkerboard is 0 inside: central differences do not see it. The named
    conventions agree. VIFB and common MATLAB scripts divide the sum by (H - 1)(W - 1) and not by the number of
    pixels, which is 0.4 % more at 480x640.

    Args:
        I_f: fused image (H, W) in 0..255, at least 2x2.
        name: for messages.

    Raises:
        InputError: see `as_planes`.

    Source:
        Cui, Feng, Xu, Li and Chen, Opt. Commun. 341 (2015); mean over pixels as in CDDFuse's evaluator and IVIF_ZOO.
    """
    return average_gradient_of(as_planes((I_f,), min_side=2, name=name), Convention())[0]


def average_gradient_of(planes: np.ndarray, convention: Convention) -> Value:
    """AG of the first of checked planes, float64 (1 or 3, H, W) in 0..255."""
    g_y, g_x = np.gradient(planes[0])  # (H, W) each
    g_x *= g_x
    g_y *= g_y
    g_x += g_y
    g_x /= 2.0
    return float(np.sqrt(g_x, out=g_x).mean()), ""
