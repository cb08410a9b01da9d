"""N^AB/F: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes, warned
from tdfusion.metrics.conventions import Convention, resolve
from tdfusion.metrics.filters import sobel, strips

# Petrovic and Xydeas: sigmoids T / (1 + exp(-k (x - D))) of preserved strength and orientation; edges weigh
# g^1.5 from a strength of 2 on.
_T_G, _K_G, _D_G = 0.9999, 19.0, 0.5
_T_A, _K_A, _D_A = 0.9995, 22.0, 0.5
_FROM = 2.0


def nabf(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    faint: float | None = None,
    name: str | None = None,
) -> float:
    """N^AB/F, the share of edges that fusion has made up: the modified fusion artifacts; lower is better.

    Sobel 3x3 divided by 8, the border mirrored, gives strength g and orientation alpha of each image. Where the fused
    image's edge is stronger than both sources', it counts as made up to the degree that it preserves neither:
    ``sum over those pixels of (1 - Q_A) w_A + (1 - Q_B) w_B``, divided by the sum of ``w_A + w_B`` over all pixels.
    Per source S, ``Q = sqrt(0.9999 / (1 + exp(-19 (G - 0.5))) * 0.9995 / (1 + exp(-22 (A - 0.5))))`` with
    ``G = min(g_S, g_F) / max(g_S, g_F)``, 0 where one is 0, and A = 1 - (acute angle between the orientations) /
    (pi/2); the weight w_S is ``g_S^1.5`` from a strength of 2 on and 0.001 below. Range 0 to 1; 0 for F = A = B, and
    for any image that is blurred enough, so it says little without a measure of what was kept. Constant images are
    defined: 0.

    Strengths are in gray levels. A common MATLAB script passes images in 0..1, where no edge reaches 2 and all weigh
    the same. IVIF_ZOO gives the faint edges weight 0.

    Args:
        I_f: fused image (H, W) in 0..255, at least 3x3.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`; "ivif_zoo" differs.
        faint: weight of edges weaker than 2; None takes the convention's. With 0 it is undefined (NaN, with a
            warning) if the sources have no stronger edge.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Shreyamsha Kumar, Signal Image Video Process. 7 (2013), and the code released with it, after Petrovic and
        Xydeas, Proc. ICCV (2005).
    """
    chosen = resolve(convention, nabf_faint=faint)
    planes = as_planes((I_f, I_a, I_b), min_side=3, name=name)
    return warned("Nabf", nabf_of(planes, chosen), name)


def nabf_of(planes: np.ndarray, convention: Convention) -> Value:
    """N^AB/F of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    made_up = weight = 0.0
    for first, last in strips(*planes.shape[1:]):
        slopes = [sobel(plane[first : last + 2]) for plane in padded]  # (h, w) each
        g = np.stack([np.sqrt(s_x * s_x + s_y * s_y) for s_x, s_y in slopes])  # (3, h, w)
        g /= 8.0
        w = np.where(g[1:] >= _FROM, g[1:] * np.sqrt(g[1:]), convention.nabf_faint)  # (2, h, w)
        weight += w.sum()
        new = (g[0] > g[1]) & (g[0] > g[2])
        s_x, s_y = (np.stack([slope[new] for slope in of_all]) for of_all in zip(*slopes))  # (3, n) each
        made_up += (w[:, new] * (1.0 - _preserved(s_x, s_y, g[:, new]))).sum()
    if weight == 0:
        return math.nan, "neither source has an edge of strength 2"
    return float(made_up / weight), ""


def _preserved(s_x: np.ndarray, s_y: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Q_A and Q_B (2, n) of pixels where the fused image's edge is the strongest; F, A, B in (3, n)."""
    of_x = s_x[1:]
    of_y = np.where(g[1:] > 0, s_y[1:], 1.0)  # no edge counts as one along x, as in published code
    across = np.abs(s_x[0] * of_y - s_y[0] * of_x)
    along = np.abs(s_x[0] * of_x + s_y[0] * of_y)
    strength = g[1:] / g[0]
    orientation = 1.0 - np.arctan2(across, along) / (math.pi / 2)
    denominator = 1.0 + np.exp(-_K_G * (strength - _D_G))
    denominator *= 1.0 + np.exp(-_K_A * (orientation - _D_A))
    return np.sqrt(_T_G * _T_A / denominator)
