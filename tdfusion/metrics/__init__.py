"""EN, SF, SCD, VIF, Q^AB/F and SSIM of a fused image, and ten metrics more, by the conventions of published tables.

A file per metric, and a row in `tdfusion.metrics.table`. Importing the package imports numpy and nothing else that
is heavy: the torchmetrics classes come with torch, from `tdfusion.metrics.modules`, when they are first asked for.
"""

from __future__ import annotations

from typing import Any

from tdfusion.metrics.average_gradient import average_gradient
from tdfusion.metrics.checks import UndefinedMetricWarning, as_plane, as_planes
from tdfusion.metrics.conventions import CONVENTIONS, Convention, resolve
from tdfusion.metrics.correlation_coefficient import correlation_coefficient
from tdfusion.metrics.edge_intensity import edge_intensity
from tdfusion.metrics.entropy import entropy
from tdfusion.metrics.fmi import fmi
from tdfusion.metrics.ms_ssim import ms_ssim
from tdfusion.metrics.mse import mse
from tdfusion.metrics.mutual_information import mutual_information
from tdfusion.metrics.nabf import nabf
from tdfusion.metrics.psnr import psnr
from tdfusion.metrics.qabf import qabf
from tdfusion.metrics.scd import scd
from tdfusion.metrics.spatial_frequency import spatial_frequency
from tdfusion.metrics.ssim import ssim
from tdfusion.metrics.standard_deviation import standard_deviation
from tdfusion.metrics.table import METRICS, TABLE, Measured, Metric, all_metrics, measure, smallest_side
from tdfusion.metrics.vif import vif

_CLASSES = ("FusionMetrics", *(row.class_name for row in TABLE.values()))

__all__ = [
    "CONVENTIONS",
    "METRICS",
    "TABLE",
    "Convention",
    "Measured",
    "Metric",
    "UndefinedMetricWarning",
    "all_metrics",
    "as_plane",
    "as_planes",
    "average_gradient",
    "correlation_coefficient",
    "edge_intensity",
    "entropy",
    "fmi",
    "measure",
    "ms_ssim",
    "mse",
    "mutual_information",
    "nabf",
    "psnr",
    "qabf",
    "resolve",
    "scd",
    "smallest_side",
    "spatial_frequency",
    "ssim",
    "standard_deviation",
    "vif",
]


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        from tdfusion.metrics import modules

        return getattr(modules, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
