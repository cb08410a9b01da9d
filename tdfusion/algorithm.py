"""Algorithm 1 as functions: what its lines do to F, G and T, on batches.

The paper's line numbers stand beside the code. Everything is a number or a batch; where batches come from is
`tdfusion.batches`, how a run is kept, stopped and resumed is `tdfusion.train`. Table 3's experiments are
arguments of these functions, see ``tdfusion.config.EXPERIMENTS``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tdfusion.config import GUpdate, Weights
from tdfusion.data.pair import Batch, FusionBatch, MetaBatch
from tdfusion.errors import InputError, TrainingError
from tdfusion.meta import Average, FusionLoss, meta_gradient, outer_update

Row = dict[str, float]  # what the history says of a step
WeightsOf = Callable[[Batch], tuple[Tensor, Tensor]]  # a batch -> w_a, w_b (B, 1, H, W)


@dataclass
class State:
    """The three networks that Algorithm 1 trains, and the optimisers that move them."""

    F: nn.Module  # fusion network, theta_F
    G: nn.Module  # loss generation network, theta_G
    T: nn.Module  # task, theta_T
    F_optimiser: torch.optim.Optimizer  # Eq. (8)
    G_optimiser: torch.optim.Optimizer  # Eq. (6)
    T_optimiser: torch.optim.Optimizer  # Eq. (9)


def start(
    F: nn.Module, G: nn.Module, T: nn.Module, *,
    eta_F: float, eta_G: float, eta_T: float, G_update: GUpdate = "adam", eps_G: float = 1e-16,
) -> State:  # fmt: skip
    """Line 1: the networks as they are, with the optimisers of Sec. 4.1.

    Args:
        F, G, T: initialised by the caller.
        eta_F, eta_G, eta_T: learning rates.
        G_update: "adam" (Sec. 4.1), "gradient" (Eq. (6) as printed) or "normalised" (released).
        eps_G: Adam's epsilon for G.
    """
    optimiser_of_G = {
        "adam": partial(torch.optim.Adam, eps=eps_G),
        "gradient": torch.optim.SGD,
        "normalised": NormalisedGradient,
    }[G_update]
    return State(
        F, G, T,
        F_optimiser=torch.optim.Adam(F.parameters(), lr=eta_F),
        G_optimiser=optimiser_of_G(G.parameters(), lr=eta_G),
        T_optimiser=torch.optim.Adam(T.parameters(), lr=eta_T),
    )  # fmt: skip


def epoch(
    state: State,
    meta_batches: Iterable[MetaBatch],
    fusion_batches: Iterable[FusionBatch],
    weights: WeightsOf,
    *,
    meta: dict[str, Any],
    fusion: dict[str, Any],
) -> Iterator[tuple[str, Row]]:
    """Lines 3 to 16 of Algorithm 1: the loss learns, then the fusion learns.

    Args:
        state: moved in place.
        meta_batches: M of them (line 3), or none where w is not learned. One that carries a fusion batch moves
            F and T in the outer update too (Exp. IV).
        fusion_batches: N of them, or none (Exp. IV).
        weights: w of a batch in a fusion step, see `weights_by`.
        meta: keyword arguments of `meta_step`.
        fusion: keyword arguments of `fusion_step`.

    Yields:
        The phase, "meta" or "fusion", and the row of every step, after it was taken.
    """
    for batch in meta_batches:  # line 4
        row = meta_step(state, batch, **meta)  # lines 5 to 10
        if batch.ftr is not None:
            later = fusion_step(state, batch.ftr, *weights(batch.ftr.ftr), **fusion)
            row |= {f"{name}_ftr": value for name, value in later.items()}
        yield "meta", row
    for batch in fusion_batches:  # line 12
        yield "fusion", fusion_step(state, batch, *weights(batch.ftr), **fusion)  # lines 13 to 15


def meta_step(
    state: State, batch: MetaBatch, *, average: Average = list, loss_limit: float = math.inf, **inner: Any
) -> Row:
    """Lines 5 to 10: inner updates by Eq. (4) and (5), outer update of G by Eq. (6) and (7).

    Args:
        state: G moves; F and T stay bit for bit.
        batch: meta-training and meta-test pairs.
        average: over processes, see `tdfusion.meta.meta_gradient`.
        loss_limit: a loss above it, or not finite, is an error.
        inner: loss, step sizes and method, as `tdfusion.meta.meta_gradient` takes them.

    Raises:
        TrainingError: a loss beyond the limit, or G receives no gradient; G has not moved.
    """
    step = meta_gradient(
        state.F, state.G, state.T, batch.mtr, batch.mts, mtr_task=batch.mtr_task, average=average, **inner
    )
    row = _numbers(average, step.w_a, L_f=step.L_f, L_t=step.L_t_mts, L_t_mtr=step.L_t_mtr)
    _require_sane(row, loss_limit, batch.mtr, batch.mts)
    norm = torch.stack([g.square().sum() for g in step.theta_G.values()]).sum().sqrt().item()
    if not norm > 0:
        raise TrainingError(
            f"the gradient of L_t in theta_G is {norm}; G would learn nothing "
            f"(pairs {_names(batch.mtr, batch.mts)})"
        )
    outer_update(state.G, step.theta_G, state.G_optimiser)
    return row | {"G_gradient": norm}


def fusion_step(
    state: State, batch: FusionBatch, w_a: Tensor, w_b: Tensor, *, loss: FusionLoss, fusion_weight: float = 1.0,
    task_weight: float = 0.0, average: Average = list, loss_limit: float = math.inf,
) -> Row:  # fmt: skip
    r"""Lines 13 to 15: F by Eq. (8), T by Eq. (9), with w held.

    In Sec. 3.5 F follows L_f alone. In general its loss is ``fusion_weight`` $L_f$ + ``task_weight`` $L_t$:
    (1, 1) is Exp. III of Table 3, (0, 1) moves F, or the mix of Exp. V, by the task alone. T follows L_t.

    Args:
        state: F and T move.
        batch: the pairs as F's loss sees them, and as T sees them where that is not the same.
        w_a, w_b: (B, 1, H, W), constants.
        loss: L_f as a function of (I_f, I_a, I_b, w_a, w_b).
        average, loss_limit: see `meta_step`.

    Raises:
        TrainingError: a loss beyond the limit; what would follow it has not moved.
    """
    ftr, seen = batch.ftr, batch.ftr if batch.ftr_task is None else batch.ftr_task
    I_f = state.F(ftr.ir, ftr.vi)  # (B, 1, H, W)
    L_f = loss(I_f, ftr.ir, ftr.vi, w_a, w_b)
    row = _numbers(average, w_a, L_f=L_f)
    _require_sane(row, loss_limit, ftr)
    if not task_weight:
        _descend(fusion_weight * L_f, average, state.F_optimiser)  # Eq. (8)
    with torch.set_grad_enabled(bool(task_weight)):
        I_f = I_f if seen is ftr else state.F(seen.ir, seen.vi)
    L_t = state.T(I_f if task_weight else I_f.detach(), seen)
    row |= _numbers(average, L_t=L_t)
    _require_sane(row, loss_limit, ftr)
    if task_weight:
        joint = task_weight * L_t + (fusion_weight * L_f if fusion_weight else 0)
        _descend(
            joint, average, state.F_optimiser, state.T_optimiser, scaled={state.T_optimiser: task_weight}
        )
    else:
        _descend(L_t, average, state.T_optimiser)  # Eq. (9)
    return row


def weights_by(w: Weights, G: nn.Module, seed: int = 0) -> WeightsOf:
    """How a fusion step gets its w: by G, or by one of the controls of Table 3.

    ``"learned"``, ``"given"``, ``"frozen"``: what G says (G in training, of a file, untrained). ``"half"``: 1/2
    everywhere (Exp. I). ``"oracle"``: what the scene knows to be best. ``"shuffled"``: G's values of each image
    at pixels of it drawn by chance, so that all is kept but the places.
    """

    @torch.no_grad()
    def weights(batch: Batch) -> tuple[Tensor, Tensor]:
        if w == "half":
            return torch.full_like(batch.ir, 0.5), torch.full_like(batch.ir, 0.5)
        if w == "oracle":
            if batch.oracle is None:
                raise InputError(
                    f"{_names(batch)}: no known optimum, which w = 'oracle' needs; use SynthRoad"
                )
            return batch.oracle, 1 - batch.oracle
        w_a, w_b = G(batch.ir, batch.vi)
        if w == "shuffled":
            order = torch.stack([_order(name, seed, w_a[0].numel()) for name in batch.names]).to(w_a.device)
            w_a, w_b = (x.flatten(1).gather(1, order).view_as(x) for x in (w_a, w_b))
        return w_a, w_b

    return weights


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


def _descend(
    loss: Tensor, average: Average, *optimisers: torch.optim.Optimizer,
    scaled: dict[torch.optim.Optimizer, float] | None = None,
) -> None:  # fmt: skip
    """One step of each optimiser down a loss; one whose loss is a multiple of its own is scaled back."""
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()
    for optimiser in optimisers:
        moving = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        for p, joint in zip(moving, average([p.grad for p in moving])):
            p.grad = joint / scaled[optimiser] if scaled and optimiser in scaled else joint
        optimiser.step()


def _numbers(average: Average, w_a: Tensor | None = None, **losses: Tensor) -> Row:
    """What the history says of a step: losses, and mean and spread of w_a; means over the processes."""
    found = dict(losses)
    if w_a is not None:
        found |= {"w_a": w_a.mean(), "w_a_sd": w_a.std()}
    return {name: value.item() for name, value in zip(found, average(list(found.values())))}


def _require_sane(row: Row, limit: float, *batches: Batch) -> None:
    for name in ("L_f", "L_t", "L_t_mtr"):
        if not abs(row.get(name, 0.0)) <= limit:  # also where it is not a number
            raise TrainingError(
                f"{name} = {row[name]:g} (loss_limit = {limit:g}) on pairs {_names(*batches)}"
            )


def _names(*batches: Batch) -> str:
    return ", ".join(dict.fromkeys(name for batch in batches for name in batch.names))


def _order(name: str, seed: int, pixels: int) -> Tensor:
    """A random order of an image's pixels, of its own and the same in every step."""
    return torch.randperm(pixels, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed))
