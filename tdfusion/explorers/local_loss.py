"""The loss of a few pixels of the fused image with all others held: what F is pulled to there."""

from __future__ import annotations

import torch
from torch import Tensor

from tdfusion.config import Variant, check_variant
from tdfusion.errors import InputError
from tdfusion.losses import gradient_per_pixel, intensity_per_pixel

Region = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels; x2 and y2 are not in it


def local_losses(
    I_a: Tensor,
    I_b: Tensor,
    rest: Tensor,
    region: Region,
    values: Tensor,
    w_a: float,
    variant: Variant = "paper",
    *,
    mix: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""The share of a region in L_int, Eq. (2), and L_grad, Eq. (3), as its pixels move and all others stay.

    A pixel changes the gradients of its neighbours, so L_grad is summed over the region and one pixel around it.
    Both terms are divided by the number of pixels in the region: for the whole image they are Eq. (2) and (3).

    Args:
        I_a, I_b: the sources, (1, H, W) in [0, 1].
        rest: the fused image outside the region, (1, H, W) in [0, 1].
        region: ``(x1, y1, x2, y2)`` inside the image.
        values: (n,), what the region is set to: one gray value, or with ``mix`` the share s of infrared in
            ``s I_a + (1 - s) I_b``.
        w_a: weight of infrared in the region, 0 to 1; w_b is ``1 - w_a``.
        variant: "paper" or "released", of both terms.
        mix: see ``values``.

    Returns:
        L_int and L_grad, each (n,).

    Raises:
        InputError: the region is empty or reaches outside; unknown variant.
    """
    check_variant(variant)
    x1, y1, x2, y2 = region
    height, width = I_a.shape[-2:]
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise InputError(f"region {region}: not inside the scene of {width}x{height} pixels")
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[y1:y2, x1:x2] = True
    near = torch.zeros_like(inside)
    near[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = True
    s = values.view(-1, 1, 1, 1)
    candidate = torch.where(inside, s * I_a + (1 - s) * I_b if mix else s, rest)  # (n, 1, H, W)
    intensity = intensity_per_pixel(candidate, I_a, I_b, w_a, 1 - w_a, variant)  # (n, 1, H, W)
    difference = gradient_per_pixel(candidate, I_a[None], I_b[None], variant)  # (n, H, W)
    pixels = inside.sum()
    return intensity[:, 0, inside].sum(dim=1) / pixels, difference[:, near].sum(dim=1) / pixels


def intensity_minimum(w_a: float, variant: Variant = "paper") -> float:
    """The share of infrared that minimises L_int, Eq. (2): w_a, or ``w_a^2 / (w_a^2 + w_b^2)`` as released.

    Raises:
        InputError: unknown variant.
    """
    check_variant(variant)
    return w_a if variant == "paper" else w_a**2 / (w_a**2 + (1 - w_a) ** 2)
