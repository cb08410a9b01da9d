"""Semantic segmentation as the task T: SegFormer-B0 of transformers, cross-entropy as L_t (Sec. 3.2)."""

from __future__ import annotations

from torch import Tensor

from tdfusion.extras import extra
from tdfusion.tasks.dense import DenseTask

with extra("train", "segmentation"):
    from transformers import SegformerConfig, SegformerForSemanticSegmentation


class SegmentationTask(DenseTask):
    """T for segmentation: SegFormer-B0 from scratch, one input channel, decoder width 256.

    Args:
        classes: number of classes, background included (MSRS 9, FMB 15).
        weight: of each class in the cross-entropy, (classes,), see `tdfusion.tasks.dense.class_weights`; None:
            all alike.
        standardise: T sees every image `tdfusion.tasks.dense.standardised`.
        **network: other settings of `transformers.SegformerConfig`, for smaller networks.
    """

    def __init__(
        self, classes: int, weight: Tensor | None = None, standardise: bool = False, **network: object
    ) -> None:
        super().__init__(classes, weight, standardise)
        self.network = SegformerForSemanticSegmentation(
            SegformerConfig(**{"num_channels": 1} | network, num_labels=classes)
        )

    def scores(self, images: Tensor) -> Tensor:
        """At a quarter of the images' size: (B, classes, H/4, W/4)."""
        return self.network(pixel_values=images).logits
