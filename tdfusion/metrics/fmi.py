"""FMI: formula, code and the checked function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention
from tdfusion.metrics.filters import sobel, strips

_CELLS = 9  # of a 3x3 window
_AT_ONCE = 2048  # pairs of patterns whose 9x9 joint distributions stay in the cache


def fmi(I_f: Any, I_a: Any, I_b: Any, *, name: str | None = None) -> float:
    """FMI, feature mutual information: how much the edges of the fused image tell about those of the sources.

    Feature: the edge map of each image, 1 where Sobel's gradient is above twice its root mean square and highest among
    its neighbours across the edge. Per 3x3 window, the map, taken as a distribution p over the nine pixels (1/9 each
    where it is constant), gives entropies H(p_S), H(p_F) and a joint one, of the mixture ``phi U + (1 - phi) p_S
    p_F``, where U is Frechet's upper bound of joint distributions (the lower one if the maps correlate negatively) and
    phi the correlation of p_S and p_F divided by that of U; then ``2 (H(p_S) + H(p_F) - H(p_S, p_F)) / (H(p_S) +
    H(p_F))``, 1 where both maps are alike, 0 where nothing is shared. The metric is the mean over windows and both
    sources. Range 0 to 1; 1 for F = A = B. Windows without any edge agree, and are most of an image, so values of
    real pairs lie near 0.9. Defined for constant images: 1. All conventions agree: no evaluator named has it.

    Edges are the feature because they are the default of the authors' code, and so what MEFB and the column
    "FMI_pixel" of common MATLAB scripts hold. FMI of pixels, of the gradient, of DCT or of wavelet coefficients are
    others; FMI_dct and FMI_w are the last two. The authors' code compares windows of the second source with what
    rescaling for the first one left of the fused image, so exchanging the sources changes its value; here each
    source stands alone.

    Args:
        I_f: fused image (H, W) in 0..255, at least 3x3.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        name: for messages.

    Raises:
        InputError: see `as_planes`.

    Source:
        Haghighat, Aghagolzadeh and Seyedarabi, Comput. Electr. Eng. 37 (2011); windows as in Haghighat and Razian,
        Proc. AICT (2014).
    """
    return fmi_of(as_planes((I_f, I_a, I_b), min_side=3, name=name), Convention())[0]


def fmi_of(planes: np.ndarray, convention: Convention) -> Value:
    """FMI of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    fused, *sources = (_patterns(edge_map(plane)) for plane in planes)  # (H - 2, W - 2) each
    total = 0.0
    for source in sources:
        counts = np.bincount(
            (source.astype(np.int32) << _CELLS | fused).ravel()
        )  # few of the pairs occur, each many times
        pairs = np.flatnonzero(counts)
        for first in range(0, len(pairs), _AT_ONCE):
            some = pairs[first : first + _AT_ONCE]
            total += counts[some] @ _shared(some >> _CELLS, some & (1 << _CELLS) - 1)
    return float(total / (2 * fused.size)), ""


def edge_map(plane: np.ndarray) -> np.ndarray:
    """Thin edges of a plane (H, W) by Sobel, as MATLAB's ``edge`` finds them if nothing is set: bool (H, W)."""
    padded = np.pad(plane, 1, mode="edge")
    b = np.full(padded.shape, -1.0)  # Sobel's gradient squared, and below anything around it
    along_x = np.empty(plane.shape)  # of that, the part along x
    for first, last in strips(*plane.shape):
        s_x, s_y = sobel(padded[first : last + 2])
        np.multiply(s_x, s_x, out=along_x[first:last])
        np.add(along_x[first:last], s_y * s_y, out=b[first + 1 : last + 1, 1:-1])
    inside = b[1:-1, 1:-1]
    y, x = np.nonzero(inside > 4.0 * inside.mean())
    here = b[y + 1, x + 1]
    level, steep = along_x[y, x], here - along_x[y, x]
    edge = (level >= steep) & (b[y + 1, x] <= here) & (here > b[y + 1, x + 2])
    edge |= (steep >= level) & (b[y, x + 1] <= here) & (here > b[y + 2, x + 1])
    found = np.zeros(plane.shape, dtype=bool)
    found[y[edge], x[edge]] = True
    return found


def _patterns(edges: np.ndarray) -> np.ndarray:
    """Each 3x3 window of a map as a number, its pixels as bits, column by column: uint16 (H - 2, W - 2)."""
    height, width = edges.shape[0] - 2, edges.shape[1] - 2
    pixels = edges.astype(np.uint16)
    columns = pixels[:height] | pixels[1:-1] << 1 | pixels[2:] << 2  # (H - 2, W)
    return columns[:, :width] | columns[:, 1:-1] << 3 | columns[:, 2:] << 6


def _shared(source: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """Normalised mutual information of n pairs of patterns: float64 (n,)."""
    p, q = _distributions(source), _distributions(fused)  # (n, 9)
    c = _pearson(p, q)
    # The lower bound for q is the upper one for q in reverse, up to the order of its cells.
    q = np.where(c[:, None] < 0, q[:, ::-1], q)
    P, Q = np.cumsum(p, axis=1), np.cumsum(q, axis=1)
    bound = np.zeros((len(p), _CELLS + 1, _CELLS + 1))
    np.minimum(P[:, :, None], Q[:, None, :], out=bound[:, 1:, 1:])
    covariance = bound.sum((1, 2)) - P.sum(1) * Q.sum(1)
    spread = _spread(p) * _spread(q)
    phi = np.divide(np.abs(c) * spread, covariance, out=np.zeros(len(p)), where=spread > 1e-12)[:, None, None]
    joint = phi * np.diff(np.diff(bound, axis=1), axis=2)
    joint += (1.0 - phi) * p[:, :, None] * q[:, None, :]
    own = _entropy(p) + _entropy(q)
    shared = np.divide(
        2 * (own - _entropy(joint.reshape(len(p), -1))), own, out=np.zeros(len(p)), where=own > 0
    )
    return np.where(source == fused, 1.0, shared)


def _distributions(patterns: np.ndarray) -> np.ndarray:
    """Patterns (n,) as distributions over nine cells (n, 9); 1/9 each where a pattern is constant."""
    cells = (patterns[:, None] >> np.arange(_CELLS) & 1).astype(np.float64)
    cells[patterns == 0] = 1.0
    return cells / cells.sum(1, keepdims=True)


def _pearson(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Pearson's correlation of distributions over the nine cells (n, 9): (n,), 0 where one is constant."""
    p, q = p - 1 / _CELLS, q - 1 / _CELLS
    scale = np.sqrt((p * p).sum(1) * (q * q).sum(1))
    return np.divide((p * q).sum(1), scale, out=np.zeros(len(p)), where=scale > 1e-12)


def _spread(p: np.ndarray) -> np.ndarray:
    """Standard deviation of the cell number under distributions (n, 9): (n,), 0 where it is one cell."""
    at = np.arange(_CELLS)
    variance = p @ (at * at) - (p @ at) ** 2
    return np.sqrt(np.maximum(variance, 0.0))


def _entropy(p: np.ndarray) -> np.ndarray:
    """Entropy in bits along the last axis. Where phi exceeds 1, cells are negative; of their logarithm the real
    part counts, as in the authors' code."""
    size = np.abs(p)
    return -(p * np.log2(size, out=np.zeros_like(p), where=size > 0)).sum(-1)
