"""A run of Algorithm 1: its folder, its bar, its clock, and how it is stopped and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from tdfusion.algorithm import Row, State, epoch, fusion_step, meta_step, start, weights_by
from tdfusion.batches import Batches
from tdfusion.config import TrainConfig
from tdfusion.data.readers import PairDataset
from tdfusion.errors import InputError, TrainingError
from tdfusion.losses import fusion_loss
from tdfusion.meta import Average
from tdfusion.models import FusionNet, LossNet, MixNet
from tdfusion.runs.checkpoint import random_state, set_random_state
from tdfusion.runs.folder import Interruption, RunFolder
from tdfusion.runs.processes import Processes
from tdfusion.runs.provenance import Provenance
from tdfusion.tasks import build_task
from tdfusion.weights import read_safetensors


class Trainer:
    """One run: the state that Algorithm 1 moves, the batches it sees, and how far it is.

    ``run`` is the whole of Algorithm 1, ``run_epoch`` one epoch of it, row by row; ``meta_step`` and ``fusion_step``
    take one step on pairs of your choice.

    Args:
        config: every setting.
        F, G, T: networks to train instead of the paper's, built and initialised by the caller: F and G as in
            `tdfusion.models`, T as `tdfusion.tasks.Task`.
        pairs: training pairs where ``config.dataset`` is "custom".

    Attributes:
        state: F, G and T with their optimisers.
        batches: the training pairs, batch by batch.
        L_f: the fusion loss, Eq. (1), with this run's alpha and variants of Eq. (2) and (3).
        weights: how a fusion step gets its w.
        epoch: the epoch under way or just done, from 1; 0 before the first.
        step: steps done in the epoch under way; 0 between epochs.
        history: a row per step.

    Raises:
        InputError: the data set cannot be opened, or is too small for 2 M disjoint batches; ``w_from`` is no G.
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
        self.batches = Batches(config, self.processes, pairs)
        self.pairs = self.batches.pairs
        self._average: Average = self.processes.average if self.processes.count > 1 else list
        torch.manual_seed(config.seed)
        size = {"width": config.width, "blocks": config.blocks}
        F = F or FusionNet(**size)
        G = G or LossNet(**size)
        T = T or build_task(config.task, len(self.pairs.classes))
        if config.w_from is not None:
            G.load_state_dict(read_safetensors(Path(config.w_from), G.state_dict()))
        if config.form == "mix":
            F = MixNet(G)
        self.state: State = start(
            *(net.to(self.device) for net in (F, G, T)),
            eta_F=config.eta_F, eta_G=config.eta_G, eta_T=config.eta_T, G_update=config.G_update, eps_G=config.eps_G,
        )  # fmt: skip
        self.L_f = partial(
            fusion_loss, alpha=config.alpha, intensity=config.intensity, gradient=config.gradient
        )
        self.weights = weights_by(config.w, self.state.G, config.seed)
        if self.processes.rank:  # equal networks, but not equal dropout
            torch.manual_seed(config.seed + self.processes.rank)
        self.epoch = self.step = 0
        self.history: list[dict[str, Any]] = []
        self._pieces: list[dict[str, Any]] = []  # provenance of what ran before it was resumed

    @property
    def F(self) -> nn.Module:
        return self.state.F

    @property
    def G(self) -> nn.Module:
        return self.state.G

    @property
    def T(self) -> nn.Module:
        return self.state.T

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
        steps = self.batches.meta_steps + self.batches.fusion_steps
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
        return {"F": self.F, "G": self.G} if self.config.w == "learned" else {"F": self.F}

    def _guarded_epoch(self, writes: RunFolder | None) -> Iterator[dict[str, Any]]:
        """An epoch whose failure leaves the state behind."""
        try:
            yield from self.run_epoch()
        except TrainingError as error:
            if writes is None:
                raise
            raise TrainingError(
                f"{error}; the state is in {writes.stopped(self.snapshot(), str(error))}"
            ) from error

    def _checkpoint(self, folder: RunFolder | None, writes: RunFolder | None) -> None:
        if folder is None:
            return
        state = self.snapshot()  # of every process: it holds their random numbers
        if writes is not None:
            writes.checkpoint(state)

    def snapshot(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "rows": len(self.history),
            "networks": {name: part.state_dict() for name, part in vars(self.state).items()},
            "random": self.processes.gather(random_state()),
            "pieces": [*self._pieces, self._piece()],
        }

    def load_state(self, state: dict[str, Any], history: list[dict[str, Any]]) -> None:
        """Stand where `snapshot` was taken.

        Raises:
            InputError: it was taken with another number of processes.
        """
        if len(state["random"]) != self.processes.count:
            raise InputError(
                f"the run had {len(state['random'])} processes, now there are {self.processes.count}; "
                "resume with as many"
            )
        for name, part in vars(self.state).items():
            part.load_state_dict(state["networks"][name])
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
        if not self.step:
            self.epoch += 1
        batches = self.batches
        batches.pairs.set_epoch(self.epoch)
        self._decay()
        self.T.train()
        rows = epoch(
            self.state,
            batches.meta(self.epoch, done=self.step),
            batches.fusion(self.epoch, done=max(self.step - batches.meta_steps, 0)),
            self.weights,
            meta=self.meta_settings(),
            fusion=self.fusion_settings(),
        )
        try:
            for phase, row in rows:
                yield self._record(phase, row)
        except TrainingError as error:
            raise TrainingError(f"epoch {self.epoch}, step {self.step + 1}: {error}") from error
        self.step = 0

    def meta_step(self, mtr: Sequence[int], mts: Sequence[int]) -> Row:
        """`tdfusion.algorithm.meta_step` on the pairs with these indices, outside a run."""
        return meta_step(self.state, self.batches.meta_batch(mtr, mts), **self.meta_settings())

    def fusion_step(self, ftr: Sequence[int]) -> Row:
        """`tdfusion.algorithm.fusion_step` on the pairs with these indices, outside a run."""
        batch = self.batches.fusion_batch(ftr)
        return fusion_step(self.state, batch, *self.weights(batch.ftr), **self.fusion_settings())

    def meta_settings(self) -> dict[str, Any]:
        """What `tdfusion.algorithm.meta_step` is told in the epoch under way."""
        config = self.config
        return {
            "loss": self.L_f,
            "eta_F_prime": config.eta_F_prime * self._decay_so_far(),
            "eta_T_prime": config.eta_T_prime * self._decay_so_far(),
            "T_optimiser": self.state.T_optimiser if config.T_prime_update == "adam" else None,
            "method": config.method,
            "damping": config.damping,
            "eta_I": config.eta_I,
            "average": self._average,
            "loss_limit": config.loss_limit,
        }

    def fusion_settings(self) -> dict[str, Any]:
        """What `tdfusion.algorithm.fusion_step` is told."""
        config = self.config
        return {
            "loss": self.L_f,
            "fusion_weight": config.fusion_weight,
            "task_weight": config.task_weight,
            "average": self._average,
            "loss_limit": config.loss_limit,
        }

    def _decay_so_far(self) -> float:
        every = self.config.decay_every
        return self.config.decay_factor ** ((self.epoch - 1) // every) if every else 1.0

    def _decay(self) -> None:
        """StepLR on F, T and, in the released form, on the step of G, which is F's learning rate."""
        state, config = self.state, self.config
        steps = [(state.F_optimiser, config.eta_F), (state.T_optimiser, config.eta_T)]
        if config.G_update == "normalised":
            steps.append((state.G_optimiser, config.eta_G))
        for optimiser, eta in steps:
            for group in optimiser.param_groups:
                group["lr"] = eta * self._decay_so_far()

    def _record(self, phase: str, row: Row) -> dict[str, Any]:
        before = self.batches.meta_steps if phase == "fusion" else 0
        row = {"epoch": self.epoch, "phase": phase, "step": self.step - before + 1} | row
        self.history.append(row)
        self.step += 1
        return row
