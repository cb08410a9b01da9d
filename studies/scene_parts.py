"""Pieces of the studies on known scenes: scenes in memory, small networks, regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tdfusion.data.pair import Batch
from tdfusion.data.synthroad.scenes import OPTIMUM, SynthRoad, oracle_weights
from tdfusion.errors import InputError
from tdfusion.files import whole_file

SIZE, TRAIN, TEST, DATA_SEED = (64, 64), 384, 96, 0


@dataclass(frozen=True)
class Scenes:
    """A split in memory."""

    ir: Tensor  # (N, 1, H, W)
    vi: Tensor  # (N, 1, H, W)
    mask: Tensor  # (N, H, W)
    optimum: Tensor  # (N, H, W)
    oracle: Tensor  # (N, 1, H, W), w_a

    def __len__(self) -> int:
        return len(self.ir)

    def batch(self, chosen: Tensor) -> Batch:
        names = tuple(f"{i}" for i in chosen.tolist())
        return Batch(self.ir[chosen], self.vi[chosen], names, mask=self.mask[chosen])


def load(split: str, scratch: Path, seed: int = DATA_SEED, count: int | None = None) -> Scenes:
    """Scenes of `SynthRoad`; drawn once, then kept under ``scratch``.

    Args:
        split: "train" or "test".
        scratch: folder.
        seed: of the scenes.
        count: how many; None: as many as the first study had.
    """
    length = count or (TRAIN if split == "train" else TEST)
    file = scratch / (f"scenes_{split}.pt" if seed == DATA_SEED else f"scenes_{split}_{seed}.pt")
    if not file.exists():
        drawn = SynthRoad(split, length, SIZE, seed)
        pairs = [drawn[i] for i in tqdm(range(length), desc=f"draw {split}", unit="scene", leave=False)]
        stacked = {
            name: torch.stack([getattr(p, name) for p in pairs]) for name in ("ir", "vi", "mask", "optimum")
        }
        stacked["oracle"] = torch.stack([oracle_weights(p.optimum) for p in pairs])
        with whole_file(file) as part:
            torch.save(stacked, part)
    scenes = Scenes(**torch.load(file, weights_only=True))
    if len(scenes) != length:
        raise InputError(f"{file}: {len(scenes)} scenes, {length} are asked for; delete the file")
    return scenes


def _local(outputs: int, width: int) -> nn.Sequential:
    """Convolutions that see 17x17 pixels: far enough to tell verge from road, near enough to choose per pixel."""
    return nn.Sequential(
        nn.Conv2d(2, width, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=2, dilation=2),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=4, dilation=4),
        nn.GELU(),
        nn.Conv2d(width, outputs, 3, padding=1),
    )


class MaskFusion(nn.Module):
    """An F that can only choose: I_f = m I_a + (1 - m) I_b, m from a small local network.

    Args:
        centred: subtract the mean of m's logit over the image, which takes the global lean away from F.
    """

    def __init__(self, centred: bool, width: int = 16) -> None:
        super().__init__()
        self.net, self.centred = _local(1, width), centred

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        logit = self.net(torch.cat([I_a, I_b], 1) - 0.5)  # (B, 1, H, W)
        if self.centred:
            logit = logit - logit.mean((1, 2, 3), keepdim=True)
        m = logit.sigmoid()
        return m * I_a + (1 - m) * I_b


class LocalLossNet(nn.Module):
    """A small local G: (w_a, w_b), non-negative, sum 1; begins near 1/2 everywhere."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.net = _local(2, width)

    def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
        w = self.net(torch.cat([I_a, I_b], 1) - 0.5).softmax(1)  # (B, 2, H, W)
        return w[:, :1], w[:, 1:]


def region_means(values: Tensor, optimum: Tensor) -> dict[str, float]:
    """Mean of an (N, 1, H, W) map over the pixels of each kind of `OPTIMUM`."""
    return {name: values[:, 0][optimum == i].mean().item() for i, name in enumerate(OPTIMUM)}


@torch.no_grad()
def fuse_all(F: nn.Module, scenes: Scenes) -> Tensor:
    """(N, 1, H, W)."""
    return torch.cat([F(a, b) for a, b in zip(scenes.ir.split(32), scenes.vi.split(32))])


@torch.no_grad()
def weights_all(G: nn.Module, scenes: Scenes) -> Tensor:
    """w_a of every scene, (N, 1, H, W)."""
    return torch.cat([G(a, b)[0] for a, b in zip(scenes.ir.split(32), scenes.vi.split(32))])
