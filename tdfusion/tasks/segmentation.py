"""Semantic segmentation as the task T: SegFormer-B0 of transformers, cross-entropy as L_t (Sec. 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.data.pair import Batch
from tdfusion.errors import InputError
from tdfusion.extras import extra

with extra("train", "segmentation"):
    from transformers import SegformerConfig, SegformerForSemanticSegmentation


class SegmentationTask(nn.Module):
    """T for segmentation: SegFormer-B0 from scratch, one input channel, decoder width 256.

    Args:
        classes: number of classes, background included (MSRS 9, FMB 15).
        **network: other settings of `transformers.SegformerConfig`, for smaller networks.
    """

    def __init__(self, classes: int, **network: object) -> None:
        super().__init__()
        self.classes = classes
        self.network = SegformerForSemanticSegmentation(
            SegformerConfig(num_channels=1, num_labels=classes, **network)
        )

    def logits(self, I_f: Tensor) -> Tensor:
        """Class scores of fused images (B, 1, H, W), at their size: (B, classes, H, W)."""
        coarse = self.network(pixel_values=I_f).logits  # (B, classes, H/4, W/4)
        return nnf.interpolate(coarse, size=I_f.shape[-2:], mode="bilinear", align_corners=True)

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        """L_t: cross-entropy over all classes, background included, mean over pixels.

        Raises:
            InputError: the batch has no masks.
        """
        if batch.mask is None:
            raise InputError(f"{', '.join(batch.names)}: no segmentation mask, which this task trains on")
        return nnf.cross_entropy(self.logits(I_f), batch.mask)

    @torch.no_grad()
    def predict(self, I_f: Tensor) -> Tensor:
        """The most probable class per pixel, int64 (B, H, W). Uses the module's current mode."""
        return self.logits(I_f).argmax(1)
