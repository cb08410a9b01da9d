"""Q^AB/F: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes, constant_sources, warned
from tdfusion.metrics.conventions import Convention, resolve
from tdfusion.metrics.filters import sobel, strips, zero_padded

# Xydeas and Petrovic: sigmoids T / (1 + exp(k (x - D))) of preserved strength and orientation.
_T_G, _K_G, _D_G = 0.9994, -15.0, 0.5
_T_A, _K_A, _D_A = 0.9879, -22.0, 0.8


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
    planes = as_planes((I_f, I_a, I_b), min_side=3, name=name)
    return warned("Qabf", qabf_of(planes, chosen), name)


def qabf_of(planes: np.ndarray, convention: Convention) -> Value:
    """Q^AB/F of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    if len(constant_sources(planes)) == 2:
        return math.nan, "both sources are constant"
    padded = zero_padded(planes, 1)
    kept = weight = 0.0
    for first, last in strips(*planes.shape[1:]):
        strength_F, angle_F = _edges(padded[0, first : last + 2])
        for source in (1, 2):
            strength, angle = _edges(padded[source, first : last + 2])
            weight += strength.sum()
            quality = _strength_kept(strength_F, strength, convention.qabf_equal)
            quality *= _orientation_kept(angle_F, angle, convention.qabf_orientation)
            np.divide(strength, quality, out=quality)  # both factors are the sigmoids' denominators
            kept += quality.sum()
    return float(_T_G * _T_A * kept / weight), ""


def _edges(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel strength and orientation in (-pi/2, pi/2] of a plane that has one more pixel on every side.

    The direction of the axes matters because a vertical-only gradient is given +pi/2 whatever its sign.
    """
    s_x, s_y = sobel(padded)
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.arctan(s_y / s_x)
    np.copyto(angle, math.pi / 2, where=s_x == 0)
    s_x *= s_x
    s_y *= s_y
    s_x += s_y
    return np.sqrt(s_x, out=s_x), angle


def _strength_kept(strength_F: np.ndarray, strength: np.ndarray, equal: str) -> np.ndarray:
    """1 + exp(k_g (ratio - D_g)), the denominator of the sigmoid of preserved strength."""
    ratio = np.minimum(strength_F, strength)
    with np.errstate(invalid="ignore"):
        ratio /= np.maximum(strength_F, strength)
    np.copyto(ratio, strength_F if equal == "strength" else 1.0, where=strength_F == strength)
    return _one_plus_exp(ratio, _K_G, _D_G)


def _orientation_kept(angle_F: np.ndarray, angle: np.ndarray, orientation: str) -> np.ndarray:
    """1 + exp(k_a (closeness - D_a)), the denominator of the sigmoid of preserved orientation."""
    closeness = np.abs(angle - angle_F)
    closeness /= -math.pi / 2
    closeness += 1.0
    if orientation == "folded":
        np.abs(closeness, out=closeness)
    return _one_plus_exp(closeness, _K_A, _D_A)


def _one_plus_exp(x: np.ndarray, steepness: float, middle: float) -> np.ndarray:
    x -= middle
    x *= steepness
    np.exp(x, out=x)
    x += 1.0
    return x
