"""Eq. (1), (2), (3), both variants, against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from tdfusion.errors import InputError
from tdfusion.losses import fusion_loss, gradient_loss, intensity_loss, sobel, target_gradient


def images(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 2, 1, 12, 15, dtype=torch.float64)


def flat(value: float) -> torch.Tensor:
    return torch.full((1, 1, 6, 6), value, dtype=torch.float64)


def test_intensity_loss_of_flat_images_in_closed_form() -> None:
    # I_f = 0.5, I_a = 0.9, I_b = 0.2, w_a = 0.7: 0.7 * 0.4^2 + 0.3 * 0.3^2
    arguments = flat(0.5), flat(0.9), flat(0.2), flat(0.7), flat(0.3)
    assert intensity_loss(*arguments).item() == pytest.approx(0.7 * 0.16 + 0.3 * 0.09)
    released = 0.49 * 0.16 + 0.09 * 0.09
    assert intensity_loss(*arguments, variant="released").item() == pytest.approx(released)


def test_intensity_loss_matches_numpy() -> None:
    I_f, I_a, I_b, w_a = torch.rand(4, 2, 1, 12, 15, dtype=torch.float64)
    w_b = 1 - w_a
    f, a, b, wa, wb = (t.numpy() for t in (I_f, I_a, I_b, w_a, w_b))
    paper = np.mean(wa * (f - a) ** 2 + wb * (f - b) ** 2)
    released = np.mean((wa * (f - a)) ** 2 + (wb * (f - b)) ** 2)
    assert intensity_loss(I_f, I_a, I_b, w_a, w_b).item() == pytest.approx(paper, rel=1e-12)
    assert intensity_loss(I_f, I_a, I_b, w_a, w_b, "released").item() == pytest.approx(released, rel=1e-12)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_the_image_that_minimises_the_intensity_loss(variant: str) -> None:
    I_a, I_b, w_a = images()
    w_b = 1 - w_a
    if variant == "paper":
        best = w_a * I_a + w_b * I_b
    else:
        best = (w_a**2 * I_a + w_b**2 * I_b) / (w_a**2 + w_b**2)
    best.requires_grad_()
    (slope,) = torch.autograd.grad(intensity_loss(best, I_a, I_b, w_a, w_b, variant), best)
    assert slope.abs().max() < 1e-15


def test_sobel_matches_scipy() -> None:
    image = images(1)[0]
    ours = sobel(image)
    for b in range(2):
        for axis, ours_axis in ((1, 0), (0, 1)):
            theirs = ndimage.sobel(image[b, 0].numpy(), axis=axis, mode="constant")
            np.testing.assert_allclose(ours[b, ours_axis].numpy(), theirs, atol=1e-14)


def scipy_gradients(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    array = image.numpy()
    x = np.stack([ndimage.sobel(array[b, 0], axis=1, mode="constant") for b in range(len(array))])
    y = np.stack([ndimage.sobel(array[b, 0], axis=0, mode="constant") for b in range(len(array))])
    return x, y


def test_gradient_loss_matches_scipy_in_both_variants() -> None:
    I_f, I_a, I_b = images()
    (fx, fy), (ax, ay), (bx, by) = map(scipy_gradients, (I_f, I_a, I_b))
    strength = np.maximum(abs(ax) + abs(ay), abs(bx) + abs(by))
    paper = np.mean(abs(abs(fx) + abs(fy) - strength))
    assert gradient_loss(I_f, I_a, I_b).item() == pytest.approx(paper, rel=1e-12)
    tx = np.where(abs(ax) >= abs(bx), ax, bx)
    ty = np.where(abs(ay) >= abs(by), ay, by)
    released = np.mean(abs(fx - tx)) + np.mean(abs(fy - ty))
    assert gradient_loss(I_f, I_a, I_b, "released").item() == pytest.approx(released, rel=1e-12)


def test_released_target_keeps_the_sign_and_the_paper_does_not() -> None:
    falling = torch.linspace(1, 0, 8, dtype=torch.float64).expand(1, 1, 8, 8)
    black = torch.zeros_like(falling)
    assert target_gradient(falling, black, "released")[0, 0, 4, 4] < 0
    assert target_gradient(falling, black, "paper")[0, 0, 4, 4] > 0


def test_fused_equal_to_both_sources_costs_nothing() -> None:
    I_a, w_a, _ = images()
    for variant in ("paper", "released"):
        assert fusion_loss(I_a, I_a, I_a, w_a, 1 - w_a, 1.0, variant, variant) == 0


def test_total_is_intensity_plus_alpha_gradient() -> None:
    I_f, I_a, I_b = images()
    w_a = torch.rand_like(I_f)
    for variant in ("paper", "released"):
        parts = (
            intensity_loss(I_f, I_a, I_b, w_a, 1 - w_a, variant),
            gradient_loss(I_f, I_a, I_b, variant),
        )
        for alpha in (0.0, 0.3, 1.0):
            total = fusion_loss(I_f, I_a, I_b, w_a, 1 - w_a, alpha, variant, variant)
            torch.testing.assert_close(total, parts[0] + alpha * parts[1])


def test_variants_are_not_silently_equal() -> None:
    I_f, I_a, I_b = images()
    w_a = torch.rand_like(I_f)
    for term in (
        lambda v: intensity_loss(I_f, I_a, I_b, w_a, 1 - w_a, v),
        lambda v: gradient_loss(I_f, I_a, I_b, v),
    ):
        assert abs(term("paper") - term("released")) > 1e-3


def test_unknown_variant_is_named() -> None:
    I_f, I_a, I_b = images()
    with pytest.raises(InputError, match='unknown variant "papre"'):
        gradient_loss(I_f, I_a, I_b, "papre")
