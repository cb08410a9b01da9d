"""Pairs that stay in memory once they are read, for the many epochs of a training run."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from tdfusion.data.pair import Pair, Source


class KeptSource:
    """A source whose pairs stay in memory once they are read, as long as there is room.

    Kept without chroma, which training does not use, and with maps of ids in bytes.

    Args:
        source: where they come from.
        room: bytes; pairs beyond it are read anew every time.
    """

    def __init__(self, source: Source, room: float = 4e9) -> None:
        self.source = source
        self.task, self.classes, self.names = source.task, source.classes, source.names
        self._room = room
        self._kept: dict[int, Pair] = {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Pair:
        if index not in self._kept:
            pair = _lean(self.source[index])
            self._keep(index, pair)
        else:
            pair = self._kept[index]
        ids = {name: getattr(pair, name) for name in _IDS}
        return replace(pair, **{name: tensor.long() for name, tensor in ids.items() if tensor is not None})

    def read_all(self, workers: int, progress: bool = True) -> None:
        """Read every pair now, in processes of their own, as far as there is room.

        Worth it where steps are fast and pairs slow: a large synthetic scene takes a tenth of a second to
        draw, a step on a GPU less.

        Args:
            workers: processes, at least 1.
            progress: show a bar.
        """
        pairs = DataLoader(_Lean(self.source), batch_size=None, num_workers=workers)
        bar = tqdm(pairs, desc="reading pairs", unit="pair", disable=not progress, dynamic_ncols=True)
        for index, pair in enumerate(bar):
            if not self._keep(index, _copied(pair)):
                break

    def _keep(self, index: int, pair: Pair) -> bool:
        """Whether there was room for it."""
        needed = sum(
            t.nbytes for t in (pair.ir, pair.vi, pair.mask, pair.boxes, pair.optimum) if t is not None
        )
        if needed <= self._room:
            self._room -= needed
            self._kept[index] = pair
        return index in self._kept


class _Lean:
    """A source without what is not kept, for the workers: less to send."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Pair:
        return _lean(self.source[index])


_IDS = ("mask", "optimum")


def _lean(pair: Pair) -> Pair:
    ids = {name: getattr(pair, name) for name in _IDS}
    small = {name: tensor.to(torch.uint8) for name, tensor in ids.items() if tensor is not None}
    return replace(pair, chroma=None, **small)


def _copied(pair: Pair) -> Pair:
    """In this process's own memory: a worker's tensors lie in shared memory, which has a bound of its own."""
    tensors = {name: getattr(pair, name) for name in ("ir", "vi", "mask", "boxes", "optimum")}
    return replace(pair, **{name: tensor.clone() for name, tensor in tensors.items() if tensor is not None})
