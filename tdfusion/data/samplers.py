"""Which pairs the meta phase of an epoch sees (Sec. 3.3)."""

from __future__ import annotations

import numpy as np

from tdfusion.config import Variant, check_variant
from tdfusion.errors import InputError


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
