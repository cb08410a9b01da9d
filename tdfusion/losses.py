"""The learnable fusion loss L_f: Eq. (1), (2) and (3), as printed and as released.

Images are (B, 1, H, W) in [0, 1]; a is infrared, b is visible; every function returns a scalar, the
mean over pixels and batch. Where the released code computes something else than the paper prints, both
are here under ``variant="paper"`` and ``variant="released"``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from tdfusion.config import Variant, check_variant


def sobel(image: Tensor) -> Tensor:
    """Sobel derivatives along x and y with zero padding, (B, 1, H, W) -> (B, 2, H, W).

    The kernels are the classic ones, unnormalised: a unit step edge has strength 4.
    """
    kernel_x = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([kernel_x, kernel_x.T])[:, None]  # (2, 1, 3, 3)
    return nnf.conv2d(image, kernels, padding=1)


def intensity_loss(
    I_f: Tensor, I_a: Tensor, I_b: Tensor, w_a: Tensor, w_b: Tensor, variant: Variant = "paper"
) -> Tensor:
    r"""Intensity loss, Eq. (2).

    $$L_f^{int} = \frac{1}{HW} \sum_{ij} \sum_{k \in \{a, b\}} w_k^{ij} (I_f^{ij} - I_k^{ij})^2$$

    Released: the weights enter squared, $(w_k (I_f - I_k))^2$. At w = 1/2 that halves the loss; its
    minimum moves from $w_a I_a + w_b I_b$ to $(w_a^2 I_a + w_b^2 I_b) / (w_a^2 + w_b^2)$.

    Args:
        I_f, I_a, I_b, w_a, w_b: (B, 1, H, W).
    """
    return intensity_per_pixel(I_f, I_a, I_b, w_a, w_b, variant).mean()


def intensity_per_pixel(
    I_f: Tensor, I_a: Tensor, I_b: Tensor, w_a: Tensor, w_b: Tensor, variant: Variant = "paper"
) -> Tensor:
    """The summand of Eq. (2), (B, 1, H, W); arguments as `intensity_loss`."""
    check_variant(variant)
    if variant == "released":
        w_a, w_b = w_a**2, w_b**2
    return w_a * (I_f - I_a).square() + w_b * (I_f - I_b).square()


def target_gradient(I_a: Tensor, I_b: Tensor, variant: Variant = "paper") -> Tensor:
    r"""What Eq. (3) pulls the gradient of I_f to: $\max_k \nabla I_k$.

    Returns:
        Paper: (B, 1, H, W), the larger of the two strengths $|S_x I_k| + |S_y I_k|$.
        Released: (B, 2, H, W), per direction the derivative of larger magnitude, its sign kept.
    """
    check_variant(variant)
    grad_a, grad_b = sobel(I_a), sobel(I_b)  # (B, 2, H, W)
    if variant == "released":
        return torch.where(grad_a.abs() >= grad_b.abs(), grad_a, grad_b)
    return torch.maximum(_strength(grad_a), _strength(grad_b))


def gradient_loss(I_f: Tensor, I_a: Tensor, I_b: Tensor, variant: Variant = "paper") -> Tensor:
    r"""Gradient loss, Eq. (3).

    $$L_f^{grad} = \frac{1}{HW} \sum_{ij} |\nabla I_f^{ij} - \max_{k \in \{a, b\}} \nabla I_k^{ij}|$$

    The paper calls $\nabla$ the Sobel operator and leaves open how its two directions combine. A
    maximum over k needs one number per pixel, so ``paper`` uses the strength $|S_x| + |S_y|$, the
    convention of the fusion methods that the paper cites for this term. Released: the directions stay
    apart, signs are kept, and the two mean absolute differences are added.

    Args:
        I_f, I_a, I_b: (B, 1, H, W).
    """
    return gradient_per_pixel(I_f, I_a, I_b, variant).mean()


def gradient_per_pixel(I_f: Tensor, I_a: Tensor, I_b: Tensor, variant: Variant = "paper") -> Tensor:
    """The summand of Eq. (3), (B, H, W); arguments as `gradient_loss`."""
    gradient = sobel(I_f) if variant == "released" else _strength(sobel(I_f))
    return (gradient - target_gradient(I_a, I_b, variant)).abs().sum(dim=1)  # over 1 or 2 directions


def fusion_loss(
    I_f: Tensor,
    I_a: Tensor,
    I_b: Tensor,
    w_a: Tensor,
    w_b: Tensor,
    alpha: float = 1.0,
    intensity: Variant = "paper",
    gradient: Variant = "paper",
) -> Tensor:
    r"""Learnable fusion loss, Eq. (1): $L_f = L_f^{int} + \alpha L_f^{grad}$.

    Args:
        I_f, I_a, I_b: (B, 1, H, W) in [0, 1].
        w_a, w_b: (B, 1, H, W), the output of G.
        alpha: weight of the gradient term (paper: 1; 0 is Exp. II of Table 3).
        intensity, gradient: "paper" or "released", of Eq. (2) and of Eq. (3).

    Raises:
        InputError: unknown variant.
    """
    L_int = intensity_loss(I_f, I_a, I_b, w_a, w_b, intensity)
    return L_int + alpha * gradient_loss(I_f, I_a, I_b, gradient) if alpha else L_int


def _strength(gradient: Tensor) -> Tensor:
    return gradient.abs().sum(dim=1, keepdim=True)  # (B, 2, H, W) -> (B, 1, H, W)
