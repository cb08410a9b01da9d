"""VIF: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import ROLES, Value, as_planes, constant_sources, warned
from tdfusion.metrics.conventions import Convention, over_sources, resolve
from tdfusion.metrics.filters import (
    correlate_valid,
    covariances,
    gaussian_taps,
    products,
    strips,
    zero_padded,
)

VIF_MIN_SIDE = 41  # below it the coarsest scale has no window left

_SCALES = 4
_NOISE = 2.0  # variance of the visual noise
_FLOOR = 1e-10  # variance below which a window counts as flat
_LOG_GROUP = 64  # ratios multiplied before one logarithm: each is below 1e4, so the product stays finite


def vif(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    reduce: str | None = None,
    border: str | None = None,
    kernel: str | None = None,
    name: str | None = None,
) -> float:
    """VIF, visual information fidelity in the pixel domain, of the fused image against both sources.

    Per source S, over four scales with Gaussian windows of N = 17, 9, 5, 3 pixels (standard deviation
    N/5) and local moments s: ``sum log(1 + g^2 s_SS / (s_FF - g s_SF + 2)) / sum log(1 + s_SS / 2)``,
    ``g = max(0, s_SF / s_SS)``. Between scales the images are filtered and halved. Range from 0; 1 for F =
    S; above 1 where F has more contrast than S. The paper takes the mean of the two sources, other
    evaluators the sum. Undefined (NaN, with a warning) if a source is constant; CDDFuse's code returns 1
    there.

    Args:
        I_f: fused image (H, W) in 0..255, at least 41x41.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`.
        reduce: "mean" or "sum" of the sources; None takes the convention's.
        border: "valid" or "zero"; None takes the convention's.
        kernel: "centred" or "shifted"; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Sheikh and Bovik, IEEE Trans. Image Process. 15 (2006), the authors' vifp; values of sewar.
    """
    chosen = resolve(convention, vif_reduce=reduce, vif_border=border, vif_kernel=kernel)
    planes = as_planes((I_f, I_a, I_b), min_side=VIF_MIN_SIDE, name=name)
    return warned("VIF", vif_of(planes, chosen), name)


def vif_of(planes: np.ndarray, convention: Convention) -> Value:
    """VIF of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    per_source = vif_per_source(planes, border=convention.vif_border, kernel=convention.vif_kernel)  # (2,)
    constant = constant_sources(planes)
    empty = [role for role, value in zip(ROLES[1:], per_source) if role in constant or math.isnan(value)]
    if empty:
        return math.nan, " and ".join(f"the {role} image is constant" for role in empty)
    return over_sources(per_source, convention.vif_reduce), ""


def vif_per_source(stack: np.ndarray, *, border: str = "valid", kernel: str = "centred") -> np.ndarray:
    """Pixel-domain VIF of (A, F) and (B, F): float64 (2,), NaN for a source without local variance.

    Args:
        stack: float64 (3, H, W) in 0..255: F, A, B.
        border: "valid" or "zero", see `Convention`.
        kernel: "centred" or "shifted", see `Convention`.
    """
    gained, carried = np.zeros(2), np.zeros(2)
    for scale in range(_SCALES):
        size = 2 ** (_SCALES - scale) + 1
        taps = gaussian_taps(size, size / 5, shifted=kernel == "shifted")
        pad = size // 2 if border == "zero" else 0
        if scale:
            stack = correlate_valid(zero_padded(stack, pad), taps, stride=2)
        padded = zero_padded(stack, pad)
        reach = size - 1
        for first, last in strips(padded.shape[1] - reach, padded.shape[2]):
            fields = products(padded[:, first : last + reach])
            local = covariances(correlate_valid(fields, taps))  # (5, h, w)
            _add_information(local, gained, carried)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(carried > 0, gained / carried, np.nan)


def _add_information(local: np.ndarray, gained: np.ndarray, carried: np.ndarray) -> None:
    """Add the information that F keeps and that each source carries; overwrites ``local`` (5, h, w)."""
    noisy_F = local[0] + _NOISE
    for k in (0, 1):
        variance, shared = local[1 + k], local[3 + k]
        variance *= variance >= _FLOOR  # rounding noise of flat areas must not add up
        gain = shared / (variance + _FLOOR)
        np.maximum(gain, 0.0, out=gain)
        shared *= gain
        np.subtract(noisy_F, shared, out=shared)  # what the gain leaves unexplained, plus the noise
        gain *= gain
        gain *= variance
        gain /= shared
        gain += 1.0
        gained[k] += _sum_of_logs(gain)
        variance /= _NOISE
        variance += 1.0
        carried[k] += _sum_of_logs(variance)


def _sum_of_logs(ratios: np.ndarray) -> float:
    flat = ratios.reshape(-1)
    groups = len(flat) // _LOG_GROUP
    grouped = flat[: groups * _LOG_GROUP].reshape(_LOG_GROUP, groups)
    rest = flat[groups * _LOG_GROUP :]
    return float(np.log(np.multiply.reduce(grouped, axis=0)).sum() + np.log(rest).sum())
