"""The six metrics from other libraries, as one would first write them: the yardstick of `tdfusion.metrics`.

VIF from sewar, SSIM from scikit-image, edges by scipy's two-dimensional convolution, the rest in plain
numpy; the survey's convention by torch's conv2d. Kept out of the library: only measurements and tests use it.
Run as a script, it writes the published check values (``tdfusion/metrics/check_values.json``) anew.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from scipy.signal import convolve2d
from sewar.full_ref import vifp
from skimage.metrics import structural_similarity

CHECK_VALUES = Path(__file__).resolve().parents[1] / "metrics" / "check_values.json"


def reference_metrics(
    F: np.ndarray, A: np.ndarray, B: np.ndarray, convention: str = "paper"
) -> dict[str, float]:
    """All six of uint8 images (H, W), by the named convention; 0/0 gives whatever the library gives."""
    f, a, b = (image.astype(np.float64) for image in (F, A, B))
    values = {"EN": entropy(F), "SF": spatial_frequency(f), "SCD": scd(f, a, b)}
    if convention == "paper":
        vif = (vifp(a, f) + vifp(b, f)) / 2
        ssim = (structural_similarity(F, A) + structural_similarity(F, B)) / 2
    elif convention == "cddfuse":
        vif = vifp(a, f) + vifp(b, f)
        ssim = sum(structural_similarity(f, s, data_range=2.0) for s in (a, b))
    elif convention == "ivif_zoo":
        values["EN"] = entropy(F, 1e-7)
        vif = survey_vif(a, f) + survey_vif(b, f)
        ssim = survey_ssim(a, f) + survey_ssim(b, f)
    else:
        raise ValueError(convention)
    return values | {"VIF": float(vif), "Qabf": qabf(f, a, b), "SSIM": float(ssim)}


def entropy(F: np.ndarray, epsilon: float = 0.0) -> float:
    share = np.histogram(F, bins=np.arange(257))[0] / F.size
    return -sum(p * math.log2(p + epsilon) for p in share.tolist() if p)


def spatial_frequency(f: np.ndarray) -> float:
    across, down = f[:, 1:] - f[:, :-1], f[1:] - f[:-1]
    return math.sqrt(np.mean(across**2) + np.mean(down**2))


def scd(f: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = ((a, f - b), (b, f - a))
        return float(sum(np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in pairs))


def qabf(f: np.ndarray, a: np.ndarray, b: np.ndarray, equal: str = "strength", folded: bool = False) -> float:
    strength_f, angle_f = edges(f)
    kept = total = 0.0
    for source in (a, b):
        strength, angle = edges(source)
        ratio = np.zeros_like(strength)
        more, less, same = strength > strength_f, strength < strength_f, strength == strength_f
        ratio[more] = strength_f[more] / strength[more]
        ratio[less] = strength[less] / strength_f[less]
        ratio[same] = strength_f[same] if equal == "strength" else 1.0
        turned = 1 - np.abs(angle - angle_f) / (math.pi / 2)
        turned = np.abs(turned) if folded else turned
        quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5)))
        quality = quality * 0.9879 / (1 + np.exp(-22 * (turned - 0.8)))
        kept += np.sum(quality * strength)
        total += np.sum(strength)
    return float(kept / total)


def edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s_x = convolve2d(image, np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]), mode="same")
    s_y = convolve2d(image, np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]), mode="same")
    angle = np.full(image.shape, math.pi / 2)
    angle[s_x != 0] = np.arctan(s_y[s_x != 0] / s_x[s_x != 0])
    return np.sqrt(s_x**2 + s_y**2), angle


def survey_vif(source: np.ndarray, fused: np.ndarray) -> float:
    """Pixel-domain VIF with zero padding and the survey's kernel, which is half a pixel off centre."""
    x, y = torch.from_numpy(source)[None, None], torch.from_numpy(fused)[None, None]
    gained = carried = 0.0
    for size in (17, 9, 5, 3):
        at = torch.linspace(-(size + 1) / 2, (size - 1) / 2, size, dtype=torch.float64)
        kernel = torch.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * (size / 5) ** 2))
        kernel = (kernel / kernel.sum())[None, None]

        def blur(image: torch.Tensor, kernel: torch.Tensor = kernel, pad: int = size // 2) -> torch.Tensor:
            return nnf.conv2d(image, kernel, padding=pad)

        if size < 17:
            x, y = blur(x)[..., ::2, ::2], blur(y)[..., ::2, ::2]
        m_x, m_y = blur(x), blur(y)
        s_xx, s_yy = (blur(x * x) - m_x**2).clamp(min=0), (blur(y * y) - m_y**2).clamp(min=0)
        s_xy = blur(x * y) - m_x * m_y
        textured = (s_xx >= 1e-10) & (s_yy >= 1e-10)
        g = torch.where(textured, s_xy / (s_xx + 1e-10), 0.0)
        s_v = (s_yy - g * s_xy).clamp(min=1e-10)
        g = g.clamp(min=0)
        gained += torch.log10(1 + g**2 * s_xx / (s_v + 2)).sum()
        carried += torch.log10(1 + torch.where(s_xx >= 1e-10, s_xx, 0.0) / 2).sum()
    return float(gained / carried)


def survey_ssim(source: np.ndarray, fused: np.ndarray) -> float:
    """SSIM with an 11x11 Gaussian window on 255 times the image, and the constants of 255."""
    x, y = (torch.from_numpy(image)[None, None] * 255 for image in (source, fused))
    at = torch.arange(11, dtype=torch.float64) - 5
    kernel = torch.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    kernel = (kernel / kernel.sum())[None, None]
    m_x, m_y, m_xx, m_yy, m_xy = (nnf.conv2d(image, kernel) for image in (x, y, x * x, y * y, x * y))
    s_xx, s_yy, s_xy = m_xx - m_x**2, m_yy - m_y**2, m_xy - m_x * m_y
    C_1, C_2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    means = (2 * m_x * m_y + C_1) / (m_x**2 + m_y**2 + C_1)
    return float((means * (2 * s_xy + C_2) / (s_xx + s_yy + C_2)).mean())


def write_check_values(path: Path = CHECK_VALUES) -> None:
    """Compute every expected value of the file anew, to 10 decimals; 0/0 stays null."""
    from tdfusion.metrics.conformance import CheckCase, check_cases
    from tdfusion.reference.further_metrics import further_metrics

    content = json.loads(path.read_text())
    cases: dict[str, CheckCase] = {case.name: case for case in check_cases()}
    for entry in content["cases"]:
        case, undefined = cases[entry["name"]], entry["undefined"]
        entry["expected"] = {
            convention: {
                metric: None if metric in undefined or math.isnan(value) else round(value, 10) + 0.0
                for values in (reference_metrics, further_metrics)
                for metric, value in values(case.I_f, case.I_a, case.I_b, convention).items()
            }
            for convention in content["conventions"]
        }
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    write_check_values()
