"""A small judge for many images in memory: Sec. 4.3's question, asked in half a minute on one core.

`tdfusion.downstream.retrain` asks it of files, at any scale, with the field's own engines; studies of many small
runs ask it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tdfusion.data.pair import Batch
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.downstream.scores import Scores, confusion_matrix, segmentation_scores
from tdfusion.tasks.dense import class_weights
from tdfusion.tasks.segmentation import SegmentationTask
from tdfusion.tasks.unet import UNetTask

MakeTask = Callable[..., nn.Module]  # number of classes and their weights -> T


def small_segformer(classes: int, weight: Tensor, channels: int = 1) -> SegmentationTask:
    """The judge's T: a small SegFormer from scratch that sees images of so many channels standardised."""
    return SegmentationTask(classes, weight, standardise=True, num_channels=channels, **SEGFORMERS["tiny"])


def small_unet(classes: int, weight: Tensor, channels: int = 1) -> UNetTask:
    """Another architecture, for a second opinion: a small U-Net, the rest as in `small_segformer`."""
    return UNetTask(classes, weight, standardise=True, channels=channels)


def judge(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], classes: Sequence[str], *, seed: int, steps: int,
    batch: int = 8, rate: float = 5e-3, crop: tuple[int, int] | None = None, make_task: MakeTask = small_segformer,
    dataset: str = "SynthRoad", source: str = "",
) -> Scores:  # fmt: skip
    """A fresh T trained on one kind of images, and its mIoU on test images of that kind.

    Args:
        train, test: images (N, C, H, W) in [0, 1] and their masks, int64 (N, H, W).
        classes: names.
        seed, steps, batch, rate, crop, make_task: see `train_judge`.
        dataset, source: what `Scores` says of the images.
    """
    T = train_judge(
        train, len(classes), seed=seed, steps=steps, batch=batch, rate=rate, crop=crop, make_task=make_task
    )
    counts = score_judge(T, test, len(classes))
    return segmentation_scores(
        counts, classes, dataset=dataset, source=source, seed=seed, images=len(test[0])
    )


def train_judge(
    train: tuple[Tensor, Tensor], classes: int, *, seed: int, steps: int, batch: int = 8, rate: float = 5e-3,
    crop: tuple[int, int] | None = None, make_task: MakeTask = small_segformer,
) -> nn.Module:  # fmt: skip
    """A fresh T, trained.

    AdamW with one cycle of the learning rate, mirrored at random, cross-entropy weighted by class.

    Args:
        train: images (N, C, H, W) in [0, 1] and their masks, int64 (N, H, W).
        classes: how many.
        seed: of T's weights and of the order; another seed is another judge.
        steps: of training. A judge that is still learning rewards images that give a head start: look at its
            curve first.
        batch, rate: images per step, highest learning rate.
        crop: (h, w) of a window that each step sees, its place drawn by chance; None: whole images.
        make_task: builds T with ``logits`` and ``predict``, as `small_segformer`.
    """
    images, mask = train
    torch.manual_seed(seed)
    T = make_task(classes, class_weights(torch.bincount(mask.flatten(), minlength=classes))).train()
    optimiser = torch.optim.AdamW(T.parameters(), rate, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (batch,))
        x, y = images[chosen], mask[chosen]  # (B, C, H, W), (B, H, W)
        if crop is not None:
            top, left = (
                int(torch.randint(all_ - part + 1, ())) for all_, part in zip(y.shape[1:], crop, strict=True)
            )
            window = (..., slice(top, top + crop[0]), slice(left, left + crop[1]))
            x, y = x[window], y[window]  # (B, C, h, w), (B, h, w)
        if torch.rand(()) < 0.5:
            x, y = x.flip(-1), y.flip(-1)
        optimiser.zero_grad()
        T(x, Batch(x, x, tuple(map(str, chosen.tolist())), mask=y)).backward()
        optimiser.step()
        cycle.step()
    return T.eval()


def score_judge(T: nn.Module, test: tuple[Tensor, Tensor], classes: int) -> np.ndarray:
    """Pixels of the test images (N, C, H, W) by true (rows) and predicted class: int64 (classes, classes)."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    for x, y in zip(test[0].split(32), test[1].split(32), strict=True):
        counts += confusion_matrix(T.predict(x).numpy(), y.numpy(), classes)
    return counts
