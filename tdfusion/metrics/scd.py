"""SCD: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes, constant_sources, is_constant, warned
from tdfusion.metrics.conventions import Convention


def scd(I_f: Any, I_a: Any, I_b: Any, *, name: str | None = None) -> float:
    """SCD, the sum of the correlations of differences.

    ``corr(I_a, I_f - I_b) + corr(I_b, I_f - I_a)`` with Pearson's correlation over all pixels. Range -2 to
    2; 2 if what was added to each source is a copy of the other. Undefined (NaN, with a warning) if a
    source is constant or the fused image is a source plus a constant. All conventions agree.

    Args:
        I_f: fused image (H, W) in 0..255, at least 2x2.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        name: for messages.

    Raises:
        InputError: see `as_planes`.

    Source:
        Aslantas and Bendes, AEU Int. J. Electron. Commun. 69 (2015).
    """
    planes = as_planes((I_f, I_a, I_b), min_side=2, name=name)
    return warned("SCD", scd_of(planes, Convention()), name)


def scd_of(planes: np.ndarray, convention: Convention) -> Value:
    """SCD of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    I_f, I_a, I_b = planes
    from_b, from_a = I_f - I_b, I_f - I_a
    reasons = [f"the {role} image is constant" for role in constant_sources(planes)]
    for role, difference in (("visible", from_b), ("infrared", from_a)):
        if is_constant(difference):
            reasons.append(f"the fused image equals the {role} one up to a constant")
    if reasons:
        return math.nan, " and ".join(reasons)
    return correlation(I_a, from_b) + correlation(I_b, from_a), ""


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of two planes (H, W), neither of them constant."""
    x, y = x - x.mean(), y - y.mean()
    # einsum and not a dot product: BLAS would start threads.
    xy, xx, yy = (np.einsum("ij,ij->", u, v) for u, v in ((x, y), (x, x), (y, y)))
    return float(xy / math.sqrt(xx * yy))
