"""The six fusion metrics of Table 1 as pure functions on gray images (H, W) in 0..255.

Every function takes numpy arrays or torch tensors, integer or floating point, computes in float64 on the
CPU and returns a float. Floating point images are scored as they are; only EN rounds. To reproduce a
published number, score what was saved: 8-bit images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdfusion.metrics._kernels import (
    correlation,
    entropy_value,
    qabf_value,
    spatial_frequency_value,
    ssim_per_source,
    vif_per_source,
)
from tdfusion.metrics.checks import ROLES, as_plane, as_planes, constant_sources, is_constant, warn_undefined
from tdfusion.metrics.conventions import Convention, resolve

METRICS = ("EN", "SF", "SCD", "VIF", "Qabf", "SSIM")

VIF_MIN_SIDE = 41  # below it the coarsest scale has no window left
_SSIM_MIN_SIDE = {"uniform7": 7, "gaussian11": 11}


@dataclass(frozen=True)
class Measured:
    """The six values of one fused image, and why those that are NaN are undefined.

    Attributes:
        values: metric name (`METRICS`) to value.
        undefined: metric name to the reason, for every value that is NaN.
    """

    values: dict[str, float]
    undefined: dict[str, str]


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
        InputError: see `as_plane`.

    Source:
        Roberts, van Aardt and Ahmed, J. Appl. Remote Sens. 2 (2008); histogram as in the paper's evaluator.
    """
    chosen = resolve(convention, entropy_epsilon=epsilon)
    return entropy_value(as_plane(I_f, name=name), chosen.entropy_epsilon)


def spatial_frequency(I_f: Any, *, name: str | None = None) -> float:
    """SF, the root mean square difference of neighbouring pixels, in gray levels.

    ``sqrt(mean(d_x^2) + mean(d_y^2))`` with differences of horizontal and of vertical neighbours. Range 0
    (constant) to 255 sqrt(2) (a one-pixel checkerboard). Sharpness and noise both raise it. All
    conventions agree.

    Args:
        I_f: fused image (H, W) in 0..255, at least 2x2.
        name: for messages.

    Raises:
        InputError: see `as_plane`.

    Source:
        Eskicioglu and Fisher, IEEE Trans. Commun. 43 (1995).
    """
    return spatial_frequency_value(as_plane(I_f, min_side=2, name=name))


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
    value, reason = _scd(as_planes((I_f, I_a, I_b), min_side=2, name=name))
    return _warned(value, "SCD", reason, name)


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
    value, reason = _vif(as_planes((I_f, I_a, I_b), min_side=VIF_MIN_SIDE, name=name), chosen)
    return _warned(value, "VIF", reason, name)


def qabf(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    equal: str | None = None,
    orientation: str | None = None,
    name: str | None = None,
) -> float:
    """Q^AB/F, the share of the sources' edges that the fused image preserves.

    Sobel 3x3 with zero padding gives strength g and orientation alpha = atan(s_y / s_x) of each image. Per
    source S and pixel, with G = min(g_S, g_F) / max(g_S, g_F) and A = 1 - abs(alpha_S - alpha_F) / (pi/2):
    ``Q = 0.9994 / (1 + exp(-15 (G - 0.5))) * 0.9879 / (1 + exp(-22 (A - 0.8)))``; the metric is the mean of Q
    over both sources and all pixels, weighted by g_S. Range 0 to 0.9873. Where g_S = g_F, published code sets
    G to the strength itself, so F = A = B gives 0.9753. Undefined (NaN, with a warning) if both sources are
    constant: only the zero padding would count.

    Args:
        I_f: fused image (H, W) in 0..255, at least 3x3.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`; the three named ones agree.
        equal: "strength" or "one"; None takes the convention's.
        orientation: "linear" or "folded"; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Xydeas and Petrovic, Electron. Lett. 36 (2000); constants and branches of the paper's evaluator.
    """
    chosen = resolve(convention, qabf_equal=equal, qabf_orientation=orientation)
    value, reason = _qabf(as_planes((I_f, I_a, I_b), min_side=3, name=name), chosen)
    return _warned(value, "Qabf", reason, name)


