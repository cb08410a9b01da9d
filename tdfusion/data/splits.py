"""Splits by name, with a count and a checksum: the paper's lists of M3FD and LLVIP, and folds in blocks of frames.

Only the names of images are kept here, the paper's packed in ``splits_paper.json``, those of the folds in
``splits_blocks.json``; images and boxes come from the data sets themselves. Source of the paper's lists: the
authors' release (Sec. 4.1).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise

from tdfusion.errors import InputError

_PACKED, _BLOCKS = "splits_paper.json", "splits_blocks.json"
_GAP = re.compile(r"\((\d+)\)|([0-9a-z])")


@cache
def _packed() -> dict[str, dict[str, dict]]:
    return _json(_PACKED)["splits"]


def _json(name: str) -> dict:
    return json.loads(resources.files(__package__).joinpath(name).read_text("utf-8"))


def _entry(dataset: str, split: str) -> dict:
    packed = _packed()
    if dataset not in packed or split not in packed[dataset]:
        known = ", ".join(f"{d} {s}" for d in packed for s in packed[d])
        raise InputError(f"{dataset} {split}: the paper has no list of this name (it has {known})")
    return packed[dataset][split]


def checksum(names: tuple[str, ...] | list[str]) -> str:
    """SHA-256 of names written one per line, each line ended by a newline."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


@cache
def paper_split(dataset: str, split: str) -> tuple[str, ...]:
    """Names (file stems) of one of the paper's splits, in the paper's order.

    Args:
        dataset: ``"M3FD"`` (train 3150, test 1050) or ``"LLVIP"`` (train 1203, test 347).
        split: ``"train"`` or ``"test"``.

    Raises:
        InputError: the paper has no such list, or the packed file no longer matches its checksum.
    """
    entry = _entry(dataset, split)
    names, number = [], -1
    for large, small in _GAP.findall(entry["gaps"]):
        number += int(large) if large else int(small, 36)
        names.append(f"{number:0{entry['digits']}d}")
    if len(names) != entry["count"] or checksum(names) != entry["sha256"]:
        raise InputError(
            f"{_PACKED}: the list {dataset} {split} does not match its checksum; install tdfusion again"
        )
    return tuple(names)


def split_checksum(dataset: str, split: str) -> str:
    """SHA-256 that `checksum` gives for `paper_split` of the same arguments."""
    return _entry(dataset, split)["sha256"]


def blocks_of(names: Sequence[str], block: int) -> list[tuple[str, ...]]:
    """Names cut into runs of consecutive frames, day and night apart.

    MSRS counts its day (``00055D``) and night frames (``00004N``) together, so names that end in D, in N,
    and in neither are each ordered by their numbers and cut for themselves. A rest of fewer than half a
    block at the end joins the block before it.

    Args:
        names: of the pairs, in any order.
        block: frames of a block, at least 2: single frames part no neighbours.

    Raises:
        InputError: a block too small, a name that comes twice (a pair would be in two blocks), or fewer names of
            a condition than a block has.
    """
    if block < 2:
        raise InputError(f"block = {block}: too small, neighbouring frames look alike; give at least 2")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{twice[0]}: comes twice, a pair would be in two blocks")
    conditions: dict[str, list[str]] = {}
    for name in sorted(names, key=_frame):
        conditions.setdefault(_condition(name), []).append(name)
    blocks = []
    for condition, frames in sorted(conditions.items()):
        if len(frames) < block:
            which = f" that end in {condition}" if condition else ""
            raise InputError(f"{len(frames)} names{which} are less than a block of {block}; lower block")
        count = (len(frames) + block // 2) // block
        ends = [block * i for i in range(count)] + [len(frames)]
        blocks += [tuple(frames[a:b]) for a, b in pairwise(ends)]
    return blocks


def block_folds(names: Sequence[str], block: int, folds: int, seed: int) -> dict[str, int]:
    """The fold of each name, for cross-fitting: what is scored in a fold is trained on in the others only.

    Frames come in sequences, so neighbours look alike: whole blocks of consecutive frames go to a fold. The blocks
    of each condition (see `blocks_of`) are dealt out in an order drawn from the seed, the largest first, each to
    the fold that has the fewest frames of the condition so far. The order is drawn by SHA-256, so that every
    machine and version gives the same folds. Only at the ends of blocks are neighbours in different folds.

    Args:
        names: of the pairs, in any order.
        block: frames of a block, at least 2.
        folds: at least 2.
        seed: another seed gives other folds.

    Returns:
        Name to fold, 0 to ``folds - 1``, in the order of the blocks.

    Raises:
        InputError: as `blocks_of`, or fewer blocks of a condition than folds.
    """
    if folds < 2:
        raise InputError(f"folds = {folds}: give at least 2")
    blocks = blocks_of(names, block)
    fold: dict[str, int] = {}
    for condition in sorted({_condition(b[0]) for b in blocks}):
        ours = [b for b in blocks if _condition(b[0]) == condition]
        if len(ours) < folds:
            which = f" of names that end in {condition}" if condition else ""
            raise InputError(f"{len(ours)} blocks{which} are too few for {folds} folds; lower block or folds")
        ours.sort(key=lambda b: (-len(b), checksum([str(seed), b[0]])))
        frames, total = [0] * folds, Counter(fold.values())
        for b in ours:
            chosen = min(range(folds), key=lambda k: (frames[k], total[k], k))
            frames[chosen] += len(b)
            total[chosen] += len(b)
            fold |= dict.fromkeys(b, chosen)
    return {name: fold[name] for b in blocks for name in b}


def folds_checksum(folds: Mapping[str, int]) -> str:
    """SHA-256 of lines ``name fold``, by name."""
    return checksum([f"{name} {folds[name]}" for name in sorted(folds)])


@dataclass(frozen=True)
class NamedFolds:
    """Folds that have a name, so that two people mean the same ones.

    Attributes:
        name: theirs.
        dataset, split: whose pairs they part.
        block, folds, seed: as given to `block_folds`.
        fold: name of a pair to its fold.
        sha256: as `folds_checksum` gives it.
    """

    name: str
    dataset: str
    split: str
    block: int
    folds: int
    seed: int
    fold: dict[str, int]
    sha256: str

    def part(self, split: str, fold: int) -> tuple[str, ...]:
        """The names to train on (``"train"``: the other folds) or to score (``"test"``: this fold).

        Raises:
            InputError: no such fold.
        """
        if not 0 <= fold < self.folds:
            raise InputError(f"{self.name}: no fold {fold}, it has 0 to {self.folds - 1}")
        return tuple(name for name, k in self.fold.items() if (k == fold) == (split == "test"))


@cache
def named_folds(name: str) -> NamedFolds:
    """The folds of this name; ``"MSRS-blocks"`` parts the 361 MSRS test pairs into 3 folds of blocks of 20.

    Raises:
        InputError: no such folds, or the names no longer give the stored checksum.
    """
    stored = _json(_BLOCKS)
    if name not in stored:
        raise InputError(f'no folds "{name}"; there are {", ".join(stored)}')
    about = dict(stored[name])
    fold = block_folds(about.pop("names").split(), about["block"], about["folds"], about["seed"])
    if folds_checksum(fold) != about["sha256"]:
        raise InputError(f"{_BLOCKS}: {name} does not give its checksum; install tdfusion again")
    return NamedFolds(name=name, fold=fold, **about)


def _condition(name: str) -> str:
    return name[-1] if name[-1:] in ("D", "N") else ""


def _frame(name: str) -> list[tuple[int, str]]:
    """Numbers as numbers, so that frame 9 comes before frame 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
