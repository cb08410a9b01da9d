"""What every data set hands out: one registered infrared / visible pair, and a batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tdfusion.errors import InputError


@dataclass(frozen=True)
class Pair:
    """One infrared / visible pair with whatever ground truth its data set has.

    Attributes:
        ir: infrared image I_a, float32 (1, H, W) in [0, 1].
        vi: luma of the visible image I_b, float32 (1, H, W) in [0, 1] (BT.601, full range).
        name: the file stem or scene name, unique in its data set.
        chroma: (Cb, Cr) of the visible image, float32 (2, H, W) in [0, 1]; None if it is gray.
        mask: class ids, int64 (H, W); None without segmentation labels.
        boxes: float32 (n, 5), rows ``class x1 y1 x2 y2`` in pixels, inside the image; None
            without detection labels, (0, 5) for a labelled image without objects.
        optimum: int64 (H, W), which source carries the class (synthetic scenes only).
    """

    ir: Tensor
    vi: Tensor
    name: str
    chroma: Tensor | None = None
    mask: Tensor | None = None
    boxes: Tensor | None = None
    optimum: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.ir.shape[-2], self.ir.shape[-1]


class Source(Protocol):
    """Where pairs come from, before any geometry: a published data set or synthetic scenes."""

    task: str
    classes: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pair: ...


@dataclass(frozen=True)
class Batch:
    """Pairs of one size, stacked. Fields as in `Pair`; ``boxes`` stays a list, an entry per image."""

    ir: Tensor  # (B, 1, H, W)
    vi: Tensor  # (B, 1, H, W)
    names: tuple[str, ...]
    mask: Tensor | None = None  # (B, H, W)
    boxes: tuple[Tensor, ...] | None = None  # B times (n, 5)
    oracle: Tensor | None = None  # (B, 1, H, W), the best w_a, where it is known and asked for

    def __len__(self) -> int:
        return self.ir.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(
            ir=self.ir.to(device),
            vi=self.vi.to(device),
            names=self.names,
            mask=None if self.mask is None else self.mask.to(device),
            boxes=None if self.boxes is None else tuple(b.to(device) for b in self.boxes),
            oracle=None if self.oracle is None else self.oracle.to(device),
        )

    def with_swapped(self) -> Batch:
        """Twice the batch: the pairs, then the pairs with their modalities exchanged (labels repeated)."""
        return Batch(
            ir=torch.cat([self.ir, self.vi]),  # (2B, 1, H, W)
            vi=torch.cat([self.vi, self.ir]),  # (2B, 1, H, W)
            names=self.names * 2,
            mask=None if self.mask is None else torch.cat([self.mask, self.mask]),
            boxes=None if self.boxes is None else self.boxes * 2,
            oracle=None if self.oracle is None else torch.cat([self.oracle, 1 - self.oracle]),
        )


class FusionBatch(NamedTuple):
    """What one fusion step sees, Sec. 3.5."""

    ftr: Batch  # fusion training pairs, as F's loss sees them
    ftr_task: Batch | None = None  # the same as T sees them, where that is not the same (released)


class MetaBatch(NamedTuple):
    """What one meta-step sees, Sec. 3.4."""

    mtr: Batch  # meta-training pairs, as F's loss sees them
    mts: Batch  # meta-test pairs, as T sees them
    mtr_task: Batch | None = None  # the meta-training pairs as T sees them, where that is not the same
    ftr: FusionBatch | None = None  # what F learns from in the outer update (Exp. IV)


def collate(pairs: Sequence[Pair]) -> Batch:
    """Stack pairs into a `Batch` (the ``collate_fn`` of a DataLoader).

    Raises:
        InputError: the pairs differ in size, or only some of them carry labels.
    """
    sizes = {p.size for p in pairs}
    if len(sizes) != 1:
        listed = ", ".join(f"{p.name} {p.size[0]}x{p.size[1]}" for p in pairs)
        raise InputError(f"cannot batch pairs of different sizes ({listed}); crop or resize them first")
    for field in ("mask", "boxes"):
        without = [p.name for p in pairs if getattr(p, field) is None]
        if 0 < len(without) < len(pairs):
            raise InputError(f"{', '.join(without)}: no {field} although the rest of the batch has one")
    first = pairs[0]
    return Batch(
        ir=torch.stack([p.ir for p in pairs]),  # (B, 1, H, W)
        vi=torch.stack([p.vi for p in pairs]),  # (B, 1, H, W)
        names=tuple(p.name for p in pairs),
        mask=None if first.mask is None else torch.stack([p.mask for p in pairs]),
        boxes=None if first.boxes is None else tuple(p.boxes for p in pairs),
    )
