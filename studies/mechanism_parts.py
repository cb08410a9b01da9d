"""Pieces of the mechanism study: scenes in memory, small networks, the wrapped task, scores, regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.data.pair import Batch
from tdfusion.data.synthroad.scenes import CLASSES, OPTIMUM, SynthRoad, oracle_weights
from tdfusion.files import whole_file
from tdfusion.tasks.segmentation import SegmentationTask

SIZE, TRAIN, TEST, DATA_SEED = (64, 64), 384, 96, 0
SMALL_SEGFORMER = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [16, 32, 64, 96],
    "num_attention_heads": [1, 2, 2, 4],
    "patch_sizes": [3, 3, 3, 3],
    "strides": [2, 2, 2, 2],
    "sr_ratios": [4, 2, 1, 1],
    "mlp_ratios": [2, 2, 2, 2],
    "decoder_hidden_size": 64,
    "drop_path_rate": 0.0,
    "classifier_dropout_prob": 0.0,
}


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


def load(split: str, scratch: Path) -> Scenes:
    """The scenes of the study; drawn once, then kept under ``scratch``."""
    length = TRAIN if split == "train" else TEST
    file = scratch / f"scenes_{split}.pt"
    if not file.exists():
        pairs = [SynthRoad(split, length, SIZE, DATA_SEED)[i] for i in range(length)]
        stacked = {
            name: torch.stack([getattr(p, name) for p in pairs]) for name in ("ir", "vi", "mask", "optimum")
        }
        stacked["oracle"] = torch.stack([oracle_weights(p.optimum) for p in pairs])
        with whole_file(file) as part:
            torch.save(stacked, part)
    return Scenes(**torch.load(file, weights_only=True))


def class_weights(mask: Tensor) -> Tensor:
    """Inverse root of each class's share, mean 1: without it T ignores rare classes for hundreds of steps."""
    share = torch.bincount(mask.flatten(), minlength=len(CLASSES)) / mask.numel()
    weight = 1 / (share + 0.001).sqrt()
    return weight / weight.mean()


class StudyTask(SegmentationTask):
    """A small SegFormer as T, its cross-entropy weighted by class; optionally its input standardised."""

    def __init__(self, weight: Tensor, standardised: bool) -> None:
        super().__init__(len(CLASSES), **SMALL_SEGFORMER)
        self.standardised = standardised
        self.register_buffer("weight", weight)

    def logits(self, I_f: Tensor) -> Tensor:
        if self.standardised:
            mean, sd = I_f.mean((1, 2, 3), keepdim=True), I_f.std((1, 2, 3), keepdim=True)
            I_f = (I_f - mean) / (sd + 1e-6)
        return super().logits(I_f)

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        return nnf.cross_entropy(self.logits(I_f), batch.mask, self.weight)


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


def miou(T: StudyTask, images: Tensor, mask: Tensor) -> tuple[float, list[float]]:
    """Mean IoU over the classes, and each class's, over all pixels of the split."""
    n = len(CLASSES)
    counts = torch.zeros(n, n)
    T.eval()
    for I_f, truth in zip(images.split(32), mask.split(32), strict=True):
        counts += torch.bincount((truth * n + T.predict(I_f)).flatten(), minlength=n * n).view(n, n)
    both = counts.diag()
    iou = both / (counts.sum(0) + counts.sum(1) - both)
    return iou.mean().item(), iou.tolist()


def downstream(
    train_images: Tensor, test_images: Tensor, train: Scenes, test: Scenes, seed: int, steps: int
) -> dict:
    """A fresh T trained on fused images and scored on test images: the judge of every arm.

    AdamW 5e-3, one cycle, batches of 8, flips; its input is standardised for every arm alike.
    """
    torch.manual_seed(1000 + seed)
    T = StudyTask(class_weights(train.mask), standardised=True).train()
    optimiser = torch.optim.AdamW(T.parameters(), 5e-3, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(train), (8,))
        batch, I_f = train.batch(chosen), train_images[chosen]
        if torch.rand(()) < 0.5:
            I_f, batch = I_f.flip(-1), Batch(batch.ir, batch.vi, batch.names, mask=batch.mask.flip(-1))
        optimiser.zero_grad()
        T(I_f, batch).backward()
        optimiser.step()
        cycle.step()
    mean, per_class = miou(T, test_images, test.mask)
    return {"miou": mean, "iou": dict(zip(CLASSES, per_class))}


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
