"""EN: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention, resolve


def entropy(
    I_f: Any, *, convention: str | Convention = "paper", epsilon: float | None = None, name: str | None = None
) -> float:
    """EN, the Shannon entropy of the gray levels, in bits.

    ``-sum_v p(v) log2 p(v)`` over the 256-bin histogram of the image rounded to whole levels. Range 0
    (constant) to 8 (all levels equally often). More contrast or more noise raises it; the sources play no
    part.

    Args:
        I_f: fused image (H, W) in 0..255, at least 1x1.
        convention: see `Convention`; only "ivif_zoo" differs, by less than 1e-4.
        epsilon: added to p inside the logarithm; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`.

    Source:
        Roberts, van Aardt and Ahmed, J. Appl. Remote Sens. 2 (2008); histogram as in the paper's evaluator.
    """
    chosen = resolve(convention, entropy_epsilon=epsilon)
    return entropy_of(as_planes((I_f,), name=name), chosen)[0]


def entropy_of(planes: np.ndarray, convention: Convention) -> Value:
    """EN of the first of checked planes, float64 (1 or 3, H, W) in 0..255."""
    levels = np.rint(planes[0]).astype(np.uint8)  # (H, W)
    return bits(np.bincount(levels.ravel()), convention.entropy_epsilon), ""


def bits(counts: np.ndarray, epsilon: float = 0.0) -> float:
    """Shannon entropy of a histogram, ``-sum p log2(p + epsilon)`` over its bins that are not empty."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p + epsilon)).sum()) + 0.0  # + 0.0 turns -0.0 into 0.0
