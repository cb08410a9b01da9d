"""Weights that nobody had to learn: rules of thumb for w, which a learned loss has to beat."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as nnf
from torch import Tensor

from tdfusion.losses import sobel


def brighter(I_a: Tensor, I_b: Tensor, seed: int) -> Tensor:
    """1 where infrared is the brighter image, 0 where visible is."""
    return (I_a > I_b).float() + 0.5 * (I_a == I_b).float()


def contrast(I_a: Tensor, I_b: Tensor, seed: int) -> Tensor:
    """The share of infrared in the local contrast, the standard deviations in 9x9 pixels."""
    return _share(
        *(_blurred(x.square(), 9).sub(_blurred(x, 9).square()).clamp(min=0).sqrt() for x in (I_a, I_b))
    )


def edges(I_a: Tensor, I_b: Tensor, seed: int) -> Tensor:
    """The share of infrared in the strength of the edges, the mean of Sobel's in 5x5 pixels."""
    strength = (
        sobel(nnf.pad(x, (1, 1, 1, 1), mode="replicate"))[..., 1:-1, 1:-1].norm(dim=1, keepdim=True)
        for x in (I_a, I_b)  # padded, since the rim of an image is no edge of it
    )
    return _share(*(_blurred(x, 5) for x in strength))


def blobs(I_a: Tensor, I_b: Tensor, seed: int) -> Tensor:
    """0 or 1 in blobs of some 8 pixels drawn by chance: a map that knows nothing of its pair."""
    drawn = torch.randn(I_a.shape, generator=torch.Generator().manual_seed(seed))
    return (_blurred(drawn, 9) > 0).float()


RULES: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    rule.__name__: rule for rule in (brighter, contrast, edges, blobs)
}


def _blurred(x: Tensor, side: int) -> Tensor:
    """Mean over a square, (N, 1, H, W); at the border over what is there of it."""
    return nnf.avg_pool2d(x, side, stride=1, padding=side // 2, count_include_pad=False)


def _share(a: Tensor, b: Tensor) -> Tensor:
    return (a + 1e-4) / (a + b + 2e-4)
