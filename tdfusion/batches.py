"""Which pairs every step of a run sees (Sec. 3.3), and how they are cut to size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tdfusion.config import TrainConfig, Variant, check_variant
from tdfusion.data import geometry
from tdfusion.data.layouts import find_layout
from tdfusion.data.pair import Batch, FusionBatch, MetaBatch, Pair, collate
from tdfusion.data.readers import PairDataset, open_dataset
from tdfusion.data.synthroad.scenes import oracle_weights
from tdfusion.errors import InputError
from tdfusion.runs.processes import Processes


def disjoint_subsets(
    n: int,
    M: int,
    epoch: int,
    seed: int,
    *,
    variant: Variant = "paper",
    batch_size: int = 1,
) -> tuple[list[int], list[int]]:
    """Meta-train and meta-test subsets of an epoch, Sec. 3.3 and line 3 of Algorithm 1.

    Both variants draw a new order of the ``n`` training pairs every epoch and never use a pair twice in
    it. ``"paper"`` gives the first half of the drawn pairs to meta-training and the second to
    meta-testing. ``"released"`` walks through the order in batches, as the authors' code does: meta-step
    k uses batch 2k for the inner update and batch 2k + 1 for the outer one.

    The paper calls M both the size of a subset and the number of meta-steps; the two agree for batches
    of one pair. For larger batches a subset holds ``M * batch_size`` indices, and meta-step k uses
    ``[k * batch_size : (k + 1) * batch_size]`` of each list.

    Args:
        n: number of training pairs.
        M: meta-steps per epoch (the paper: 200).
        epoch: number of the epoch; another epoch gives other subsets.
        seed: seed of the run; the same (seed, epoch) gives the same subsets.
        variant: ``"paper"`` or ``"released"``.
        batch_size: pairs per meta-step.

    Returns:
        Indices (mtr, mts), each ``M * batch_size`` long, without a common element.

    Raises:
        InputError: fewer than ``2 * M * batch_size`` pairs, or an unknown variant.

    Example:
        >>> mtr, mts = disjoint_subsets(n=1083, M=200, epoch=0, seed=0)
        >>> len(mtr), len(mts), set(mtr) & set(mts)
        (200, 200, set())
    """
    check_variant(variant)
    if M < 1 or batch_size < 1:
        raise InputError(f"M = {M} with batches of {batch_size}: both must be at least 1")
    wanted = 2 * M * batch_size
    if n < wanted:
        raise InputError(
            f"{n} training pairs are too few: disjoint meta-train and meta-test sets of"
            f" M * batch_size = {M * batch_size} need {wanted}; lower M or use more pairs"
        )
    drawn = np.random.default_rng([seed, epoch]).permutation(n)[:wanted]
    if variant == "paper":
        mtr, mts = np.split(drawn, 2)
    else:
        batches = drawn.reshape(M, 2, batch_size)
        mtr, mts = batches[:, 0].ravel(), batches[:, 1].ravel()
    return mtr.tolist(), mts.tolist()


class Batches:
    """The training pairs of a run, in batches. What an epoch sees depends on (seed, epoch) alone.

    Args:
        config: every setting.
        processes: those that share each batch.
        pairs: the training pairs of a "custom" data set.

    Attributes:
        pairs: the training split, in random crops.
        meta_steps: M, the meta-steps of an epoch; none where w is not learned.
        fusion_steps: N, the fusion steps of an epoch: as set, or the whole training set once; none in Exp. IV.

    Raises:
        InputError: the data set cannot be opened, is too small for 2 M disjoint batches, or a batch
            cannot be shared equally.
    """

    def __init__(self, config: TrainConfig, processes: Processes, pairs: PairDataset | None = None) -> None:
        self.config, self.processes = config, processes
        if (config.dataset == "custom") != (pairs is not None):
            raise InputError(f'dataset = "{config.dataset}": pairs are given for "custom", and only for it')
        self.pairs = pairs or self._open(
            "train", config.scenes, task=config.task, crop=config.crop, augment={"crop"}, keep=True
        )
        self.meta_steps = config.M if config.learns_w else 0
        own = config.N or -(-len(self.pairs) // config.batch)
        self.fusion_steps = 0 if config.fusion_phase == "outer" else own
        self.meta_sets(1)  # or say now why not
        processes.part(range(config.batch))
        if config.workers and pairs is None:
            self.pairs.source.read_all(config.workers, progress=processes.first)

    def meta_sets(self, epoch: int) -> tuple[list[int], list[int]]:
        """Indices of the meta-training and meta-test sets of an epoch, line 3 of Algorithm 1."""
        if not self.meta_steps:
            return [], []
        config = self.config
        return disjoint_subsets(
            len(self.pairs), config.M, epoch, config.seed, variant=config.partition, batch_size=config.batch
        )

    def fusion_sets(self, epoch: int) -> list[list[int]]:
        """Indices of the fusion training set in a new order, as N batches; it starts over where N asks for more."""
        if not self.fusion_steps:
            return []
        draw = np.random.default_rng([self.config.seed, epoch, 1])
        wanted = self.fusion_steps * self.config.batch
        rounds = -(-wanted // len(self.pairs))
        order = np.concatenate([draw.permutation(len(self.pairs)) for _ in range(rounds)]).tolist()
        if self.processes.count == 1:
            wanted = min(wanted, len(order))  # the last batch of a whole round may be short
        else:
            order += order[: max(wanted - len(order), 0)]  # shared equally: filled up from the front
        return [order[i : min(i + self.config.batch, wanted)] for i in range(0, wanted, self.config.batch)]

    def meta(self, epoch: int, done: int = 0) -> Iterator[MetaBatch]:
        """The meta-batches of an epoch, without those already done."""
        mtr, mts = self.meta_sets(epoch)
        for step in range(done, self.meta_steps):
            chosen = slice(step * self.config.batch, (step + 1) * self.config.batch)
            yield self.meta_batch(mtr[chosen], mts[chosen])

    def fusion(self, epoch: int, done: int = 0) -> Iterator[FusionBatch]:
        """The fusion batches of an epoch, without those already done."""
        yield from map(self.fusion_batch, self.fusion_sets(epoch)[done:])

    def meta_batch(self, mtr: Sequence[int], mts: Sequence[int]) -> MetaBatch:
        """This process's part of the pairs with these indices, as one meta-step sees them."""
        return MetaBatch(
            self.crops(mtr),
            self.task_view(mts),
            mtr_task=self.task_view(mtr) if self.config.task_size else None,
            ftr=self.fusion_batch(mts) if self.config.fusion_phase == "outer" else None,
        )

    def fusion_batch(self, ftr: Sequence[int]) -> FusionBatch:
        """This process's part of the pairs with these indices, as one fusion step sees them."""
        return FusionBatch(self.crops(ftr), self.task_view(ftr) if self.config.task_size else None)

    def crops(self, indices: Sequence[int]) -> Batch:
        """This process's part of a batch in the epoch's random crops, as F's loss sees them."""
        return self._batch([self.pairs[i] for i in self.processes.part(indices)])

    def task_view(self, indices: Sequence[int]) -> Batch:
        """The same as T sees them: crops, or whole pairs resized where ``task_size`` is set (released)."""
        size = self.config.task_size
        if size is None:
            return self.crops(indices)
        whole = [self.pairs.source[i] for i in self.processes.part(indices)]
        return self._batch([geometry.resize(pair, size) for pair in whole])

    def test_pairs(self) -> PairDataset:
        """The test split, whole and without labels.

        Raises:
            InputError: the data set cannot be opened, or is a "custom" one.
        """
        if self.config.dataset == "custom":
            raise InputError("custom pairs: score on your own test pairs, evaluate_network(F, pairs)")
        return self._open("test", None, task="fusion")

    def _open(self, split: str, scenes: int | None, **options: Any) -> PairDataset:
        config = self.config
        if find_layout(config.dataset).drawn:
            options |= {"length": scenes, "size": config.scene_size}
        return open_dataset(
            config.dataset, config.root, split, seed=config.seed, partial=config.partial, **options
        )

    def _batch(self, pairs: list[Pair]) -> Batch:
        batch = collate(pairs)
        if self.config.w == "oracle" and all(pair.optimum is not None for pair in pairs):
            batch = replace(batch, oracle=torch.stack([oracle_weights(pair.optimum) for pair in pairs]))
        return (batch.with_swapped() if self.config.swap else batch).to(self.processes.device)