def ssim(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    reduce: str | None = None,
    window: str | None = None,
    covariance: str | None = None,
    data_range: float | None = None,
    name: str | None = None,
) -> float:
    """SSIM, structural similarity of the fused image to both sources.

    Per source S, the mean over all windows inside the image of ``(2 m_F m_S + C1) (2 s_FS + C2) / ((m_F^2 +
    m_S^2 + C1) (s_FF + s_SS + C2))`` with local means m and covariances s, ``C1 = (0.01 L)^2``, ``C2 =
    (0.03 L)^2``. Range -1 to 1; 1 for F = S. The paper takes the mean of the two sources, 7x7 windows
    of equal weights and L = 255; the sum and other L are in use too. Defined for constant images.

    Args:
        I_f: fused image (H, W) in 0..255, at least 7x7 (11x11 with the Gaussian window).
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`.
        reduce: "mean" or "sum" of the sources; None takes the convention's.
        window: "uniform7" or "gaussian11"; None takes the convention's.
        covariance: "sample" or "population"; None takes the convention's.
        data_range: L; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13 (2004); values of scikit-image.
    """
    chosen = resolve(
        convention, ssim_reduce=reduce, ssim_window=window, ssim_covariance=covariance, ssim_range=data_range
    )
    stack = as_planes((I_f, I_a, I_b), min_side=_SSIM_MIN_SIDE[chosen.ssim_window], name=name)
    return _ssim(stack, chosen)


def all_metrics(
    I_f: Any, I_a: Any, I_b: Any, convention: str | Convention = "paper", *, name: str | None = None
) -> dict[str, float]:
    """All six, in the order of Table 1: ``{"EN": ..., "SF", "SCD", "VIF", "Qabf", "SSIM"}``.

    Args:
        I_f: fused image (H, W) in 0..255, at least 41x41.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: "paper", "cddfuse", "ivif_zoo" or a `Convention`.
        name: for messages.

    Returns:
        Six floats; NaN, with an `UndefinedMetricWarning`, where a metric is 0/0.

    Raises:
        InputError: see `as_planes`; an unknown convention.
    """
    measured = measure(I_f, I_a, I_b, convention, name=name)
    for metric, value in measured.values.items():
        _warned(value, metric, measured.undefined.get(metric, ""), name)
    return measured.values


def measure(
    I_f: Any, I_a: Any, I_b: Any, convention: str | Convention = "paper", *, name: str | None = None
) -> Measured:
    """`all_metrics` without warnings: what is undefined is said in the result. Arguments as there."""
    chosen = resolve(convention)
    stack = as_planes((I_f, I_a, I_b), min_side=VIF_MIN_SIDE, name=name)
    found = {
        "EN": (entropy_value(stack[0], chosen.entropy_epsilon), ""),
        "SF": (spatial_frequency_value(stack[0]), ""),
        "SCD": _scd(stack),
        "VIF": _vif(stack, chosen),
        "Qabf": _qabf(stack, chosen),
        "SSIM": (_ssim(stack, chosen), ""),
    }
    return Measured(
        values={metric: value for metric, (value, _) in found.items()},
        undefined={metric: reason for metric, (_, reason) in found.items() if reason},
    )


def _scd(stack: np.ndarray) -> tuple[float, str]:
    I_f, I_a, I_b = stack
    from_b, from_a = I_f - I_b, I_f - I_a
    reasons = [f"the {role} image is constant" for role in constant_sources(stack)]
    for role, difference in (("visible", from_b), ("infrared", from_a)):
        if is_constant(difference):
            reasons.append(f"the fused image equals the {role} one up to a constant")
    if reasons:
        return math.nan, " and ".join(reasons)
    return correlation(I_a, from_b) + correlation(I_b, from_a), ""


def _vif(stack: np.ndarray, convention: Convention) -> tuple[float, str]:
    per_source = vif_per_source(stack, border=convention.vif_border, kernel=convention.vif_kernel)  # (2,)
    constant = constant_sources(stack)
    empty = [role for role, value in zip(ROLES[1:], per_source) if role in constant or math.isnan(value)]
    if empty:
        return math.nan, " and ".join(f"the {role} image is constant" for role in empty)
    return _reduced(per_source, convention.vif_reduce), ""


def _qabf(stack: np.ndarray, convention: Convention) -> tuple[float, str]:
    if len(constant_sources(stack)) == 2:
        return math.nan, "both sources are constant"
    return qabf_value(stack, equal=convention.qabf_equal, orientation=convention.qabf_orientation), ""


def _ssim(stack: np.ndarray, convention: Convention) -> float:
    per_source = ssim_per_source(
        stack,
        window=convention.ssim_window,
        covariance=convention.ssim_covariance,
        data_range=convention.ssim_range,
    )  # (2,)
    return _reduced(per_source, convention.ssim_reduce)


def _reduced(per_source: np.ndarray, how: str) -> float:
    return float(per_source.mean() if how == "mean" else per_source.sum())


def _warned(value: float, metric: str, reason: str, name: str | None) -> float:
    if reason:
        warn_undefined(metric, reason, name)
    return value
