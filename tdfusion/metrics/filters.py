"""Separable filters as products with banded matrices, Sobel's, and local moments of a fused image and its sources."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

# Outputs per product, and lines per product. 16 x 256 keeps a product in the cache and below the size from
# which BLAS libraries start threads of their own, which would fight with a pool of workers over pairs.
_BLOCK, _LINES = 16, 256

# Pixels per strip: 8 float64 planes of this size stay in a core's cache, and memory does not grow with the image.
_STRIP = 1 << 15


def correlate_valid(stack: np.ndarray, taps: np.ndarray, stride: int = 1) -> np.ndarray:
    """Correlate every plane with ``outer(taps, taps)`` where it fits inside, keeping every ``stride``-th result.

    Args:
        stack: float64 (k, H, W).
        taps: float64 (n,).
        stride: in pixels, the same for rows and columns.

    Returns:
        float64 (k, (H - n) // stride + 1, (W - n) // stride + 1).
    """
    rows = _along_last(stack, taps, stride)
    return _along_last(rows.swapaxes(1, 2), taps, stride).swapaxes(1, 2)


def gaussian_taps(size: int, sigma: float, shifted: bool = False) -> np.ndarray:
    """A sampled Gaussian of ``size`` taps with sum 1; ``shifted`` puts them at -(size+1)/2 .. (size-1)/2."""
    first = -(size // 2) - 1 if shifted else -(size // 2)
    taps = np.exp(-(np.linspace(first, size // 2, size) ** 2) / (2 * sigma**2))
    return taps / taps.sum()


def products(stack: np.ndarray) -> np.ndarray:
    """The planes and products whose local means give all local moments.

    Args:
        stack: float64 (3, H, W): fused F, sources A and B.

    Returns:
        float64 (8, H, W): F, A, B, FF, AA, BB, FA, FB.
    """
    fields = np.empty((8, *stack.shape[1:]))
    fields[:3] = stack
    np.multiply(stack, stack, out=fields[3:6])
    np.multiply(stack[0], stack[1:], out=fields[6:])
    return fields


def covariances(means: np.ndarray) -> np.ndarray:
    """Local (co)variances FF, AA, BB, FA, FB from filtered `products`, in place: a view (5, H, W) of ``means``."""
    mean, moments = means[:3], means[3:]
    moments[:3] -= mean * mean
    moments[3:] -= mean[0] * mean[1:]
    return moments


def zero_padded(stack: np.ndarray, pad: int) -> np.ndarray:
    """Planes (k, H, W) with ``pad`` zeros on every side: (k, H + 2 pad, W + 2 pad)."""
    return np.pad(stack, ((0, 0), (pad, pad), (pad, pad))) if pad else stack


def sobel(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel 3x3 of a plane (H + 2, W + 2) that has one more pixel on every side: s_x and s_y (H, W).

    x points left and y down: the orientation that published code of Q^AB/F has.
    """
    smooth = 2 * padded[1:-1]
    smooth += padded[:-2]
    smooth += padded[2:]
    step = padded[2:] - padded[:-2]
    s_y = 2 * step[:, 1:-1]
    s_y += step[:, :-2]
    s_y += step[:, 2:]
    return smooth[:, :-2] - smooth[:, 2:], s_y


def strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of successive groups of rows, each about a cache full."""
    step = max(1, _STRIP // width)
    for first in range(0, height, step):
        yield first, min(first + step, height)


def _along_last(stack: np.ndarray, taps: np.ndarray, stride: int) -> np.ndarray:
    planes, lines, length = stack.shape
    band = _band(tuple(taps), stride)  # (inputs, _BLOCK)
    count = (length - len(taps)) // stride + 1
    out = np.empty((planes, lines, count))
    for line in range(0, lines, _LINES):
        for first in range(0, count, _BLOCK):
            width = min(_BLOCK, count - first)
            inputs = stride * (width - 1) + len(taps)
            np.matmul(
                stack[:, line : line + _LINES, stride * first : stride * first + inputs],
                band[:inputs, :width],
                out=out[:, line : line + _LINES, first : first + width],
            )
    return out


@lru_cache(maxsize=32)
def _band(taps: tuple[float, ...], stride: int) -> np.ndarray:
    band = np.zeros((stride * (_BLOCK - 1) + len(taps), _BLOCK))
    for output in range(_BLOCK):
        band[stride * output : stride * output + len(taps), output] = taps
    return band
