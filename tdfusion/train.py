"""Algorithm 1: the loss learns, then the fusion learns, epoch after epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tdfusion.batches import Supply
from tdfusion.config import TrainConfig
from tdfusion.data.pair import Batch
from tdfusion.data.readers import PairDataset
from tdfusion.errors import InputError, TrainingError
from tdfusion.losses import gradient_loss, intensity_loss
from tdfusion.meta import Average, MetaGradient, NormalisedGradient, meta_gradient, outer_update
from tdfusion.models import FusionNet, LossNet
from tdfusion.runs.checkpoint import random_state, set_random_state
from tdfusion.runs.folder import Interruption, RunFolder
from tdfusion.runs.processes import Processes
from tdfusion.runs.provenance import Provenance
from tdfusion.tasks import build_task


class Trainer:
    """F, G and T with their optimisers, and the two phases of an epoch.

    ``run`` is Algorithm 1 as a whole. ``meta_step`` and ``fusion_step`` are its two inner loops' bodies
    and may be called alone.

    Args:
        config: every setting.
        F, G, T: networks to train instead of the paper's, built and initialised by the caller: F and G as in
            `tdfusion.models`, T as `tdfusion.tasks.Task`.
        pairs: training pairs where ``config.dataset`` is "custom".

    Attributes:
        epoch: the epoch under way or just done, from 1; 0 before the first.
        step: steps done in the epoch under way; 0 between epochs.
        history: a row per step.

    Raises:
        InputError: the data set cannot be opened, or is too small for 2 M disjoint batches.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        F: nn.Module | None = None,
        G: nn.Module | None = None,
        T: nn.Module | None = None,
        pairs: PairDataset | None = None,
    ) -> None:
        self.config = config
        self.made = Provenance.begin(seed=config.seed, device=config.device)
        self.processes = Processes(config.device)
        self.device = self.processes.device
        self.supply = Supply(config, self.processes, pairs)
        self.pairs = self.supply.pairs
        self._average: Average = self.processes.average if self.processes.count > 1 else list
        torch.manual_seed(config.seed)
        self.F = (F or FusionNet()).to(self.device)
        self.G = (G or LossNet()).to(self.device)
        self.T = (T or build_task(config.task, len(self.pairs.classes))).to(self.device)
        self.F_optimiser = torch.optim.Adam(self.F.parameters(), lr=config.eta_F)
        self.T_optimiser = torch.optim.Adam(self.T.parameters(), lr=config.eta_T)
        self.G_optimiser = _G_optimiser(self.G, config)
        if self.processes.rank:  # equal networks, but not equal dropout
            torch.manual_seed(config.seed + self.processes.rank)
        self.epoch = self.step = 0
        self.history: list[dict[str, Any]] = []
        self._pieces: list[dict[str, Any]] = []  # provenance of what ran before it was resumed

    def L_f(self, I_f: Tensor, I_a: Tensor, I_b: Tensor, w_a: Tensor, w_b: Tensor) -> Tensor:
        """Learnable fusion loss, Eq. (1), with this run's alpha and variants of Eq. (2) and (3)."""
        intensity = intensity_loss(I_f, I_a, I_b, w_a, w_b, self.config.intensity)
        return intensity + self.config.alpha * gradient_loss(I_f, I_a, I_b, self.config.gradient)

    def run(
        self,
        out: str | Path | None = None,
        *,
        resume: bool = False,
        minutes: float | None = None,
        progress: bool = True,
        after_epoch: Callable[[Trainer], None] | None = None,
    ) -> bool:
        """Algorithm 1. With ``out``, leaves a run folder there, see `tdfusion.runs.folder`.

        A checkpoint is written at the start, after every epoch, and every five minutes between. Ctrl-C ends
        the run after the step under way, with one more (of several processes: at once, without). A resumed
        run goes on from the last one and, on a CPU in one process, gives the numbers of an uninterrupted run
        bit for bit.

        Args:
            out: the run folder; new or empty, unless ``resume``.
            resume: go on with the run in ``out``. Its settings must be these; L may be larger.
            minutes: stop with a checkpoint after so long, for machines that are lent by the hour.
            progress: show a bar with losses and time left.
            after_epoch: called with this trainer after every epoch, to draw for instance.

        Returns:
            Whether the run is done; False where ``minutes`` were over before.

        Raises:
            InputError: ``out`` exists and is not empty; with ``resume``, it holds no run of these settings.
            TrainingError: a loss is not finite or too large, or G receives no gradient. The state is kept
                in ``stopped.pt``.
            KeyboardInterrupt: after Ctrl-C.
        """
        config = self.config
        folder = None if out is None else RunFolder(out)
        if resume:
            if folder is None:
                raise InputError("resume: name the run folder as well")
            self.load_state(*folder.resume(config))
        elif folder is not None and self.processes.first:
            folder.start(config)
        writes = folder if self.processes.first else None
        self._checkpoint(folder, writes)
        steps = self.supply.meta_steps + self.supply.fusion_steps
        done = max(self.epoch - (self.step > 0), 0) * steps + self.step
        bar = tqdm(
            total=config.L * steps, initial=done, unit="step",
            disable=not (progress and self.processes.first), dynamic_ncols=True,
        )  # fmt: skip
        alone = self.processes.count == 1  # several would have to agree on the step at which they stop
        if minutes is not None and not alone:
            raise InputError("minutes: a limit on time is for a single process")
        deadline = time.monotonic() + 60 * minutes if minutes is not None else math.inf
        with bar, Interruption(waits=alone) as stop:
            while self.epoch < config.L or self.step:
                for row in self._guarded_epoch(writes):
                    bar.set_description(f"epoch {row['epoch']}/{config.L} {row['phase']}")
                    bar.set_postfix_str(f"L_f {row['L_f']:.4f} L_t {row['L_t']:.3f}", refresh=False)
                    bar.update()
                    if writes is not None:
                        writes.append(row)
                    over = time.monotonic() > deadline
                    if stop.asked or over or (alone and folder is not None and folder.due):
                        self._checkpoint(folder, writes)
                    if over:
                        return False
                    if stop.asked:
                        where = f"; resume goes on from {folder.path}" if folder else ""
                        raise KeyboardInterrupt(f"after epoch {self.epoch}, step {self.step}{where}")
                self._checkpoint(folder, writes)
                if writes is not None and config.snapshots and self.epoch % config.snapshots == 0:
                    writes.snapshot(self.epoch, self._trained())
                if after_epoch is not None:
                    after_epoch(self)
        if writes is not None:
            writes.finish(config, self.provenance(), self._trained())
        return True

    def _trained(self) -> dict[str, nn.Module]:
        """What a run leaves: F, and G where it learned anything."""
        return {"F": self.F, "G": self.G} if self.supply.meta_steps else {"F": self.F}

    def _guarded_epoch(self, writes: RunFolder | None) -> Iterator[dict[str, Any]]:
        """An epoch whose failure leaves the state behind."""
        try:
            yield from self.run_epoch()
        except TrainingError as error:
            if writes is None:
                raise
            raise TrainingError(
                f"{error}; the state is in {writes.stopped(self.state(), str(error))}"
            ) from error

    def _checkpoint(self, folder: RunFolder | None, writes: RunFolder | None) -> None:
        if folder is None:
            return
        state = self.state()  # of every process: it holds their random numbers
        if writes is not None:
            writes.checkpoint(state)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "rows": len(self.history),
            "networks": {name: getattr(self, name).state_dict() for name in _STATEFUL},
            "random": self.processes.gather(random_state()),
            "pieces": [*self._pieces, self._piece()],
        }

    def load_state(self, state: dict[str, Any], history: list[dict[str, Any]]) -> None:
        """Stand where `state` was taken.

        Raises:
            InputError: it was taken with another number of processes.
        """
        if len(state["random"]) != self.processes.count:
            raise InputError(
                f"the run had {len(state['random'])} processes, now there are {self.processes.count}; "
                "resume with as many"
            )
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state["networks"][name])
        self.epoch, self.step, self.history = state["epoch"], state["step"], history
        self._pieces = state["pieces"]
        set_random_state(state["random"][self.processes.rank])

    def provenance(self) -> dict[str, Any]:
        """Commit, versions, hardware and duration, over all pieces of a run that was resumed."""
        here = self.made.finish(processes=self.processes.count, pieces=[*self._pieces, self._piece()])
        return here | {"seconds": round(sum(piece["seconds"] for piece in here["pieces"]), 1)}

    def _piece(self) -> dict[str, Any]:
        here = self.made.finish()
        return {name: here[name] for name in ("commit", "started", "seconds", "hardware")}

    def run_epoch(self) -> Iterator[dict[str, Any]]:
        """Lines 3 to 16 of Algorithm 1, from where the epoch stands: yields a history row per step."""
        config = self.config
        if not self.step:
            self.epoch += 1
        self.pairs.set_epoch(self.epoch)
        self._decay()
        self.T.train()
        mtr, mts = self.supply.meta_sets(self.epoch)
        for step in range(self.step, self.supply.meta_steps):
            chosen = slice(step * config.batch, (step + 1) * config.batch)
            yield self._record("meta", step, self.meta_step(mtr[chosen], mts[chosen]))
        batches = self.supply.fusion_batches(self.epoch)
        for step in range(self.step - self.supply.meta_steps, len(batches)):
            yield self._record("fusion", step, self.fusion_step(batches[step]))
        self.step = 0

    def meta_step(self, mtr: Sequence[int], mts: Sequence[int]) -> dict[str, float]:
        """Lines 6 to 10: inner update by Eq. (4) and (5), outer update of G by Eq. (6) and (7)."""
        step = self.meta_gradient(mtr, mts)
        norm = torch.stack([g.square().sum() for g in step.theta_G.values()]).sum().sqrt().item()
        row = self._numbers(L_f=step.L_f, L_t=step.L_t_mts, L_t_mtr=step.L_t_mtr, w_a=step.w_a)
        self._require_sane(row, [*mtr, *mts])
        if not norm > 0:
            raise TrainingError(
                f"epoch {self.epoch}, step {self.step + 1}: the gradient of L_t in theta_G is {norm}; "
                f"G would learn nothing (pairs {self.supply.names([*mtr, *mts])})"
            )
        outer_update(self.G, step.theta_G, self.G_optimiser)
        return row | {"G_gradient": norm}

    def meta_gradient(self, mtr: Sequence[int], mts: Sequence[int]) -> MetaGradient:
        """The gradient of one meta-step on the pairs with these indices; changes nothing."""
        config, supply = self.config, self.supply
        return meta_gradient(
            self.F, self.G, self.T, supply.crops(mtr), supply.task_view(mts),
            loss=self.L_f,
            eta_F_prime=config.eta_F_prime * self._decay_so_far(),
            eta_T_prime=config.eta_T_prime * self._decay_so_far(),
            T_optimiser=self.T_optimiser if config.T_prime_update == "adam" else None,
            mtr_task=supply.task_view(mtr) if config.task_size else None,
            method=config.method,
            damping=config.damping,
            average=self._average,
        )  # fmt: skip

    def fusion_step(self, ftr: Sequence[int]) -> dict[str, float]:
        """Lines 14 and 15: F by Eq. (8), T by Eq. (9), with G held."""
        batch = self.supply.crops(ftr)
        w_a, w_b = self._weights(batch)
        I_f = self.F(batch.ir, batch.vi)  # (B, 1, H, W)
        L_f = self.L_f(I_f, batch.ir, batch.vi, w_a, w_b)
        row = self._numbers(L_f=L_f, w_a=w_a)
        self._require_sane(row, ftr)
        self._descend(L_f, self.F_optimiser)
        if self.config.task_size is not None:
            batch = self.supply.task_view(ftr)
            with torch.no_grad():
                I_f = self.F(batch.ir, batch.vi)
        L_t = self.T(I_f.detach(), batch)
        row |= self._numbers(L_t=L_t)
        self._require_sane(row, ftr)
        self._descend(L_t, self.T_optimiser)
        return row

    def _numbers(self, w_a: Tensor | None = None, **losses: Tensor) -> dict[str, float]:
        """What the history says of a step: losses, and mean and spread of w_a; means over the processes."""
        found = dict(losses)
        if w_a is not None:
            found |= {"w_a": w_a.mean(), "w_a_sd": w_a.std()}
        joint = self._average(list(found.values()))
        return {name: value.item() for name, value in zip(found, joint)}

    @torch.no_grad()
    def _weights(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """w_a and w_b as the fusion step takes them: constants."""
        if self.config.w == "half":
            return torch.full_like(batch.ir, 0.5), torch.full_like(batch.ir, 0.5)
        return self.G(batch.ir, batch.vi)

    def _descend(self, loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        moving = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        for p, joint in zip(moving, self._average([p.grad for p in moving])):
            p.grad = joint
        optimiser.step()

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
        self.step += 1
        return row

    def _require_sane(self, row: dict[str, float], indices: Sequence[int]) -> None:
        for name in ("L_f", "L_t", "L_t_mtr"):
            if not abs(row.get(name, 0.0)) <= self.config.loss_limit:  # also where it is not a number
                raise TrainingError(
                    f"epoch {self.epoch}, step {self.step + 1}: {name} = {row[name]:g} "
                    f"(loss_limit = {self.config.loss_limit:g}) on pairs {self.supply.names(indices)}"
                )


_STATEFUL = ("F", "G", "T", "F_optimiser", "T_optimiser", "G_optimiser")


def _G_optimiser(G: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    make = {
        "adam": partial(torch.optim.Adam, eps=config.eps_G),
        "gradient": torch.optim.SGD,
        "normalised": NormalisedGradient,
    }[config.G_update]
    return make(G.parameters(), lr=config.eta_G)
