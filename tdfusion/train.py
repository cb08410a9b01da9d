"""Algorithm 1: the loss learns, then the fusion learns, epoch after epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tdfusion.config import TrainConfig
from tdfusion.data import geometry
from tdfusion.data.files import write_text
from tdfusion.data.pair import Batch, collate
from tdfusion.data.readers import open_dataset
from tdfusion.data.samplers import disjoint_subsets
from tdfusion.errors import InputError, TrainingError
from tdfusion.losses import gradient_loss, intensity_loss
from tdfusion.meta import MetaGradient, NormalisedGradient, meta_gradient, outer_update
from tdfusion.models import FusionNet, LossNet
from tdfusion.provenance import Stopwatch, provenance
from tdfusion.tasks import build_task
from tdfusion.weights import write_safetensors


class Trainer:
    """F, G and T with their optimisers, and the two phases of an epoch.

    ``run`` is Algorithm 1 as a whole. ``meta_step`` and ``fusion_step`` are its two inner loops' bodies
    and may be called alone.

    Args:
        config: every setting.

    Raises:
        InputError: the data set cannot be opened, or is too small for 2 M disjoint batches.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.watch = Stopwatch()
        options: dict[str, Any] = {}
        if config.dataset == "SynthRoad":
            options = {"length": config.scenes, "size": config.scene_size}
        self.pairs = open_dataset(
            config.dataset, config.root, "train", task=config.task, crop=config.crop, augment={"crop"},
            seed=config.seed, **options,
        )  # fmt: skip
        disjoint_subsets(len(self.pairs), config.M, 1, config.seed, batch_size=config.batch)  # or say why not
        torch.manual_seed(config.seed)
        self.F = FusionNet().to(config.device)
        self.G = LossNet().to(config.device)
        self.T = build_task(config.task, len(self.pairs.classes)).to(config.device)
        self.F_optimiser = torch.optim.Adam(self.F.parameters(), lr=config.eta_F)
        self.T_optimiser = torch.optim.Adam(self.T.parameters(), lr=config.eta_T)
        self.G_optimiser = _G_optimiser(self.G, config)
        self.epoch = 0
        self.history: list[dict[str, Any]] = []

    def L_f(self, I_f: Tensor, I_a: Tensor, I_b: Tensor, w_a: Tensor, w_b: Tensor) -> Tensor:
        """Learnable fusion loss, Eq. (1), with this run's alpha and variants of Eq. (2) and (3)."""
        intensity = intensity_loss(I_f, I_a, I_b, w_a, w_b, self.config.intensity)
        return intensity + self.config.alpha * gradient_loss(I_f, I_a, I_b, self.config.gradient)

    def run(self, out: str | Path | None = None, progress: bool = True) -> None:
        """Algorithm 1. With ``out``, leaves a run folder there (see `save`).

        Raises:
            InputError: ``out`` exists and is not empty.
            TrainingError: a loss is not finite, or G receives no gradient.
        """
        config = self.config
        if out is not None and Path(out).exists() and any(Path(out).iterdir()):
            raise InputError(f"{out}: not empty; a run never overwrites another, name a new folder")
        total = config.L * (config.M + self.fusion_steps)
        with tqdm(total=total, unit="step", disable=not progress, dynamic_ncols=True) as bar:
            while self.epoch < config.L:
                for row in self.run_epoch():
                    bar.set_description(f"epoch {row['epoch']}/{config.L} {row['phase']}")
                    bar.set_postfix_str(f"L_f {row['L_f']:.4f} L_t {row['L_t']:.3f}", refresh=False)
                    bar.update()
        if out is not None:
            self.save(out)

    @property
    def fusion_steps(self) -> int:
        """N, the fusion steps of an epoch: as set, or the whole training set once."""
        return self.config.N or -(-len(self.pairs) // self.config.batch)

    def run_epoch(self) -> Iterator[dict[str, Any]]:
        """Lines 3 to 16 of Algorithm 1: yields a history row per step."""
        config = self.config
        self.epoch += 1
        self.pairs.set_epoch(self.epoch)
        self._decay()
        self.T.train()
        mtr, mts = disjoint_subsets(
            len(self.pairs), config.M, self.epoch, config.seed,
            variant=config.partition, batch_size=config.batch,
        )  # fmt: skip
        for step in range(config.M):
            chosen = slice(step * config.batch, (step + 1) * config.batch)
            yield self._record("meta", step, self.meta_step(mtr[chosen], mts[chosen]))
        for step, ftr in enumerate(self._fusion_batches()):
            yield self._record("fusion", step, self.fusion_step(ftr))

    def meta_step(self, mtr: Sequence[int], mts: Sequence[int]) -> dict[str, float]:
        """Lines 6 to 10: inner update by Eq. (4) and (5), outer update of G by Eq. (6) and (7)."""
        step = self.meta_gradient(mtr, mts)
        norm = torch.stack([g.square().sum() for g in step.theta_G.values()]).sum().sqrt().item()
        self._require_finite(step.L_f + step.L_t_mts, [*mtr, *mts])
        if not norm > 0:
            raise TrainingError(
                f"epoch {self.epoch}: the gradient of L_t in theta_G is {norm}; G would learn nothing "
                f"(pairs {self._names([*mtr, *mts])})"
            )
        outer_update(self.G, step.theta_G, self.G_optimiser)
        return {
            "L_f": step.L_f.item(),
            "L_t": step.L_t_mts.item(),
            "L_t_mtr": step.L_t_mtr.item(),
            "w_a": step.w_a.mean().item(),
            "w_a_sd": step.w_a.std().item(),
            "G_gradient": norm,
        }

    def meta_gradient(self, mtr: Sequence[int], mts: Sequence[int]) -> MetaGradient:
        """The gradient of one meta-step on the pairs with these indices; changes nothing."""
        config = self.config
        task_view = config.task_size is not None
        return meta_gradient(
            self.F, self.G, self.T, self._crops(mtr), self._task_view(mts) if task_view else self._crops(mts),
            loss=self.L_f,
            eta_F_prime=config.eta_F_prime * self._decay_so_far(),
            eta_T_prime=config.eta_T_prime * self._decay_so_far(),
            T_optimiser=self.T_optimiser if config.T_prime_update == "adam" else None,
            mtr_task=self._task_view(mtr) if task_view else None,
        )  # fmt: skip

    def fusion_step(self, ftr: Sequence[int]) -> dict[str, float]:
        """Lines 14 and 15: F by Eq. (8), T by Eq. (9), with G held."""
        batch = self._crops(ftr)
        with torch.no_grad():
            w_a, w_b = self.G(batch.ir, batch.vi)  # (B, 1, H, W)
        I_f = self.F(batch.ir, batch.vi)  # (B, 1, H, W)
        L_f = self.L_f(I_f, batch.ir, batch.vi, w_a, w_b)
        _descend(L_f, self.F_optimiser)
        if self.config.task_size is not None:
            batch = self._task_view(ftr)
            with torch.no_grad():
                I_f = self.F(batch.ir, batch.vi)
        L_t = self.T(I_f.detach(), batch)
        _descend(L_t, self.T_optimiser)
        self._require_finite(L_f + L_t, ftr)
        return {"L_f": L_f.item(), "L_t": L_t.item(), "w_a": w_a.mean().item(), "w_a_sd": w_a.std().item()}

    def save(self, out: str | Path) -> None:
        """Write the run folder: config, history, provenance, and the weights of F and G."""
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        where = provenance(self.watch, seed=self.config.seed, device=self.config.device)
        write_text(out / "config.json", json.dumps(self.config.to_dict(), indent=2) + "\n")
        write_text(out / "history.jsonl", "".join(json.dumps(row) + "\n" for row in self.history))
        write_text(out / "provenance.json", json.dumps(where, indent=2) + "\n")
        about = {"commit": where["commit"], "config": json.dumps(self.config.to_dict())}
        write_safetensors(out / "F.safetensors", self.F, about)
        write_safetensors(out / "G.safetensors", self.G, about)

    def _fusion_batches(self) -> list[list[int]]:
        """The fusion training set in a new order, as N batches; it starts over where N asks for more."""
        draw = np.random.default_rng([self.config.seed, self.epoch, 1])
        wanted = self.fusion_steps * self.config.batch
        rounds = -(-wanted // len(self.pairs))
        order = np.concatenate([draw.permutation(len(self.pairs)) for _ in range(rounds)]).tolist()
        wanted = min(wanted, len(order))  # the last batch of a whole round may be short
        return [order[i : min(i + self.config.batch, wanted)] for i in range(0, wanted, self.config.batch)]

    def _crops(self, indices: Sequence[int]) -> Batch:
        return self._prepare([self.pairs[i] for i in indices])

    def _task_view(self, indices: Sequence[int]) -> Batch:
        size = self.config.task_size
        return self._prepare([geometry.resize(self.pairs.source[i], size) for i in indices])

    def _prepare(self, pairs: list) -> Batch:
        batch = collate(pairs)
        return (batch.with_swapped() if self.config.swap else batch).to(self.config.device)

    def _decay_so_far(self) -> float:
        every = self.config.decay_every
        return self.config.decay_factor ** ((self.epoch - 1) // every) if every else 1.0

    def _decay(self) -> None:
        """StepLR on F, T and, in the released form, on the step of G, which is F's learning rate."""
        steps = [(self.F_optimiser, self.config.eta_F), (self.T_optimiser, self.config.eta_T)]
        if self.config.G_update == "normalised":
            steps.append((self.G_optimiser, self.config.eta_G))
        for optimiser, eta in steps:
            for group in optimiser.param_groups:
                group["lr"] = eta * self._decay_so_far()

    def _record(self, phase: str, step: int, row: dict[str, float]) -> dict[str, Any]:
        row = {"epoch": self.epoch, "phase": phase, "step": step + 1} | row
        self.history.append(row)
        return row

    def _require_finite(self, loss: Tensor, indices: Sequence[int]) -> None:
        if not torch.isfinite(loss):
            raise TrainingError(f"epoch {self.epoch}: loss {loss.item()} on pairs {self._names(indices)}")

    def _names(self, indices: Sequence[int]) -> str:
        return ", ".join(self.pairs.names[i] for i in indices)


def _G_optimiser(G: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    make = {
        "adam": partial(torch.optim.Adam, eps=config.eps_G),
        "gradient": torch.optim.SGD,
        "normalised": NormalisedGradient,
    }[config.G_update]
    return make(G.parameters(), lr=config.eta_G)


def _descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
