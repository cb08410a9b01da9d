"""The ten metrics beside the paper's six from other libraries, or from their formulas pixel by pixel: the yardstick.

MI from scikit-learn, MSE and PSNR from scikit-image, gradients from scipy, MS-SSIM by torch's conv2d; Nabf in plain
arrays, FMI window by window. Kept out of the library: only tests and the check values use it.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as nnf
from scipy import ndimage
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio
from sklearn.metrics import mutual_info_score

MS_SSIM_SIDE = 176


def further_metrics(
    F: np.ndarray, A: np.ndarray, B: np.ndarray, convention: str = "paper"
) -> dict[str, float]:
    """The ten of uint8 images (H, W), by the named convention; NaN where undefined, no MS-SSIM of a small image."""
    f, a, b = (image.astype(np.float64) for image in (F, A, B))
    survey = convention == "ivif_zoo"
    values = {
        "SD": float(ndimage.standard_deviation(f)),
        "AG": average_gradient(f),
        "EI": edge_intensity(f, "constant" if survey else "nearest"),
        "MI": sum(mutual_info_score(S.ravel(), F.ravel()) for S in (A, B)),
        "CC": correlation(f, a, b),
        "PSNR": psnr(f, a, b, convention),
        "MSE": (mean_squared_error(a, f) + mean_squared_error(b, f)) / 2 / (255**2 if survey else 1),
        "Nabf": nabf(f, a, b, 0.0 if survey else 0.001),
        "FMI": fmi(f, a, b),
    }
    if convention != "cddfuse":
        values["MI"] /= math.log(2)
    if min(F.shape) >= MS_SSIM_SIDE:
        values["MS-SSIM"] = ms_ssim(f, a, b, convention)
    return values


def average_gradient(f: np.ndarray) -> float:
    slopes = []
    for axis in (0, 1):
        slope = ndimage.correlate1d(f, [-0.5, 0, 0.5], axis=axis, mode="nearest")
        border = slope[[0, -1]] if axis == 0 else slope[:, [0, -1]]
        border *= 2  # a whole step and not half of one
        if axis == 0:
            slope[[0, -1]] = border
        else:
            slope[:, [0, -1]] = border
        slopes.append(slope)
    return float(np.hypot(*slopes).mean() / math.sqrt(2))


def edge_intensity(f: np.ndarray, mode: str) -> float:
    return float(np.hypot(ndimage.sobel(f, 0, mode=mode), ndimage.sobel(f, 1, mode=mode)).mean())


def correlation(f: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    if any(np.ptp(image) == 0 for image in (f, a, b)):
        return math.nan
    return float(sum(np.corrcoef(s.ravel(), f.ravel())[0, 1] for s in (a, b)) / 2)


def psnr(f: np.ndarray, a: np.ndarray, b: np.ndarray, convention: str) -> float:
    both, twice = np.vstack([a, b]), np.vstack([f, f])  # one MSE over both sources
    if np.array_equal(both, twice):
        return math.nan
    if convention == "ivif_zoo":  # images in 0..1, and a peak of 255
        return float(peak_signal_noise_ratio(both / 255, twice / 255, data_range=255))
    peak = f.max() if convention == "cddfuse" else 255
    return float(peak_signal_noise_ratio(both, twice, data_range=peak)) if peak else math.nan


def ms_ssim(f: np.ndarray, a: np.ndarray, b: np.ndarray, convention: str) -> float:
    data_range, many = {"paper": (255.0, 2), "cddfuse": (2.0, 1), "ivif_zoo": (1.0, 1)}[convention]
    C_1, C_2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    at = torch.arange(11, dtype=torch.float64) - 5
    kernel = torch.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    kernel = (kernel / kernel.sum())[None, None]
    total = 0.0
    for source in (a, b):
        x, y = (torch.from_numpy(image)[None, None] for image in (source, f))
        value = 1.0
        for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
            m_x, m_y, m_xx, m_yy, m_xy = (nnf.conv2d(image, kernel) for image in (x, y, x * x, y * y, x * y))
            structure = (2 * (m_xy - m_x * m_y) + C_2) / (m_xx - m_x**2 + m_yy - m_y**2 + C_2)
            if weight == 0.1333:
                structure = structure * (2 * m_x * m_y + C_1) / (m_x**2 + m_y**2 + C_1)
            value *= max(0.0, float(structure.mean())) ** weight
            x, y = nnf.avg_pool2d(x, 2), nnf.avg_pool2d(y, 2)
        total += value / many
    return total


def nabf(f: np.ndarray, a: np.ndarray, b: np.ndarray, faint: float) -> float:
    g, alpha = {}, {}
    for name, image in (("F", f), ("A", a), ("B", b)):
        s_v, s_h = (ndimage.sobel(image, axis, mode="mirror") / 8 for axis in (1, 0))
        g[name] = np.sqrt(s_v**2 + s_h**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            alpha[name] = np.where((s_v == 0) & (s_h == 0), 0.0, np.arctan(s_v / s_h))
    lost = weights = 0.0
    for source in ("A", "B"):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.minimum(g[source], g["F"]) / np.maximum(g[source], g["F"])
        ratio[(g[source] == 0) | (g["F"] == 0)] = 0.0
        turned = np.abs(np.abs(alpha[source] - alpha["F"]) - math.pi / 2) * 2 / math.pi
        Q_g = 0.9999 / (1 + np.exp(-19 * (ratio - 0.5)))
        Q_a = 0.9995 / (1 + np.exp(-22 * (turned - 0.5)))
        weight = np.where(g[source] >= 2, g[source] ** 1.5, faint)
        lost = lost + (1 - np.sqrt(Q_g * Q_a)) * weight
        weights += weight.sum()
    new = (g["F"] > g["A"]) & (g["F"] > g["B"])
    return float((lost * new).sum() / weights) if weights else math.nan


def fmi(f: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    fused, *sources = (edges(image) for image in (f, a, b))
    height, width = f.shape
    values = []
    for y in range(height - 2):
        for x in range(width - 2):
            window = (slice(y, y + 3), slice(x, x + 3))
            here = tuple(fused[window].ravel(order="F").tolist())
            values += [shared(tuple(s[window].ravel(order="F").tolist()), here) for s in sources]
    return float(np.mean(values))


def edges(image: np.ndarray) -> np.ndarray:
    """A pixel at a time, 0 or 1 (H, W)."""
    s_x, s_y = (np.abs(ndimage.sobel(image, axis, mode="nearest")) for axis in (1, 0))
    b = s_x**2 + s_y**2
    limit, (height, width) = 4 * b.mean(), b.shape
    found = np.zeros(b.shape, dtype=int)
    for y, x in zip(*np.nonzero(b > limit)):
        highest = {}
        for name, step_y, step_x in (("x", 0, 1), ("y", 1, 0)):
            before, after = (y - step_y, x - step_x), (y + step_y, x + step_x)
            rises = min(before) < 0 or b[before] <= b[y, x]
            falls = after[0] >= height or after[1] >= width or b[after] < b[y, x]
            highest[name] = rises and falls
        along_x, along_y = s_x[y, x] >= s_y[y, x], s_y[y, x] >= s_x[y, x]
        found[y, x] = (along_x and highest["x"]) or (along_y and highest["y"])
    return found


@cache
def shared(source: tuple[int, ...], fused: tuple[int, ...]) -> float:
    """Normalised mutual information of two windows, by loops over their nine pixels and both Frechet bounds."""
    if source == fused:
        return 1.0
    p, q = ([v / sum(w) for v in w] for w in ((s if any(s) else (1,) * 9) for s in (source, fused)))
    P, Q = ([sum(d[: k + 1]) for k in range(9)] for d in (p, q))

    def bound(i: int, j: int) -> float:
        if min(i, j) < 0:
            return 0.0
        return min(P[i], Q[j]) if c >= 0 else max(P[i] + Q[j] - 1, 0.0)

    def spread(d: list[float]) -> float:
        first = sum((k + 1) * v for k, v in enumerate(d))
        return math.sqrt(max(0.0, sum((k + 1) ** 2 * v for k, v in enumerate(d)) - first**2))

    flat = len(set(p)) == 1 or len(set(q)) == 1
    c = 0.0 if flat else float(np.corrcoef(p, q)[0, 1])
    mix = 0.0
    if c and spread(p) > 1e-6 and spread(q) > 1e-6:
        covariance = sum(bound(i, j) - P[i] * Q[j] for i in range(9) for j in range(9))
        mix = c / (covariance / (spread(p) * spread(q)))
    joint = [
        mix * (bound(i, j) - bound(i - 1, j) - bound(i, j - 1) + bound(i - 1, j - 1))
        + (1 - mix) * p[i] * q[j]
        for i in range(9)
        for j in range(9)
    ]
    H_p, H_q, H = (-sum(v * math.log2(abs(v)) for v in d if v) for d in (p, q, joint))
    return 2 * (H_p + H_q - H) / (H_p + H_q) if H_p + H_q else 0.0
