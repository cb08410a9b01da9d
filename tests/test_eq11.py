"""Eq. (10) and (11): the algebra behind the meta-gradient, and where the printed bracket (b) departs from it."""

from __future__ import annotations

import pytest
import sympy as sp
import torch
from test_meta import TinyF, TinyG, TinyT, batch, flat
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from tdfusion.losses import fusion_loss, intensity_loss
from tdfusion.meta import (
    call,
    directional_derivative,
    inner_update_T,
    pixel_push,
    task_gradient,
    values,
)
from tdfusion.reference.double_backward import plain_meta_gradient

ETA_F_PRIME, ETA_T_PRIME = 0.5, 0.3


def pixel_algebra(power: int = 1) -> tuple[sp.Expr, list[sp.Symbol], list[sp.Symbol], list[sp.Expr]]:
    """Eq. (10) summed over two pixels, and its w_a, theta_F and F; weights to a power (2: released)."""
    theta = list(sp.symbols("theta_1 theta_2"))
    F = [sp.Function(f"F_{i}")(*theta) for i in (1, 2)]
    w = list(sp.symbols("w_1 w_2"))
    A, B = sp.symbols("A_1 A_2"), sp.symbols("B_1 B_2")
    terms = (w[i] ** power * (A[i] - F[i]) ** 2 + (1 - w[i]) ** power * (B[i] - F[i]) ** 2 for i in (0, 1))
    return sum(terms) / sp.Symbol("HW"), w, theta, F


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("k", [0, 1])
def test_mixed_derivative_of_eq_10_is_the_difference_of_the_sources_times_the_jacobian(
    i: int, k: int
) -> None:
    L, w, theta, F = pixel_algebra()
    A, B = sp.Symbol(f"A_{i + 1}"), sp.Symbol(f"B_{i + 1}")
    expected = 2 * (B - A) * sp.diff(F[i], theta[k]) / sp.Symbol("HW")
    assert sp.simplify(sp.diff(L, w[i], theta[k]) - expected) == 0


def test_printed_bracket_is_the_right_term_plus_one_without_parameters() -> None:
    A, B, X = sp.symbols("A B X")  # X: an entry of dF / dtheta_F
    assert sp.expand((A - X) ** 2 - (B - X) ** 2 - (2 * (B - A) * X + A**2 - B**2)) == 0


def test_mixed_derivative_with_the_released_squared_weights() -> None:
    L, w, theta, F = pixel_algebra(power=2)
    A, B = sp.symbols("A_1 B_1")
    found = sp.diff(L, w[0], theta[0])
    slope = sp.diff(F[0], theta[0]) / sp.Symbol("HW")
    assert sp.simplify(found - 4 * (w[0] * (F[0] - A) - (1 - w[0]) * (F[0] - B)) * slope) == 0
    assert sp.simplify(found.subs(w[0], sp.Rational(1, 2)) - 2 * (B - A) * slope) == 0


@pytest.fixture
def setting():
    F, T = TinyF().double(), TinyT().double().eval()
    mtr, mts = batch(), batch()
    T_prime, _ = inner_update_T(T, F(mtr.ir, mtr.vi), mtr, ETA_T_PRIME)
    return F, T, T_prime, mtr, mts


def outer_loss(setting, w_a: Tensor, eta: float = ETA_F_PRIME) -> Tensor:
    """L_t of F' and T' as a function of the weights, with Eq. (4) and (10) written out."""
    F, T, T_prime, mtr, mts = setting
    theta = {name: value.clone().requires_grad_() for name, value in values(F).items()}
    I_f = functional_call(F, theta, (mtr.ir, mtr.vi))
    L_f = (w_a * (mtr.ir - I_f) ** 2 + (1 - w_a) * (mtr.vi - I_f) ** 2).sum() / I_f.numel()
    step = torch.autograd.grad(L_f, list(theta.values()))
    prime = {name: theta[name].detach() - eta * g for name, g in zip(theta, step)}
    return call(T, T_prime, functional_call(F, prime, (mts.ir, mts.vi)), mts).detach()


