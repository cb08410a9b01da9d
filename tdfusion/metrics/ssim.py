"""SSIM: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes, warned
from tdfusion.metrics.conventions import Convention, over_sources, resolve
from tdfusion.metrics.filters import correlate_valid, covariances, gaussian_taps, products, strips


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
    planes = as_planes((I_f, I_a, I_b), min_side=ssim_min_side(chosen), name=name)
    return warned("SSIM", ssim_of(planes, chosen), name)


def ssim_min_side(convention: Convention) -> int:
    """One window: the smallest side that SSIM is defined for."""
    return len(_taps(convention.ssim_window))


def ssim_of(planes: np.ndarray, convention: Convention) -> Value:
    """SSIM of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    per_source = ssim_per_source(
        planes,
        window=convention.ssim_window,
        covariance=convention.ssim_covariance,
        data_range=convention.ssim_range,
    )  # (2,)
    return over_sources(per_source, convention.ssim_reduce), ""


def ssim_per_source(
    stack: np.ndarray, *, window: str = "uniform7", covariance: str = "sample", data_range: float = 255.0
) -> np.ndarray:
    """Mean SSIM of (F, A) and (F, B) over the windows inside the image: float64 (2,).

    ``stack`` is float64 (3, H, W) in 0..255: F, A, B; the settings as in `Convention`.
    """
    unbias = 49 / 48 if covariance == "sample" else 1.0
    return mean_similarity(stack, _taps(window), data_range, unbias=unbias)


def mean_similarity(
    stack: np.ndarray, taps: np.ndarray, data_range: float, *, unbias: float = 1.0, with_means: bool = True
) -> np.ndarray:
    """Mean SSIM of (F, A) and (F, B), or without its factor of local means: float64 (2,).

    Args:
        stack: float64 (3, H, W) in 0..255: F, A, B.
        taps: of the separable window; windows that reach over the border are left out.
        data_range: L in the constants.
        unbias: what local covariances are multiplied by.
        with_means: whether the factor of local means takes part.
    """
    C_1, C_2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    reach = len(taps) - 1
    height, width = stack.shape[1] - reach, stack.shape[2] - reach
    total = np.zeros(2)
    for first, last in strips(height, stack.shape[2]):
        mean = correlate_valid(products(stack[:, first : last + reach]), taps)
        local = covariances(mean)  # (5, h, w)
        local *= unbias
        squared = mean[:3] ** 2 if with_means else None
        for k in (1, 2):
            like = local[2 + k]
            like *= 2.0
            like += C_2
            like /= local[0] + local[k] + C_2
            if squared is not None:
                like *= 2.0 * mean[0] * mean[k] + C_1
                like /= squared[0] + squared[k] + C_1
            total[k - 1] += like.sum()
    return total / (height * width)


def _taps(window: str) -> np.ndarray:
    return np.full(7, 1 / 7) if window == "uniform7" else gaussian_taps(11, 1.5)
