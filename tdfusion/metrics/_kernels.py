"""What the metrics compute, on checked planes; three of them per source on a stack (fused, infrared, visible)."""

from __future__ import annotations

import math

import numpy as np

from tdfusion.metrics._filters import correlate_valid, covariances, gaussian_taps, products, strips

_VIF_SCALES = 4
_VIF_NOISE = 2.0  # variance of the visual noise
_VIF_FLOOR = 1e-10  # variance below which a window counts as flat
_LOG_GROUP = 64  # ratios multiplied before one logarithm: each is below 1e4, so the product stays finite

# Xydeas and Petrovic: sigmoids T / (1 + exp(k (x - D))) of preserved strength and orientation.
_T_G, _K_G, _D_G = 0.9994, -15.0, 0.5
_T_A, _K_A, _D_A = 0.9879, -22.0, 0.8


def entropy_value(plane: np.ndarray, epsilon: float) -> float:
    """Entropy in bits of the rounded levels of a plane (H, W)."""
    counts = np.bincount(np.rint(plane).astype(np.uint8).ravel(), minlength=256)
    p = counts[counts > 0] / plane.size
    return float(-(p * np.log2(p + epsilon)).sum()) + 0.0  # + 0.0 turns -0.0 into 0.0


def spatial_frequency_value(plane: np.ndarray) -> float:
    """Root mean square of the differences between neighbours of a plane (H, W)."""
    d_x, d_y = np.diff(plane, axis=1), np.diff(plane, axis=0)
    return math.sqrt(np.mean(d_x * d_x) + np.mean(d_y * d_y))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of two planes (H, W), neither of them constant."""
    x, y = x - x.mean(), y - y.mean()
    # einsum and not a dot product: BLAS would start threads.
    xy, xx, yy = (np.einsum("ij,ij->", u, v) for u, v in ((x, y), (x, x), (y, y)))
    return float(xy / math.sqrt(xx * yy))


def vif_per_source(stack: np.ndarray, *, border: str = "valid", kernel: str = "centred") -> np.ndarray:
    """Pixel-domain VIF of (A, F) and (B, F): float64 (2,), NaN for a source without local variance.

    Args:
        stack: float64 (3, H, W) in 0..255: F, A, B.
        border: "valid" or "zero", see `Convention`.
        kernel: "centred" or "shifted", see `Convention`.
    """
    gained, carried = np.zeros(2), np.zeros(2)
    for scale in range(_VIF_SCALES):
        size = 2 ** (_VIF_SCALES - scale) + 1
        taps = gaussian_taps(size, size / 5, shifted=kernel == "shifted")
        pad = size // 2 if border == "zero" else 0
        if scale:
            stack = correlate_valid(_padded(stack, pad), taps, stride=2)
        padded = _padded(stack, pad)
        reach = size - 1
        for first, last in strips(padded.shape[1] - reach, padded.shape[2]):
            fields = products(padded[:, first : last + reach])
            local = covariances(correlate_valid(fields, taps))  # (5, h, w)
            _add_information(local, gained, carried)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(carried > 0, gained / carried, np.nan)


def _add_information(local: np.ndarray, gained: np.ndarray, carried: np.ndarray) -> None:
    """Add the information that F keeps and that each source carries; overwrites ``local`` (5, h, w)."""
    noisy_F = local[0] + _VIF_NOISE
    for k in (0, 1):
        variance, shared = local[1 + k], local[3 + k]
        variance *= variance >= _VIF_FLOOR  # rounding noise of flat areas must not add up
        gain = shared / (variance + _VIF_FLOOR)
        np.maximum(gain, 0.0, out=gain)
        shared *= gain
        np.subtract(noisy_F, shared, out=shared)  # what the gain leaves unexplained, plus the noise
        gain *= gain
        gain *= variance
        gain /= shared
        gain += 1.0
        gained[k] += _sum_of_logs(gain)
        variance /= _VIF_NOISE
        variance += 1.0
        carried[k] += _sum_of_logs(variance)


def qabf_value(stack: np.ndarray, *, equal: str = "strength", orientation: str = "linear") -> float:
    """Q^AB/F of F, A, B, float64 (3, H, W) in 0..255, not all black.

    ``equal`` and ``orientation`` as in `Convention`.
    """
    padded = _padded(stack, 1)
    kept = weight = 0.0
    for first, last in strips(*stack.shape[1:]):
        strength_F, angle_F = _edges(padded[0, first : last + 2])
        for source in (1, 2):
            strength, angle = _edges(padded[source, first : last + 2])
            weight += strength.sum()
            quality = _strength_kept(strength_F, strength, equal)
            quality *= _orientation_kept(angle_F, angle, orientation)
            np.divide(strength, quality, out=quality)  # both factors are the sigmoids' denominators
            kept += quality.sum()
    return float(_T_G * _T_A * kept / weight)


def ssim_per_source(
    stack: np.ndarray, *, window: str = "uniform7", covariance: str = "sample", data_range: float = 255.0
) -> np.ndarray:
    """Mean SSIM of (F, A) and (F, B) over the windows inside the image: float64 (2,).

    ``stack`` is float64 (3, H, W) in 0..255: F, A, B; the settings as in `Convention`.
    """
    taps = np.full(7, 1 / 7) if window == "uniform7" else gaussian_taps(11, 1.5)
    unbias = 49 / 48 if covariance == "sample" else 1.0
    C_1, C_2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    reach = len(taps) - 1
    height, width = stack.shape[1] - reach, stack.shape[2] - reach
    total = np.zeros(2)
    for first, last in strips(height, stack.shape[2]):
        mean = correlate_valid(products(stack[:, first : last + reach]), taps)
        local = covariances(mean)  # (5, h, w)
        local *= unbias
        squared = mean[:3] ** 2
        for k in (1, 2):
            like = mean[0] * mean[k]
            like *= 2.0
            like += C_1
            like /= squared[0] + squared[k] + C_1
            shared = local[2 + k]
            shared *= 2.0
            shared += C_2
            like *= shared
            like /= local[0] + local[k] + C_2
            total[k - 1] += like.sum()
    return total / (height * width)


def _padded(stack: np.ndarray, pad: int) -> np.ndarray:
    return np.pad(stack, ((0, 0), (pad, pad), (pad, pad))) if pad else stack


def _sum_of_logs(ratios: np.ndarray) -> float:
    flat = ratios.reshape(-1)
    groups = len(flat) // _LOG_GROUP
    grouped = flat[: groups * _LOG_GROUP].reshape(_LOG_GROUP, groups)
    rest = flat[groups * _LOG_GROUP :]
    return float(np.log(np.multiply.reduce(grouped, axis=0)).sum() + np.log(rest).sum())


def _edges(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel strength and orientation in (-pi/2, pi/2] of a plane that has one more pixel on every side.

    x points left and y down: the published orientation, which matters because a vertical-only gradient is
    given +pi/2 whatever its sign.
    """
    smooth = 2 * padded[1:-1]
    smooth += padded[:-2]
    smooth += padded[2:]
    s_x = smooth[:, :-2] - smooth[:, 2:]
    step = padded[2:] - padded[:-2]
    s_y = 2 * step[:, 1:-1]
    s_y += step[:, :-2]
    s_y += step[:, 2:]
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
