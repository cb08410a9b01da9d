"""CC: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes, constant_sources, is_constant, warned
from tdfusion.metrics.conventions import Convention
from tdfusion.metrics.scd import correlation


def correlation_coefficient(I_f: Any, I_a: Any, I_b: Any, *, name: str | None = None) -> float:
    """CC, the correlation of the fused image with the sources.

    ``(corr(I_a, I_f) + corr(I_b, I_f)) / 2``, the mean over the sources of Pearson's correlation over all pixels.
    Range -1 to 1; 1 only if both sources are the fused image up to gain and offset. Brightness and contrast play
    no part; the mean of the sources does well. Undefined (NaN, with a warning) if any of the three images is
    constant. All conventions agree.

    Args:
        I_f: fused image (H, W) in 0..255, at least 2x2.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        name: for messages.

    Raises:
        InputError: see `as_planes`.

    Source:
        Deshmukh and Bhosale, Int. J. Image Process. 4 (2010), by which fusion tables cite it.
    """
    planes = as_planes((I_f, I_a, I_b), min_side=2, name=name)
    return warned("CC", correlation_coefficient_of(planes, Convention()), name)


def correlation_coefficient_of(planes: np.ndarray, convention: Convention) -> Value:
    """CC of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    I_f, I_a, I_b = planes
    constant = (["fused"] if is_constant(I_f) else []) + constant_sources(planes)
    if constant:
        return math.nan, " and ".join(f"the {role} image is constant" for role in constant)
    return (correlation(I_a, I_f) + correlation(I_b, I_f)) / 2, ""
