"""A class per pixel: cross-entropy as L_t, whatever network gives the scores (Sec. 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.data.pair import Batch
from tdfusion.errors import InputError


def class_weights(counts: Tensor) -> Tensor:
    """1 / sqrt(share of the class + 0.001), of mean 1: rare classes count, absent ones do not explode.

    Args:
        counts: pixels of each class, (classes,).

    Returns:
        float32 (classes,). Beyond the paper: for short trainings, in which T would not see rare classes.
    """
    weight = (counts.double() / counts.sum() + 0.001).rsqrt()
    return (weight / weight.mean()).float()


def standardised(images: Tensor) -> Tensor:
    """Every channel of every image (B, C, H, W) with mean 0 and deviation 1, whatever its brightness and contrast."""
    mean, sd = images.mean((2, 3), keepdim=True), images.std((2, 3), keepdim=True)  # (B, C, 1, 1)
    return (images - mean) / (sd + 1e-6)


class DenseTask(nn.Module):
    """T that gives every pixel a class.

    Args:
        classes: number of classes, background included.
        weight: of each class in the cross-entropy, (classes,), see `class_weights`; None: all alike.
        standardise: T sees every image `standardised`.
    """

    def __init__(self, classes: int, weight: Tensor | None = None, standardise: bool = False) -> None:
        super().__init__()
        self.classes, self.standardise = classes, standardise
        self.register_buffer("weight", weight, persistent=False)

    def scores(self, images: Tensor) -> Tensor:
        """Class scores of images (B, C, H, W), perhaps coarser: (B, classes, h, w)."""
        raise NotImplementedError

    def logits(self, I_f: Tensor) -> Tensor:
        """Class scores of fused images (B, 1, H, W), at their size: (B, classes, H, W)."""
        if self.standardise:
            I_f = standardised(I_f)
        return nnf.interpolate(self.scores(I_f), size=I_f.shape[-2:], mode="bilinear", align_corners=True)

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        """L_t: cross-entropy over all classes, background included, mean over pixels.

        Raises:
            InputError: the batch has no masks.
        """
        if batch.mask is None:
            raise InputError(f"{', '.join(batch.names)}: no segmentation mask, which this task trains on")
        return nnf.cross_entropy(self.logits(I_f), batch.mask, self.weight)

    @torch.no_grad()
    def predict(self, I_f: Tensor) -> Tensor:
        """The most probable class per pixel, int64 (B, H, W). Uses the module's current mode."""
        return self.logits(I_f).argmax(1)
