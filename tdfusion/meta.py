r"""Learning the loss: inner update, outer update, and the gradient between them (Sec. 3.4 and 3.7).

G never appears in L_t. It writes the pixel weights w of L_f; one step on L_f moves F to F'; L_t judges
what F' fuses. Eq. (7) differentiates through that step:

$$\frac{\partial L_t}{\partial \theta_G} = -\eta_{F'}\, v^\top
  \frac{\partial^2 L_f}{\partial \theta_F \partial \theta_G},
  \qquad v = \frac{\partial L_t}{\partial \theta_{F'}} .$$

L_f depends on theta_G through w alone, and on theta_F through I_f alone, so the second derivative
contracts to pixels:

$$v^\top \frac{\partial^2 L_f}{\partial \theta_F \partial \theta_G}
  = \frac{\partial}{\partial \theta_G} \Big\langle \frac{\partial L_f}{\partial I_f}(w),\; J v \Big\rangle ,
  \qquad J = \frac{\partial I_f}{\partial \theta_F} .$$

J v, how I_f moves when theta_F moves along v, is one forward-mode derivative of F. No graph of a graph is
built. `meta_gradient` has this form and slower ones that check it.

All functions leave the networks as they found them: parameters are passed as values, buffers as copies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from tdfusion.config import Method
from tdfusion.data.pair import Batch
from tdfusion.errors import InputError, TrainingError
from tdfusion.jacobian import (
    Parameters,
    call,
    directional_derivative,
    directional_derivative_by_vjp,
    solve_damped,
    values,
)

FusionLoss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]  # (I_f, I_a, I_b, w_a, w_b) -> L_f
Average = Callable[[Sequence[Tensor]], list[Tensor]]  # over the processes that share a batch


@dataclass(frozen=True)
class MetaGradient:
    """What one meta-step computes. Losses are detached scalars, images (B, 1, H, W)."""

    theta_G: Parameters  # dL_t / dtheta_G, Eq. (7), an entry per parameter of G
    L_f: Tensor  # on the meta-training pairs, before the step
    L_t_mtr: Tensor  # on the meta-training pairs, before T's step
    L_t_mts: Tensor  # of F' and T' on the meta-test pairs: what G is to lower
    I_f_mtr: Tensor
    I_f_mts: Tensor
    w_a: Tensor  # on the meta-training pairs


def inner_update_F(theta_F: Parameters, gradient: Parameters, eta_F_prime: float) -> Parameters:
    r"""Inner update of F, Eq. (4): $\theta_{F'} = \theta_F - \eta_{F'} \partial L_f / \partial \theta_F$."""
    return {name: theta_F[name] - eta_F_prime * gradient[name] for name in theta_F}


def inner_update_T(
    T: nn.Module,
    I_f: Tensor,
    batch: Batch,
    eta_T_prime: float,
    optimiser: torch.optim.Optimizer | None = None,
    average: Average = list,
) -> tuple[Parameters, Tensor]:
    r"""Inner update of T, Eq. (5): $\theta_{T'} = \theta_T - \eta_{T'}\, \partial L_t / \partial \theta_T$.

    Args:
        T: the task network.
        I_f: fused meta-training images (B, 1, H, W); no gradient flows back into them.
        batch: their labels.
        eta_T_prime: step size.
        optimiser: T's own optimiser. If given, the step is the one that it would take from its present
            state (the released form) instead of Eq. (5); the optimiser itself does not change.
        average: averages the gradient over processes; see `meta_gradient`.

    Returns:
        theta_T_prime, and L_t before the step.
    """
    theta = {name: value.clone().requires_grad_() for name, value in values(T).items()}
    L_t = call(T, theta, I_f.detach(), batch)
    reached = torch.autograd.grad(L_t, list(theta.values()), allow_unused=True)
    names = [name for name, g in zip(theta, reached) if g is not None]  # YOLOv8 has fixed ones
    gradient = dict(zip(names, average([g for g in reached if g is not None])))
    if optimiser is None:
        stepped = [p - eta_T_prime * gradient[n] if n in gradient else p for n, p in theta.items()]
    else:
        stepped = list(theta.values())
        for name, parameter in theta.items():
            parameter.grad = gradient.get(name)
        twin = type(optimiser)(stepped)
        twin.load_state_dict(copy.deepcopy(optimiser.state_dict()))
        twin.step()
    return dict(zip(theta, (p.detach() for p in stepped))), L_t.detach()


def task_gradient(
    F: nn.Module,
    theta_F_prime: Parameters,
    T: nn.Module,
    theta_T_prime: Parameters,
    mts: Batch,
    average: Average = list,
) -> tuple[Parameters, Tensor, Tensor]:
    """v of Eq. (7): the gradient of L_t(T'(F'(I_a^mts, I_b^mts))) in theta_F', an ordinary backward pass.

    Returns:
        v by name, L_t, and I_f^mts (B, 1, H, W).
    """
    theta = {name: value.detach().requires_grad_() for name, value in theta_F_prime.items()}
    I_f = call(F, theta, mts.ir, mts.vi)
    L_t = call(T, theta_T_prime, I_f, mts)
    v = average(torch.autograd.grad(L_t, list(theta.values())))
    return dict(zip(theta, v)), L_t.detach(), I_f.detach()


def pixel_push(
    I_f: Tensor, I_a: Tensor, I_b: Tensor, w_a: Tensor, w_b: Tensor, J_v: Tensor, loss: FusionLoss
) -> Tensor:
    r"""$\langle \partial L_f / \partial I_f,\, J v \rangle$ as a scalar that still depends on w.

    For Eq. (2), with w_b = 1 - w_a, its derivative in w_a is $2 (I_b - I_a)\, J v / HW$ (over the batch
    size as well, since L_f is a mean over the batch). Times -eta_F' this is what bracket (b) of Eq. (11)
    must be. The gradient term of L_f has no w and drops out.
    """
    I_f = I_f.detach().requires_grad_()
    (dL_f_dI_f,) = torch.autograd.grad(loss(I_f, I_a, I_b, w_a, w_b), I_f, create_graph=True)
    return (dL_f_dI_f * J_v).sum()


def meta_gradient(
    F: nn.Module,
    G: nn.Module,
    T: nn.Module,
    mtr: Batch,
    mts: Batch,
    *,
    loss: FusionLoss,
    eta_F_prime: float,
    eta_T_prime: float,
    T_optimiser: torch.optim.Optimizer | None = None,
    mtr_task: Batch | None = None,
    method: Method = "forward",
    damping: float = 1e-3,
    iterations: int = 10,
    average: Average = list,
) -> MetaGradient:
    """One meta-step up to the gradient of G: Eq. (4), Eq. (5) and Eq. (7). Changes no network.

    Args:
        F, G, T: fusion network, loss generation network, task (see `tdfusion.tasks.Task`).
        mtr, mts: meta-training and meta-test pairs with labels.
        loss: L_f as a function of (I_f, I_a, I_b, w_a, w_b).
        eta_F_prime, eta_T_prime: step sizes of the inner updates.
        T_optimiser: see `inner_update_T`.
        mtr_task: the meta-training pairs as T sees them, where that is not ``mtr`` (the released code
            crops for L_f and resizes whole pairs for T).
        method: how the mixed derivative is computed. ``"forward"``: by J v, exact and cheapest.
            ``"double_backward"``: by keeping the graph of the step, as the paper describes it; equal up
            to rounding. ``"double_vjp"``: J v by two reverse passes; equal up to rounding.
            ``"gauss_newton"``: beyond the paper, v replaced by (J^T J + damping)^-1 v, see `solve_damped`.
        damping, iterations: of ``"gauss_newton"`` only.
        average: where several processes hold equal parts of the batches: takes tensors and gives their
            means over the processes. Every gradient goes through it where it is formed, so theta_F',
            theta_T' and v are those of the joint batch. Not for ``"double_backward"`` and
            ``"gauss_newton"``, whose middle products would have to be joined too.

    Raises:
        InputError: unknown method, or one that cannot share a batch.
        TrainingError: the loss does not depend on w, or w not on all parameters of G.
    """
    if average is not list and method in ("double_backward", "gauss_newton"):
        raise InputError(f'method "{method}" runs in one process; choose "forward" for several')
    theta_F = {name: value.clone().requires_grad_() for name, value in values(F).items()}
    parameters = list(theta_F.values())
    graph_of_step = method in ("double_backward", "double_vjp")
    w_a, w_b = G(mtr.ir, mtr.vi)  # (B, 1, H, W) each, with the graph of G
    I_f = call(F, theta_F, mtr.ir, mtr.vi)  # (B, 1, H, W)
    if method == "double_backward":
        L_f = loss(I_f, mtr.ir, mtr.vi, w_a, w_b)
        step = torch.autograd.grad(L_f, parameters, create_graph=True)
    else:
        L_f = loss(I_f, mtr.ir, mtr.vi, w_a.detach(), w_b.detach())
        step = average(torch.autograd.grad(L_f, parameters, retain_graph=graph_of_step))
    theta_F_prime = inner_update_F(theta_F, dict(zip(theta_F, step)), eta_F_prime)
    if mtr_task is None:
        seen_by_T, mtr_task = I_f, mtr
    else:
        with torch.no_grad():
            seen_by_T = call(F, values(F), mtr_task.ir, mtr_task.vi)
    theta_T_prime, L_t_mtr = inner_update_T(T, seen_by_T, mtr_task, eta_T_prime, T_optimiser, average)
    v, L_t_mts, I_f_mts = task_gradient(F, theta_F_prime, T, theta_T_prime, mts, average)

    theta_G = dict(G.named_parameters())
    if method == "double_backward":
        along_v = [v[name] for name in theta_F]
        gradient = torch.autograd.grad(
            list(theta_F_prime.values()), list(theta_G.values()), along_v, allow_unused=True
        )
    else:
        if method == "forward":
            J_v = directional_derivative(F, v, mtr.ir, mtr.vi)
        elif method == "double_vjp":
            J_v = directional_derivative_by_vjp(I_f, parameters, [v[name] for name in theta_F])
        elif method == "gauss_newton":
            u = solve_damped(F, v, mtr.ir, mtr.vi, damping, iterations)
            J_v = directional_derivative(F, u, mtr.ir, mtr.vi)
        else:
            raise InputError(f'unknown method "{method}"; choose one of {", ".join(get_args(Method))}')
        push = -eta_F_prime * pixel_push(I_f, mtr.ir, mtr.vi, w_a, w_b, J_v, loss)
        gradient = torch.autograd.grad(push, list(theta_G.values()), allow_unused=True)
    if any(g is None for g in gradient):
        raise TrainingError("L_f does not depend on all of theta_G: G would receive no gradient")
    return MetaGradient(
        theta_G=dict(zip(theta_G, average(gradient))),
        L_f=L_f.detach(),
        L_t_mtr=L_t_mtr,
        L_t_mts=L_t_mts,
        I_f_mtr=I_f.detach(),
        I_f_mts=I_f_mts,
        w_a=w_a.detach(),
    )


class NormalisedGradient(torch.optim.Optimizer):
    """The released update of G: theta_G -= lr * g / max |g|, the maximum over all of G.

    The largest entry moves by exactly ``lr`` in every step, whatever the size of the gradient. A gradient
    of exactly zero moves nothing.
    """

    def __init__(self, parameters, lr: float = 1e-4) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            largest = max((p.grad.abs().max() for p in moving), default=torch.zeros(()))
            if largest > 0:
                for p in moving:
                    p.sub_(group["lr"] * p.grad / largest)


def outer_update(G: nn.Module, gradient: Parameters, optimiser: torch.optim.Optimizer) -> None:
    r"""Outer update, Eq. (6): $\theta_G \leftarrow \theta_G - \eta_G\, \partial L_t / \partial \theta_G$.

    The optimiser says how: `torch.optim.SGD` is Eq. (6) as printed, `torch.optim.Adam` what Sec. 4.1
    names, `NormalisedGradient` the released code. G's gradients are set, not added to.
    """
    for name, parameter in G.named_parameters():
        parameter.grad = gradient[name]
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
