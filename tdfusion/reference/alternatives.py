"""What people use for such a gradient elsewhere, written plainly: to be timed beside `tdfusion.meta`, and to check it.

Both take a step of F and T as `tdfusion.reference.double_backward.plain_meta_gradient` does, whose unrolled step is
also what higher and TorchOpt differentiate, and then come to v^T d^2 L_f / (dtheta_F dtheta_G) of Eq. (7) in another
way. Neither uses that theta_G enters through the weights of the pixels alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

from tdfusion.data.pair import Batch
from tdfusion.reference.double_backward import step, with_buffers

Gradient = dict[str, Tensor]


def finite_difference_meta_gradient(
    F: nn.Module, G: nn.Module, T: nn.Module, mtr: Batch, mts: Batch, *,
    loss: Callable[..., Tensor], eta_F_prime: float, eta_T_prime: float, radius: float = 0.01,
) -> Gradient:  # fmt: skip
    """dL_t / dtheta_G by a central difference along v, as DARTS proposed it and Betty does by default.

    ``-eta_F' (g(theta_F + e v) - g(theta_F - e v)) / 2e`` with ``g = dL_f / dtheta_G`` and ``e = radius / |v|``: two
    more passes through F and G, and an error of e^2 and of rounding.

    Source: H. Liu, K. Simonyan, Y. Yang, DARTS, ICLR 2019, Eq. (8); S. K. Choe et al., Betty, ICLR 2023.
    """
    v = _task_gradient(F, G, T, mtr, mts, loss, eta_F_prime, eta_T_prime)
    epsilon = radius / torch.stack([part.norm() for part in v.values()]).norm()
    sides = []
    for sign in (1, -1):
        theta_F = {name: p.detach() + sign * epsilon * v[name] for name, p in F.named_parameters()}
        with torch.no_grad():
            I_f = functional_call(F, theta_F, (mtr.ir, mtr.vi))  # (B, 1, H, W)
        L_f = loss(I_f, mtr.ir, mtr.vi, *G(mtr.ir, mtr.vi))
        sides.append(torch.autograd.grad(L_f, list(G.parameters())))
    scale = -eta_F_prime / (2 * epsilon)
    names = [name for name, _ in G.named_parameters()]
    return {name: scale * (plus - minus) for name, plus, minus in zip(names, *sides, strict=True)}


def mixed_mode_meta_gradient(
    F: nn.Module, G: nn.Module, T: nn.Module, mtr: Batch, mts: Batch, *,
    loss: Callable[..., Tensor], eta_F_prime: float, eta_T_prime: float,
) -> Gradient:  # fmt: skip
    """dL_t / dtheta_G by forward mode over reverse mode: how dL_f / dtheta_G moves when theta_F moves along v. Exact.

    Source: I. Kemaev et al., Scalable meta-learning via mixed-mode differentiation (MixFlow-MG), ICML 2025.
    """
    v = _task_gradient(F, G, T, mtr, mts, loss, eta_F_prime, eta_T_prime)
    theta_G = {name: p.detach() for name, p in G.named_parameters()}

    def gradient(theta_F: Gradient) -> Gradient:
        def L_f(theta: Gradient) -> Tensor:
            w_a, w_b = functional_call(G, theta, (mtr.ir, mtr.vi))  # (B, 1, H, W) each
            return loss(functional_call(F, theta_F, (mtr.ir, mtr.vi)), mtr.ir, mtr.vi, w_a, w_b)

        return grad(L_f)(theta_G)

    theta_F = {name: p.detach() for name, p in F.named_parameters()}
    moved = jvp(gradient, (theta_F,), (v,))[1]
    return {name: -eta_F_prime * moved[name] for name in theta_G}


def _task_gradient(
    F: nn.Module, G: nn.Module, T: nn.Module, mtr: Batch, mts: Batch, loss: Callable[..., Tensor],
    eta_F_prime: float, eta_T_prime: float,
) -> Gradient:  # fmt: skip
    """v = dL_t / dtheta_F' after the steps of Eq. (4) and (5)."""
    with torch.no_grad():
        w_a, w_b = G(mtr.ir, mtr.vi)  # (B, 1, H, W) each
    I_f = F(mtr.ir, mtr.vi)  # (B, 1, H, W)
    theta_F_prime = step(F, loss(I_f, mtr.ir, mtr.vi, w_a, w_b), eta_F_prime)
    theta_F_prime = {name: p.detach().requires_grad_() for name, p in theta_F_prime.items()}
    theta_T_prime = step(T, with_buffers(T, dict(T.named_parameters()), I_f.detach(), mtr), eta_T_prime)
    theta_T_prime = {name: p.detach() for name, p in theta_T_prime.items()}
    L_t = with_buffers(T, theta_T_prime, functional_call(F, theta_F_prime, (mts.ir, mts.vi)), mts)
    return dict(zip(theta_F_prime, torch.autograd.grad(L_t, list(theta_F_prime.values())), strict=True))
