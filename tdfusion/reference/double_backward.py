"""The meta-step as one would write it first, and J v by reverse mode: what `tdfusion.meta` is held against.

The inner update of F keeps its graph (``create_graph=True``), the task loss is computed with the updated
networks, and one backward pass runs from that loss through the step of F into G: autograd differentiates a
gradient. Same arguments and same value as the library's function, no code of it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tdfusion.data.pair import Batch


def plain_meta_gradient(
    F: nn.Module,
    G: nn.Module,
    T: nn.Module,
    mtr: Batch,
    mts: Batch,
    *,
    loss: Callable[..., Tensor],
    eta_F_prime: float,
    eta_T_prime: float,
) -> dict[str, Tensor]:
    """dL_t / dtheta_G of Eq. (7) by name, after the inner updates of Eq. (4) and (5)."""
    w_a, w_b = G(mtr.ir, mtr.vi)  # (B, 1, H, W) each
    I_f = F(mtr.ir, mtr.vi)  # (B, 1, H, W)
    L_f = loss(I_f, mtr.ir, mtr.vi, w_a, w_b)
    theta_F_prime = step(F, L_f, eta_F_prime, create_graph=True)
    theta_T_prime = step(T, with_buffers(T, dict(T.named_parameters()), I_f.detach(), mtr), eta_T_prime)
    I_f_mts = functional_call(F, theta_F_prime, (mts.ir, mts.vi))  # (B, 1, H, W)
    L_t = with_buffers(T, theta_T_prime, I_f_mts, mts)
    names, parameters = zip(*G.named_parameters())
    return dict(zip(names, torch.autograd.grad(L_t, parameters)))


def step(net: nn.Module, loss: Tensor, eta: float, create_graph: bool = False) -> dict[str, Tensor]:
    """One step of plain gradient descent on the parameters of a network that are not frozen, as new tensors."""
    names, parameters = zip(*((n, p) for n, p in net.named_parameters() if p.requires_grad))
    gradient = torch.autograd.grad(loss, parameters, create_graph=create_graph, allow_unused=True)
    return {n: p if g is None else p - eta * g for n, p, g in zip(names, parameters, gradient)}


def with_buffers(T: nn.Module, theta_T: dict[str, Tensor], I_f: Tensor, batch: Batch) -> Tensor:
    """L_t with parameters ``theta_T``; batch norm writes its running means to copies."""
    buffers = {name: buffer.clone() for name, buffer in T.named_buffers()}
    return functional_call(T, (theta_T, buffers), (I_f, batch))


def directional_derivative_by_vjp(F: nn.Module, v: dict[str, Tensor], I_a: Tensor, I_b: Tensor) -> Tensor:
    """J v by two reverse passes: J^T u is linear in u, so differentiating <J^T u, v> in u gives J v. (B, 1, H, W)."""
    theta = {name: value.detach().clone().requires_grad_() for name, value in F.named_parameters()}
    I_f = functional_call(F, theta, (I_a, I_b))
    u = torch.zeros_like(I_f, requires_grad=True)
    J_T_u = torch.autograd.grad(I_f, list(theta.values()), u, create_graph=True)
    return torch.autograd.grad(J_T_u, u, [v[name] for name in theta])[0]
