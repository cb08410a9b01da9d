"""EN, SF, SCD, VIF, Q^AB/F and SSIM of a fused image, by the conventions that published tables use.

The torchmetrics classes are in `tdfusion.metrics.modules`, apart because torchmetrics takes seconds to import.
"""

from __future__ import annotations

from tdfusion.metrics.checks import UndefinedMetricWarning, as_plane, as_planes
from tdfusion.metrics.conventions import CONVENTIONS, Convention, resolve
from tdfusion.metrics.functional import (
    METRICS,
    VIF_MIN_SIDE,
    Measured,
    all_metrics,
    entropy,
    measure,
    qabf,
    scd,
    spatial_frequency,
    ssim,
    vif,
)

__all__ = [
    "CONVENTIONS",
    "METRICS",
    "VIF_MIN_SIDE",
    "Convention",
    "Measured",
    "UndefinedMetricWarning",
    "all_metrics",
    "as_plane",
    "as_planes",
    "entropy",
    "measure",
    "qabf",
    "resolve",
    "scd",
    "spatial_frequency",
    "ssim",
    "vif",
]