def slope_in_w_a(setting) -> Tensor:
    """dL_t / dw_a at w = 1/2, pixel by pixel, by central differences. (B, 1, H, W)."""
    w_a, h = torch.full_like(setting[3].ir, 0.5), 1e-3
    slopes = []
    for pixel in range(w_a.numel()):
        shift = torch.zeros_like(w_a)
        shift.view(-1)[pixel] = h
        slopes.append((outer_loss(setting, w_a + shift) - outer_loss(setting, w_a - shift)) / (2 * h))
    return torch.stack(slopes).view_as(w_a)


def v_of(setting, eta: float = ETA_F_PRIME) -> dict[str, Tensor]:
    F, T, T_prime, mtr, mts = setting
    theta = {name: value.clone().requires_grad_() for name, value in values(F).items()}
    I_f = functional_call(F, theta, (mtr.ir, mtr.vi))
    half = torch.full_like(mtr.ir, 0.5)
    step = torch.autograd.grad(intensity_loss(I_f, mtr.ir, mtr.vi, half, half), list(theta.values()))
    prime = {name: theta[name].detach() - eta * g for name, g in zip(theta, step)}
    return task_gradient(F, prime, T, T_prime, mts)[0]


def push(setting, eta: float = ETA_F_PRIME) -> Tensor:
    """dL_t / dw_a in the correct form: -2 eta_F' (I_b - I_a) J v / HW."""
    F, _, _, mtr, _ = setting
    J_v = directional_derivative(F, v_of(setting, eta), mtr.ir, mtr.vi)
    return -2 * eta * (mtr.vi - mtr.ir) * J_v / mtr.ir.numel()


def printed(setting, eta: float = ETA_F_PRIME, jacobian_summed: bool = False) -> Tensor:
    """What the last lines of Eq. (11) put in its place, made to fit: eta_F' v (b) / HW.

    One bracket per parameter, contracted with v; or the Jacobian summed over the parameters first.
    """
    F, _, _, mtr, _ = setting
    v = flat(v_of(setting, eta))  # (p,)
    jacobian = jacrev(lambda theta: call(F, theta, mtr.ir, mtr.vi))(values(F))
    J = torch.cat([j.flatten(4) for j in jacobian.values()], dim=-1)  # (B, 1, H, W, p)
    if jacobian_summed:
        J = J.sum(-1, keepdim=True).expand_as(J)
    bracket = (mtr.ir[..., None] - J) ** 2 - (mtr.vi[..., None] - J) ** 2  # (B, 1, H, W, p)
    return eta * bracket @ v / mtr.ir.numel()


