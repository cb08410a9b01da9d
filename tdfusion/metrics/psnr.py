"""PSNR: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes, warned
from tdfusion.metrics.conventions import Convention, resolve
from tdfusion.metrics.mse import mean_squared_difference


def psnr(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    peak: str | None = None,
    name: str | None = None,
) -> float:
    """PSNR, the peak signal-to-noise ratio of the fused image against the sources, in decibels.

    ``10 log10(255^2 / MSE)`` with the MSE in gray levels squared, the mean over both sources; it is not the mean of
    two ratios. Range from 0 up, mostly 10 to 25 for real pairs; it orders images as the MSE does, and rewards the plain
    average. Undefined (NaN, with a warning) where the fused image equals both sources and it would be infinite. The
    same name stands for other numbers: IVIF_ZOO and common MATLAB scripts divide 255^2 by the MSE on the scale 0..1,
    20 log10(255) = 48.13 dB more; CDDFuse's evaluator takes the brightest pixel of the fused image for the peak; VIFB
    takes the norm of the difference, divided by the number of pixels, for the MSE.

    Args:
        I_f: fused image (H, W) in 0..255, at least 1x1.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`; all three differ.
        peak: "white" (255), "brightest" (of the fused image) or "white_squared" (255^2, the 48.13 dB more);
            None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Jagalingam and Hegde, Aquatic Procedia 4 (2015); one MSE of both sources as in all the toolboxes named.
    """
    chosen = resolve(convention, psnr_peak=peak)
    return warned("PSNR", psnr_of(as_planes((I_f, I_a, I_b), name=name), chosen), name)


def psnr_of(planes: np.ndarray, convention: Convention) -> Value:
    """PSNR of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    peak = {"white": 255.0, "white_squared": 255.0**2, "brightest": float(planes[0].max())}
    signal, error = peak[convention.psnr_peak], mean_squared_difference(planes)
    if error == 0:
        return math.nan, "the fused image equals both sources"
    if signal == 0:
        return math.nan, "the fused image is black"
    return 20 * math.log10(signal) - 10 * math.log10(error), ""
