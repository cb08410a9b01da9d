"""Disjoint meta-training and meta-test subsets (Sec. 3.3)."""

from __future__ import annotations

import pytest

from tdfusion.batches import disjoint_subsets
from tdfusion.errors import InputError


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize(("n", "M", "batch"), [(1083, 200, 1), (1083, 200, 2), (13, 3, 2), (12, 3, 2)])
def test_subsets_are_disjoint_in_every_epoch(variant: str, n: int, M: int, batch: int) -> None:
    for epoch in range(30):
        mtr, mts = disjoint_subsets(n, M, epoch, seed=1, variant=variant, batch_size=batch)
        assert len(mtr) == len(mts) == M * batch
        assert len(set(mtr) | set(mts)) == 2 * M * batch
        assert set(mtr) | set(mts) <= set(range(n))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_subsets_depend_on_seed_and_epoch_alone(variant: str) -> None:
    def draw(epoch: int, seed: int) -> tuple[list[int], list[int]]:
        return disjoint_subsets(50, 20, epoch, seed, variant=variant)

    assert draw(3, 0) == draw(3, 0)
    assert draw(3, 0) != draw(4, 0)
    assert draw(3, 0) != draw(3, 1)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_every_pair_comes_to_either_subset_in_time(variant: str) -> None:
    n, epochs = 40, 400
    counts = [[0, 0] for _ in range(n)]
    for epoch in range(epochs):
        for side, subset in enumerate(disjoint_subsets(n, 10, epoch, 0, variant=variant)):
            for i in subset:
                counts[i][side] += 1
    # Each pair is drawn for each side with probability 1/4: 100 of 400, standard deviation 8.7.
    assert all(60 < count < 140 for pair in counts for count in pair)


def test_released_variant_alternates_batches_of_one_pass() -> None:
    mtr, mts = disjoint_subsets(12, 3, 0, 0, variant="released", batch_size=2)
    paper_mtr, paper_mts = disjoint_subsets(12, 3, 0, 0, batch_size=2)
    one_pass = paper_mtr + paper_mts
    assert [one_pass[i : i + 2] for i in (0, 4, 8)] == [mtr[i : i + 2] for i in (0, 2, 4)]
    assert [one_pass[i : i + 2] for i in (2, 6, 10)] == [mts[i : i + 2] for i in (0, 2, 4)]


def test_too_few_pairs_are_an_error_that_says_how_many_are_needed() -> None:
    with pytest.raises(InputError, match=r"399 training pairs are too few.*need 400; lower M"):
        disjoint_subsets(399, 200, 0, 0)
    disjoint_subsets(400, 200, 0, 0)
    with pytest.raises(InputError, match="unknown variant"):
        disjoint_subsets(400, 200, 0, 0, variant="mine")
    with pytest.raises(InputError, match="at least 1"):
        disjoint_subsets(400, 0, 0, 0)
