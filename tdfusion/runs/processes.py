"""Several processes that train as one: each holds its part of every batch, gradients are averaged.

Started by ``accelerate launch`` or ``torchrun``. In a process on its own nothing here does anything, and
accelerate is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tdfusion.errors import InputError
from tdfusion.extras import extra


class Processes:
    """This process among its equals.

    Args:
        device: the device of the run: "cpu" joins processes by gloo, "cuda" gives each a GPU of its own.

    Attributes:
        count: how many there are.
        rank: which this one is, from 0.
        device: the device of this one.
    """

    def __init__(self, device: str) -> None:
        self.count, self.rank, self.device = int(os.environ.get("WORLD_SIZE", "1")), 0, device
        if self.count > 1:
            with extra("train", "training in several processes"):
                from accelerate import PartialState

            state = PartialState(cpu=device == "cpu")
            self.rank, self.device = state.process_index, str(state.device)

    @property
    def first(self) -> bool:
        """Whether this one writes files and shows progress."""
        return self.rank == 0

    def part(self, indices: Sequence[int]) -> list[int]:
        """This process's share of a batch.

        Raises:
            InputError: the batch cannot be shared equally.
        """
        if len(indices) % self.count:
            raise InputError(f"a batch of {len(indices)} pairs cannot be shared by {self.count} processes")
        return list(indices[self.rank :: self.count])

    def average(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Their means over all processes, joined into one message."""
        from accelerate.utils import reduce

        joined = reduce(torch.cat([t.detach().flatten() for t in tensors]), "mean")
        return [part.view_as(t) for part, t in zip(joined.split([t.numel() for t in tensors]), tensors)]

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, in order."""
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object

        return gather_object([value])
