"""Algorithm 1 on scenes in memory: what every arm of the studies on known scenes is run by."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from studies.arm import Arm
from studies.scene_parts import LocalLossNet, MaskFusion, Scenes, region_means, weights_all
from tdfusion.algorithm import fusion_step, meta_step, start
from tdfusion.batches import disjoint_subsets
from tdfusion.config import VARIANTS
from tdfusion.data.pair import FusionBatch, MetaBatch
from tdfusion.data.synthroad.scenes import CLASSES
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.errors import InputError
from tdfusion.losses import fusion_loss
from tdfusion.models import FusionNet, LossNet, MixNet
from tdfusion.tasks.dense import class_weights
from tdfusion.tasks.segmentation import SegmentationTask


def build_F(name: str) -> nn.Module:
    return {
        "mask": lambda: MaskFusion(centred=False),
        "mask centred": lambda: MaskFusion(centred=True),
        "paper 8": lambda: FusionNet(8, 1),
        "paper": FusionNet,
    }[name]()


def build_G(name: str) -> nn.Module:
    return LossNet() if name == "paper" else LocalLossNet()


class Run:
    """One arm with one seed: a state of `tdfusion.algorithm`, scenes in memory, and the order in which they come.

    Args:
        arm: how to train.
        seed: of the networks' start and of the order of the scenes.
        train, test: scenes.
        given: w_a of every training scene (N, 1, H, W) for an arm that replays those of another.
    """

    def __init__(self, arm: Arm, seed: int, train: Scenes, test: Scenes, given: Tensor | None = None) -> None:
        torch.manual_seed(seed)
        self.arm, self.seed, self.train, self.test = arm, seed, train, test
        released = VARIANTS[arm.variant]
        self.partition = released.get("partition", "paper")
        self.loss = partial(
            fusion_loss, alpha=arm.alpha,
            intensity=released.get("intensity", "paper"), gradient=released.get("gradient", "paper"),
        )  # fmt: skip
        F = build_F(arm.F)
        G = build_G(arm.G)
        counts = torch.bincount(train.mask.flatten(), minlength=len(CLASSES))
        T = SegmentationTask(len(CLASSES), class_weights(counts), arm.standardised, **SEGFORMERS["tiny"])
        self.state = start(
            MixNet(G) if arm.w == "direct" else F, G, T,
            eta_F=arm.eta_F, eta_G=arm.eta_G, eta_T=arm.eta_T, G_update=arm.G_update,
        )  # fmt: skip
        if arm.w == "direct":  # Exp. V: F is the mix, and G's optimiser moves it
            self.state.F_optimiser = self.state.G_optimiser
        self.w_train = self.fixed_weights() if given is None else given
        self.chance = torch.Generator().manual_seed(seed)

    def fixed_weights(self) -> Tensor | None:
        """w_a of every training scene where it is not being learned, else None."""
        name, train = self.arm.w, self.train
        if name in ("learned", "direct"):
            return None
        if name == "half":
            return torch.full_like(train.ir, 0.5)
        if name == "oracle":
            return train.oracle
        if name == "random":
            return weights_all(random_G(self.seed), train)
        raise InputError(f"the arm's weights are those of {name!r}: give them")

    def weights(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        if self.w_train is not None:
            w_a = self.w_train[chosen]
            return w_a, 1 - w_a
        with torch.no_grad():
            return self.state.G(self.train.ir[chosen], self.train.vi[chosen])

    def meta_step(self, mtr: list[int], mts: list[int]) -> None:
        arm = self.arm
        batch = MetaBatch(*(self.train.batch(torch.tensor(indices)) for indices in (mtr, mts)))
        meta_step(
            self.state, batch,
            loss=self.loss, eta_F_prime=arm.eta_F, eta_T_prime=arm.eta_T, method=arm.method,
        )  # fmt: skip

    def fusion_step(self) -> float:
        """One step of F and T on a batch drawn by chance; L_t before it."""
        direct = self.arm.w == "direct"
        chosen = torch.randint(len(self.train), (self.arm.batch,), generator=self.chance)
        row = fusion_step(
            self.state, FusionBatch(self.train.batch(chosen)), *self.weights(chosen), loss=self.loss,
            fusion_weight=0.0 if direct else 1.0, task_weight=1.0 if direct else self.arm.task_weight,
        )  # fmt: skip
        return row["L_t"]

    def epochs(self) -> Iterator[dict]:
        """Algorithm 1, one row per epoch."""
        arm, size = self.arm, self.arm.batch
        for _ in range(arm.warm):
            self.fusion_step()
        yield self.row(0, [])
        for epoch in range(1, arm.L + 1):
            if arm.w == "learned":
                if arm.falling:
                    for group in self.state.G_optimiser.param_groups:
                        group["lr"] = arm.eta_G * (1 - (epoch - 1) / arm.L)
                M = min(arm.M, len(self.train) // (2 * size))
                mtr, mts = disjoint_subsets(
                    len(self.train), M, epoch, self.seed, variant=self.partition, batch_size=size
                )
                for at in range(0, len(mtr), size):
                    self.meta_step(mtr[at : at + size], mts[at : at + size])
            yield self.row(epoch, [self.fusion_step() for _ in range(arm.N)])

    def row(self, epoch: int, L_t: list[float]) -> dict:
        row: dict = {"epoch": epoch, "L_t": float(np.mean(L_t)) if L_t else None}
        if self.w_train is None:
            row["w_a"] = region_means(weights_all(self.state.G, self.test), self.test.optimum)
        return row


def random_G(seed: int) -> nn.Module:
    """An untrained LossNet, which already follows brightness: the control for any map of w."""
    torch.manual_seed(7000 + seed)
    return LossNet(8, 1)


def shuffled(w: Tensor, seed: int) -> Tensor:
    """Every image's weights, their pixels in random order: the same values, without their places."""
    order = torch.rand(w.flatten(1).shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
    return w.flatten(1).gather(1, order).view_as(w)
