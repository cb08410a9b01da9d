"""A small U-Net as T: convolutions where SegFormer has attention. For a second opinion on segmentation."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.tasks.dense import DenseTask


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class UNetTask(DenseTask):
    """T for segmentation by a U-Net (Ronneberger et al., 2015): four scales, of which the finest is half the image.

    Args:
        classes, weight, standardise: see `DenseTask`.
        channels: of the images.
        width: channels of the finest scale; each coarser one has twice as many.
    """

    def __init__(
        self,
        classes: int,
        weight: Tensor | None = None,
        standardise: bool = False,
        channels: int = 1,
        width: int = 16,
    ) -> None:
        super().__init__(classes, weight, standardise)
        widths = [width * 2**i for i in range(4)]
        self.down = nn.ModuleList(_block(i, o, 2) for i, o in zip([channels, *widths], widths))
        self.up = nn.ModuleList(_block(o + i, i) for i, o in itertools.pairwise(widths))
        self.head = nn.Conv2d(width, classes, 1)

    def scores(self, images: Tensor) -> Tensor:
        """At half the images' size: (B, classes, H/2, W/2)."""
        seen, x = [], images
        for block in self.down:
            x = block(x)  # (B, width 2^i, H / 2^(i+1), W / 2^(i+1))
            seen.append(x)
        for block, skip in zip(reversed(self.up), reversed(seen[:-1])):
            x = nnf.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        return self.head(x)
