"""SD: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention


def standard_deviation(I_f: Any, *, name: str | None = None) -> float:
    """SD, the standard deviation of the pixels, in gray levels.

    ``sqrt(mean((I_f - mean(I_f))^2))``: the sum over all pixels divided by their number, not by one less. Range 0
    (constant) to 127.5 (one half black, the other white). Contrast of any kind raises it, noise and a stretch
    included; the sources play no part. All conventions agree.

    Args:
        I_f: fused image (H, W) in 0..255, at least 1x1.
        name: for messages.

    Raises:
        InputError: see `as_planes`.

    Source:
        Rao, Meas. Sci. Technol. 8 (1997), by which fusion tables cite it.
    """
    return standard_deviation_of(as_planes((I_f,), name=name), Convention())[0]


def standard_deviation_of(planes: np.ndarray, convention: Convention) -> Value:
    """SD of the first of checked planes, float64 (1 or 3, H, W) in 0..255."""
    return float(planes[0].std()), ""
