"""SF: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention


def spatial_frequency(I_f: Any, *, name: str | None = None) -> float:
    """SF, the root mean square difference of neighbouring pixels, in gray levels.

    ``sqrt(mean(d_x^2) + mean(d_y^2))`` with differences of horizontal and of vertical neighbours. Range 0
    (constant) to 255 sqrt(2) (a one-pixel checkerboard). Sharpness and noise both raise it. All
    conventions agree.

    Args:
        I_f: fused image (H, W) in 0..255, at least 2x2.
        name: for messages.

    Raises:
        InputError: see `as_planes`.

    Source:
        Eskicioglu and Fisher, IEEE Trans. Commun. 43 (1995).
    """
    return spatial_frequency_of(as_planes((I_f,), min_side=2, name=name), Convention())[0]


def spatial_frequency_of(planes: np.ndarray, convention: Convention) -> Value:
    """SF of the first of checked planes, float64 (1 or 3, H, W) in 0..255."""
    d_x, d_y = np.diff(planes[0], axis=1), np.diff(planes[0], axis=0)
    return math.sqrt(np.mean(d_x * d_x) + np.mean(d_y * d_y)), ""