def apart(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


def test_correct_form_has_the_size_and_sign_of_the_true_slope(setting) -> None:
    truth = slope_in_w_a(setting)
    assert apart(push(setting), truth) < 1e-6
    assert apart(-push(setting), truth) > 1.9


@pytest.mark.parametrize("jacobian_summed", [False, True])
def test_printed_form_made_to_fit_is_not_the_true_slope_with_either_sign(setting, jacobian_summed) -> None:
    form, truth = printed(setting, jacobian_summed=jacobian_summed), slope_in_w_a(setting)
    assert apart(form, truth) > 0.5
    assert apart(-form, truth) > 0.5


def test_printed_form_is_the_right_term_with_the_wrong_sign_plus_a_stray_one(setting) -> None:
    mtr = setting[3]
    stray = (mtr.ir**2 - mtr.vi**2) * flat(v_of(setting)).sum() * ETA_F_PRIME / mtr.ir.numel()
    torch.testing.assert_close(printed(setting), -push(setting) + stray, rtol=1e-10, atol=1e-15)


class InOtherUnits(nn.Module):
    """The same F with parameters phi = theta / s."""

    def __init__(self, F: nn.Module, s: float) -> None:
        super().__init__()
        self.F, self.s = F, s
        with torch.no_grad():
            for parameter in F.parameters():
                parameter.div_(s)

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        return functional_call(self.F, {n: self.s * p for n, p in self.F.named_parameters()}, (I_a, I_b))


def test_units_of_the_parameters_change_the_printed_form_but_not_the_true_one(setting) -> None:
    """phi = theta / 2 with step eta / 4 is the same step of the same network."""
    F, *rest = setting
    before = push(setting), printed(setting)
    same = (InOtherUnits(F, 2.0), *rest)
    after = push(same, ETA_F_PRIME / 4), printed(same, ETA_F_PRIME / 4)
    assert apart(after[0], before[0]) < 1e-12
    assert apart(after[1], before[1]) > 0.1


def test_theta_T_prime_does_not_depend_on_theta_G(setting) -> None:
    """Eq. (5) with its graph kept: F' and w are nowhere in it, so its block of dOmega'/dtheta_G is zero."""
    F, T, _, mtr, _ = setting
    G = TinyG().double()
    w_a, w_b = G(mtr.ir, mtr.vi)
    I_f = F(mtr.ir, mtr.vi)
    step = torch.autograd.grad(
        fusion_loss(I_f, mtr.ir, mtr.vi, w_a, w_b), list(F.parameters()), create_graph=True
    )
    theta_T = list(T.parameters())
    of_T = torch.autograd.grad(T(I_f, mtr), theta_T, create_graph=True)
    prime_T = sum((p - ETA_T_PRIME * g).sum() for p, g in zip(theta_T, of_T))
    prime_F = sum((p - ETA_F_PRIME * g).sum() for p, g in zip(F.parameters(), step))
    for prime, reached in ((prime_T, False), (prime_F, True)):
        gradient = torch.autograd.grad(prime, list(G.parameters()), allow_unused=True, retain_graph=True)
        assert all((g is not None) == reached for g in gradient)


def test_the_meta_gradient_is_that_of_the_inner_product_of_two_gradients(setting) -> None:
    F, T, _, mtr, mts = setting
    G = TinyG().double()
    steps = {"loss": fusion_loss, "eta_F_prime": ETA_F_PRIME, "eta_T_prime": ETA_T_PRIME}
    expected = flat(plain_meta_gradient(F, G, T, mtr, mts, **steps))
    theta = {name: value.clone().requires_grad_() for name, value in values(F).items()}
    I_f = functional_call(F, theta, (mtr.ir, mtr.vi))
    L_f = fusion_loss(I_f, mtr.ir, mtr.vi, *G(mtr.ir, mtr.vi))
    g = torch.autograd.grad(L_f, list(theta.values()), create_graph=True)
    prime = {name: (theta[name] - ETA_F_PRIME * g_i).detach() for name, g_i in zip(theta, g)}
    T_prime, _ = inner_update_T(T, I_f, mtr, ETA_T_PRIME)
    v, _, _ = task_gradient(F, prime, T, T_prime, mts)
    inner = sum((v_i * g_i).sum() for v_i, g_i in zip(v.values(), g))
    found = torch.autograd.grad(-ETA_F_PRIME * inner, list(G.parameters()))
    assert apart(torch.cat([f.flatten() for f in found]), expected) < 1e-12


def test_pixel_push_of_the_released_loss_has_its_own_bracket(setting) -> None:
    F, _, _, mtr, _ = setting
    w_a = torch.rand_like(mtr.ir, requires_grad=True)
    J_v, I_f = torch.randn_like(mtr.ir), F(mtr.ir, mtr.vi).detach()

    def released(*arguments: Tensor) -> Tensor:
        return intensity_loss(*arguments, variant="released")

    (found,) = torch.autograd.grad(pixel_push(I_f, mtr.ir, mtr.vi, w_a, 1 - w_a, J_v, released), w_a)
    expected = 4 * (w_a * (I_f - mtr.ir) - (1 - w_a) * (I_f - mtr.vi)) * J_v / I_f.numel()
    torch.testing.assert_close(found, expected.detach(), rtol=1e-10, atol=1e-15)
