"""MS-SSIM: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes, warned
from tdfusion.metrics.conventions import Convention, over_sources, resolve
from tdfusion.metrics.filters import gaussian_taps
from tdfusion.metrics.ssim import mean_similarity

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, from the finest
_WINDOW = 11

MS_SSIM_MIN_SIDE = _WINDOW * 2 ** (len(_WEIGHTS) - 1)  # 176: one window on the coarsest scale


def ms_ssim(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    reduce: str | None = None,
    data_range: float | None = None,
    name: str | None = None,
) -> float:
    """MS-SSIM, multi-scale structural similarity of the fused image to both sources.

    Per source, the product over five scales of ``max(0, c_j)^weight_j`` with the weights 0.0448, 0.2856, 0.3001,
    0.2363, 0.1333 from the finest scale on. On the first four, c_j is the mean of SSIM's factor without local means,
    ``(2 s_FS + C2) / (s_FF + s_SS + C2)``; on the last it is the mean SSIM; windows are 11x11 Gaussian with a standard
    deviation of 1.5. Between scales 2x2 pixels become their mean; an odd last row or column is left out. Range 0 to 1;
    1 for F = S. The mean over the sources is taken, as for SSIM. Defined for constant images. Below 176 pixels a side
    the coarsest scale has no window: such images are refused, and never scored with fewer scales.

    IVIF_ZOO takes the sum, and its data range as for SSIM; CDDFuse's evaluator has none, so "cddfuse" is its SSIM's
    choices. The "MS_SSIM" of a common MATLAB script is another metric, the three-scale quality of multi-exposure
    fusion by Ma, Zeng and Wang (2015), which takes all sources at once.

    Args:
        I_f: fused image (H, W) in 0..255, at least 176x176.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`; reduce and data range are those of SSIM.
        reduce: "mean" or "sum" of the sources; None takes the convention's.
        data_range: L; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Wang, Simoncelli and Bovik, Proc. Asilomar (2003); values of piq for sides that are multiples of 16, negative
        means as zero included. torchmetrics mirrors the border on the last scale and gives others.
    """
    chosen = resolve(convention, ssim_reduce=reduce, ssim_range=data_range)
    planes = as_planes((I_f, I_a, I_b), min_side=MS_SSIM_MIN_SIDE, name=name)
    return warned("MS-SSIM", ms_ssim_of(planes, chosen), name)


def ms_ssim_of(planes: np.ndarray, convention: Convention) -> Value:
    """MS-SSIM of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    per_source = ms_ssim_per_source(planes, data_range=convention.ssim_range)  # (2,)
    return over_sources(per_source, convention.ssim_reduce), ""


def ms_ssim_per_source(stack: np.ndarray, *, data_range: float = 255.0) -> np.ndarray:
    """MS-SSIM of (F, A) and (F, B): float64 (2,). ``stack`` is float64 (3, H, W) in 0..255: F, A, B."""
    taps = gaussian_taps(_WINDOW, 1.5)
    product = np.ones(2)
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            stack = _halved(stack)
        last = scale == len(_WEIGHTS) - 1
        product *= np.maximum(mean_similarity(stack, taps, data_range, with_means=last), 0.0) ** weight
    return product


def _halved(stack: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels: (k, H, W) to (k, H // 2, W // 2)."""
    height, width = stack.shape[1] // 2 * 2, stack.shape[2] // 2 * 2
    rows = stack[:, 0:height:2, :width] + stack[:, 1:height:2, :width]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) / 4
