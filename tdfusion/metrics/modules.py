"""The metrics as torchmetrics classes: update with batches in a training loop, compute the mean at its end.

`FusionMetrics` is the six of Table 1; every metric of the table has a class of its own besides: `Entropy`,
`SpatialFrequency`, `SumOfCorrelationsOfDifferences`, `VisualInformationFidelity`, `EdgePreservation`,
`StructuralSimilarity`, `StandardDeviation`, `AverageGradient`, `EdgeIntensity`, `MutualInformation`,
`CorrelationCoefficient`, `PeakSignalToNoiseRatio`, `MeanSquaredError`, `FusionArtifacts`,
`MultiScaleStructuralSimilarity`, `FeatureMutualInformation`. The state is a sum and counts, so that several processes
can be added up.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor

from tdfusion.errors import InputError
from tdfusion.extras import extra
from tdfusion.metrics.checks import UndefinedMetricWarning
from tdfusion.metrics.conventions import Convention, resolve
from tdfusion.metrics.table import METRICS, TABLE, Metric, measure

with extra("torchmetrics", "the metrics as torchmetrics classes"):
    import torchmetrics


class FusionMetrics(torchmetrics.Metric):
    """All six metrics, averaged over images.

    ``update(I_f, I_a, I_b)`` takes tensors (B, 1, H, W) or (H, W) on the scale 0..value_range, as F and the data
    sets give them, and scores them as the 8-bit images that would be saved: scaled to 0..255 and rounded.
    ``compute()`` returns the six means as float64 tensors, each over the images where it is defined, and
    ``left_out``, the number of values that were 0/0 and are in no mean (with an `UndefinedMetricWarning`). A
    metric that is defined for no image is NaN.

    Args:
        convention: "paper", "cddfuse", "ivif_zoo" or a `Convention`.
        value_range: what white is in the tensors: 1 (default) or 255.
        kwargs: for torchmetrics, such as ``sync_on_compute``.

    Raises:
        InputError: an unknown convention; in ``update``, images that the metrics refuse (see
            `as_planes`) or that exceed the range.

    Example:
        ``metric = FusionMetrics(); metric.update(F(ir, vi), ir, vi); metric.compute()["VIF"]``
    """

    full_state_update = False
    names: ClassVar[tuple[str, ...]] = METRICS
    total: Tensor
    count: Tensor
    left_out: Tensor

    def __init__(
        self, convention: str | Convention = "paper", value_range: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.convention = resolve(convention)
        self.value_range = value_range
        size = len(self.names)
        self.add_state("total", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("left_out", torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, I_f: Tensor, I_a: Tensor, I_b: Tensor) -> None:
        """Add a batch: fused, infrared, visible, each (B, 1, H, W) or (H, W)."""
        batches = [self._levels(images) for images in (I_f, I_a, I_b)]
        if len({len(batch) for batch in batches}) != 1:
            raise InputError(
                f"batches of {', '.join(str(len(b)) for b in batches)} images; give as many of each"
            )
        rows = [self._score(*images) for images in zip(*batches)]
        values = torch.tensor(rows, dtype=torch.float64, device=self.total.device)  # (B, metrics)
        defined = ~values.isnan()
        self.total += torch.where(defined, values, 0.0).sum(0)
        self.count += defined.sum(0)
        self.left_out += (~defined).sum(0)

    def compute(self) -> Any:
        """The means over all images of all processes."""
        means = torch.where(self.count > 0, self.total / self.count, math.nan)  # (metrics,)
        left_out = int(self.left_out.sum())
        if left_out:
            which = [name for name, number in zip(self.names, self.left_out.tolist()) if number]
            warnings.warn(
                f"{left_out} values of {', '.join(which)} are 0/0 and in no mean",
                UndefinedMetricWarning,
                stacklevel=2,
            )
        return self._result(dict(zip(self.names, means)))

    def _result(self, means: dict[str, Tensor]) -> Any:
        return means | {"left_out": self.left_out.sum()}

    def _score(self, I_f: Tensor, I_a: Tensor, I_b: Tensor) -> list[float]:
        values = measure(I_f, I_a, I_b, self.convention, metrics=self.names).values
        return [values[name] for name in self.names]

    def _levels(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) or (H, W) in 0..value_range to uint8 (B, H, W)."""
        if images.ndim == 4 and images.shape[1] == 1:
            images = images[:, 0]  # (B, H, W)
        elif images.ndim == 2:
            images = images[None]  # (1, H, W)
        else:
            raise InputError(
                f"{type(self).__name__} takes (B, 1, H, W) or (H, W), not {tuple(images.shape)}; "
                "give a colour image as its luma"
            )
        values = images.detach().double()
        low, high = (values.min().item(), values.max().item()) if values.numel() else (0.0, 0.0)
        if not (low >= 0 and high <= self.value_range):  # NaN fails both
            raise InputError(
                f"values from {low:g} to {high:g} where {type(self).__name__} expects 0 to {self.value_range:g}; "
                "clamp the images or set value_range"
            )
        return (values * (255.0 / self.value_range)).round().to(torch.uint8)


def _single(row: Metric) -> type[FusionMetrics]:
    """The class of one metric: ``compute()`` returns its mean as a float64 tensor, ``left_out`` counts the 0/0."""

    def result(self: FusionMetrics, means: dict[str, Tensor]) -> Tensor:
        return means[row.name]

    about = f"{row.name} averaged over images, as a float64 tensor; arguments as `FusionMetrics`."
    body = {"names": (row.name,), "_result": result, "__doc__": about, "__module__": __name__}
    return type(row.class_name, (FusionMetrics,), body)


SINGLE = {name: _single(row) for name, row in TABLE.items()}
"""Metric name to the class of that metric alone."""

globals().update({single.__name__: single for single in SINGLE.values()})
