"""The paper's lists, and folds in blocks of frames: names, counts, checksums."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise
from pathlib import Path

import pytest

from tdfusion.data import block_folds, named_folds, open_dataset, paper_split
from tdfusion.data.splits import blocks_of, folds_checksum, split_checksum
from tdfusion.errors import InputError

COUNTS = {("M3FD", "train"): 3150, ("M3FD", "test"): 1050, ("LLVIP", "train"): 1203, ("LLVIP", "test"): 347}


@pytest.mark.parametrize(("dataset", "split"), COUNTS)
def test_paper_lists_have_their_count_and_checksum(dataset: str, split: str) -> None:
    names = paper_split(dataset, split)
    assert len(names) == len(set(names)) == COUNTS[dataset, split]
    text = "".join(f"{name}\n" for name in names)
    assert hashlib.sha256(text.encode()).hexdigest() == split_checksum(dataset, split)


def test_paper_lists_part_the_data() -> None:
    train, test = (set(paper_split("M3FD", s)) for s in ("train", "test"))
    assert train | test == {f"{i:05d}" for i in range(4200)}
    assert not train & test
    assert not set(paper_split("LLVIP", "train")) & set(paper_split("LLVIP", "test"))


def test_a_list_that_the_paper_does_not_have_is_an_error() -> None:
    with pytest.raises(InputError, match="MSRS train: the paper has no list"):
        paper_split("MSRS", "train")


@pytest.mark.parametrize(("dataset", "split"), COUNTS)
def test_paper_lists_are_the_released_ones(real_data: Path, dataset: str, split: str) -> None:
    lines = (real_data / "splits" / f"{dataset}_{split}.txt").read_text().splitlines()
    assert tuple(Path(line.split()[0]).stem for line in lines) == paper_split(dataset, split)


# --- folds

FRAMES = [f"{4 * i:05d}{'N' if i % 100 < 40 else 'D'}" for i in range(200)]  # 80 by night, 120 by day


def test_every_pair_is_in_one_fold_and_every_block_is_whole() -> None:
    fold = block_folds(FRAMES, 10, 3, seed=0)
    assert sorted(fold) == sorted(FRAMES)
    for condition in "DN":
        frames = [n for n in FRAMES if n.endswith(condition)]  # in the order of their numbers
        for start in range(0, len(frames), 10):
            assert len({fold[n] for n in frames[start : start + 10]}) == 1
        counts = [sum(fold[n] == k for n in frames) for k in range(3)]
        assert max(counts) - min(counts) <= 10
    assert all(
        a.endswith("D") == b.endswith("D") and a < b
        for block in blocks_of(FRAMES, 10)
        for a, b in pairwise(block)
    )


def test_folds_depend_on_names_and_seed_alone() -> None:
    shuffled = random.Random(1).sample(FRAMES, len(FRAMES))
    assert block_folds(FRAMES, 10, 3, 0) == block_folds(shuffled, 10, 3, 0)
    assert list(block_folds(shuffled, 10, 3, 0)) == list(block_folds(FRAMES, 10, 3, 0))
    assert block_folds(FRAMES, 10, 3, 0) != block_folds(FRAMES, 10, 3, 1)


def test_a_short_rest_joins_the_block_before_it_and_a_long_one_does_not() -> None:
    def sizes(count: int) -> list[int]:
        return [len(b) for b in blocks_of([f"{i}" for i in range(count)], 10)]

    assert sizes(24) == [10, 14]
    assert sizes(25) == [10, 10, 5]
    assert blocks_of(["9", "10", "8", "7"], 2) == [("7", "8"), ("9", "10")]  # numbers, not letters


@pytest.mark.parametrize(
    ("names", "block", "folds", "message"),
    [
        ([*FRAMES, FRAMES[3]], 10, 3, "00012N: comes twice, a pair would be in two blocks"),
        (FRAMES, 1, 3, "block = 1: too small"),
        (FRAMES, 100, 2, "80 names that end in N are less than a block of 100"),
        (FRAMES, 30, 4, "3 blocks of names that end in N are too few for 4 folds"),
        (FRAMES, 10, 1, "folds = 1: give at least 2"),
    ],
)
def test_folds_that_cannot_be_are_refused(names: list[str], block: int, folds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        block_folds(names, block, folds, 0)


def test_the_named_folds_of_msrs() -> None:
    folds = named_folds("MSRS-blocks")
    assert (folds.dataset, folds.split, folds.block, folds.folds, folds.seed) == ("MSRS", "test", 20, 3, 0)
    assert len(folds.fold) == 361 and sum(n.endswith("D") for n in folds.fold) == 179
    lines = "".join(f"{name} {folds.fold[name]}\n" for name in sorted(folds.fold))
    assert hashlib.sha256(lines.encode()).hexdigest() == folds.sha256 == folds_checksum(folds.fold)
    assert folds.sha256.startswith("179a982d9b4e1a77")
    for k in range(3):
        train, test = set(folds.part("train", k)), set(folds.part("test", k))
        assert not train & test and train | test == set(folds.fold)
        assert 119 <= len(test) <= 122
    with pytest.raises(InputError, match="no fold 3, it has 0 to 2"):
        folds.part("test", 3)
    with pytest.raises(InputError, match='no folds "MSRS"; there are MSRS-blocks'):
        named_folds("MSRS")


def test_pairs_are_opened_by_their_names() -> None:
    whole = open_dataset("SynthRoad", length=6, size=32)
    names = [whole.names[4], whole.names[1]]
    some = open_dataset("SynthRoad", length=6, size=32, names=names, keep=True)
    assert some.names == tuple(names) and [p.name for p in some] == names
    assert (some[0].ir == whole[4].ir).all()
    with pytest.raises(InputError, match="names: 00000D and 1 more of 2 are no pairs here"):
        open_dataset("SynthRoad", length=6, size=32, names=["00000D", "x"])
    with pytest.raises(InputError, match="is given twice"):
        open_dataset("SynthRoad", length=6, size=32, names=names[:1] * 2)
    with pytest.raises(InputError, match="no pair to open"):
        open_dataset("SynthRoad", length=6, size=32, names=[])


def test_the_folds_are_of_the_published_pairs(real_data: Path) -> None:
    """Also where only some of the test pairs are at hand."""
    at_hand = open_dataset("MSRS", real_data, "test", "fusion").names
    fold = named_folds("MSRS-blocks").fold
    assert set(at_hand) <= set(fold)
