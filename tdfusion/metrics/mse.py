"""MSE: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention, resolve


def mse(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    value_range: float | None = None,
    name: str | None = None,
) -> float:
    """MSE, the mean squared difference of the fused image from the sources, in gray levels squared; lower is better.

    ``(mean((I_f - I_a)^2) + mean((I_f - I_b)^2)) / 2``, the mean over the sources. Range 0 (F = A = B) to 255^2. The
    mean of the sources has the lowest that is possible, a quarter of their own squared difference, so it rewards the
    plain average. On the scale 0..1, where IVIF_ZOO and common MATLAB scripts measure it, it is 65025 times less.

    Args:
        I_f: fused image (H, W) in 0..255, at least 1x1.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`; "ivif_zoo" has the scale 0..1.
        value_range: what white counts as, 255 or 1; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Jagalingam and Hegde, Aquatic Procedia 4 (2015); gray levels as in CDDFuse's evaluator.
    """
    chosen = resolve(convention, mse_range=value_range)
    return mse_of(as_planes((I_f, I_a, I_b), name=name), chosen)[0]


def mse_of(planes: np.ndarray, convention: Convention) -> Value:
    """MSE of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    return mean_squared_difference(planes) * (convention.mse_range / 255.0) ** 2, ""


def mean_squared_difference(planes: np.ndarray) -> float:
    """The mean over both sources of mean((F - S)^2), in the square of the planes' unit."""
    I_f, I_a, I_b = planes
    # einsum and not a dot product: BLAS would start threads.
    squares = (np.einsum("ij,ij->", apart, apart) for apart in (I_f - I_a, I_f - I_b))
    return float(sum(squares) / (2 * I_f.size))
