"""The table of metrics, and all of them of one image at once.

A further metric is a file beside this one and a row here. The function of a row takes numpy arrays or torch
tensors, integer or floating point, computes in float64 on the CPU and returns a float. Floating point images
are scored as they are; only EN rounds. To reproduce a published number, score what was saved: 8-bit images.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdfusion.errors import InputError
from tdfusion.metrics.average_gradient import average_gradient, average_gradient_of
from tdfusion.metrics.checks import Value, as_planes, warned
from tdfusion.metrics.conventions import Convention, resolve
from tdfusion.metrics.correlation_coefficient import correlation_coefficient, correlation_coefficient_of
from tdfusion.metrics.edge_intensity import edge_intensity, edge_intensity_of
from tdfusion.metrics.entropy import entropy, entropy_of
from tdfusion.metrics.fmi import fmi, fmi_of
from tdfusion.metrics.ms_ssim import MS_SSIM_MIN_SIDE, ms_ssim, ms_ssim_of
from tdfusion.metrics.mse import mse, mse_of
from tdfusion.metrics.mutual_information import mutual_information, mutual_information_of
from tdfusion.metrics.nabf import nabf, nabf_of
from tdfusion.metrics.psnr import psnr, psnr_of
from tdfusion.metrics.qabf import qabf, qabf_of
from tdfusion.metrics.scd import scd, scd_of
from tdfusion.metrics.spatial_frequency import spatial_frequency, spatial_frequency_of
from tdfusion.metrics.ssim import ssim, ssim_min_side, ssim_of
from tdfusion.metrics.standard_deviation import standard_deviation, standard_deviation_of
from tdfusion.metrics.vif import VIF_MIN_SIDE, vif, vif_of


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        name: in tables and files.
        function: checks the images, warns where the value is 0/0, returns a float.
        of: the same of checked planes, float64 (3, H, W): I_f, I_a, I_b; (1, H, W) will do without sources.
        min_side: smallest height and width that it is defined for, or the function of a convention that says so.
        sources: whether I_a and I_b play a part.
        class_name: of its torchmetrics class in `tdfusion.metrics.modules`.
        higher_is_better: which way tables mark the best.
    """

    name: str
    function: Callable[..., float]
    of: Callable[[np.ndarray, Convention], Value]
    min_side: int | Callable[[Convention], int]
    sources: bool
    class_name: str
    higher_is_better: bool = True

    def side(self, convention: Convention) -> int:
        """``min_side`` by one convention."""
        return self.min_side(convention) if callable(self.min_side) else self.min_side


# fmt: off
TABLE = {row.name: row for row in (
    #      name    function           of                    min_side       sources class_name
    Metric("EN",   entropy,           entropy_of,           1,             False,  "Entropy"),
    Metric("SF",   spatial_frequency, spatial_frequency_of, 2,             False,  "SpatialFrequency"),
    Metric("SCD",  scd,               scd_of,               2,             True,   "SumOfCorrelationsOfDifferences"),
    Metric("VIF",  vif,               vif_of,               VIF_MIN_SIDE,  True,   "VisualInformationFidelity"),
    Metric("Qabf", qabf,              qabf_of,              3,             True,   "EdgePreservation"),
    Metric("SSIM", ssim,              ssim_of,              ssim_min_side, True,   "StructuralSimilarity"),

    Metric("SD",   standard_deviation, standard_deviation_of, 1,           False,  "StandardDeviation"),
    Metric("AG",   average_gradient,   average_gradient_of,   2,           False,  "AverageGradient"),
    Metric("EI",   edge_intensity,     edge_intensity_of,     3,           False,  "EdgeIntensity"),
    Metric("MI",   mutual_information, mutual_information_of, 1,           True,   "MutualInformation"),
    Metric("CC",   correlation_coefficient, correlation_coefficient_of, 2, True,   "CorrelationCoefficient"),
    Metric("PSNR", psnr,               psnr_of,               1,           True,   "PeakSignalToNoiseRatio"),
    Metric("MSE",  mse,                mse_of,                1,           True,   "MeanSquaredError", False),
    Metric("Nabf", nabf,               nabf_of,               3,           True,   "FusionArtifacts", False),
    Metric("MS-SSIM", ms_ssim,  ms_ssim_of,     MS_SSIM_MIN_SIDE,          True,   "MultiScaleStructuralSimilarity"),
    Metric("FMI",  fmi,                fmi_of,                3,           True,   "FeatureMutualInformation"),
)}
# fmt: on

# Table 1 of the paper, and what is scored if nothing is said
METRICS = ("EN", "SF", "SCD", "VIF", "Qabf", "SSIM")

ALL = "all"  # in the place of names: the whole table


@dataclass(frozen=True)
class Measured:
    """The values of one fused image, and why those that are NaN are undefined.

    Attributes:
        values: metric name to value.
        undefined: metric name to the reason, for every value that is NaN.
    """

    values: dict[str, float]
    undefined: dict[str, str]


def all_metrics(
    I_f: Any, I_a: Any, I_b: Any, convention: str | Convention = "paper", *, name: str | None = None
) -> dict[str, float]:
    """All six, in the order of Table 1: ``{"EN": ..., "SF", "SCD", "VIF", "Qabf", "SSIM"}``.

    Args:
        I_f: fused image (H, W) in 0..255, at least 41x41.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: "paper", "cddfuse", "ivif_zoo" or a `Convention`.
        name: for messages.

    Returns:
        Six floats; NaN, with an `UndefinedMetricWarning`, where a metric is 0/0.

    Raises:
        InputError: see `as_planes`; an unknown convention.
    """
    measured = measure(I_f, I_a, I_b, convention, name=name)
    for metric, value in measured.values.items():
        warned(metric, (value, measured.undefined.get(metric, "")), name)
    return measured.values


def measure(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    convention: str | Convention = "paper",
    *,
    metrics: Sequence[str] | str = METRICS,
    name: str | None = None,
) -> Measured:
    """`all_metrics` without warnings: what is undefined is said in the result.

    Args:
        I_f: fused image (H, W) in 0..255, at least as large as every metric asks for: 41x41 for all six.
        I_a: infrared image, same size; not looked at where no metric asks for sources.
        I_b: visible image, same size; not looked at where no metric asks for sources.
        convention: "paper", "cddfuse", "ivif_zoo" or a `Convention`.
        metrics: names of the `TABLE`, or "all".
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown convention or metric.
    """
    chosen = resolve(convention)
    rows = _rows(metrics)
    images = (I_f, I_a, I_b) if any(row.sources for row in rows) else (I_f,)
    planes = as_planes(images, min_side=smallest_side(metrics, chosen), name=name)
    found = {row.name: row.of(planes, chosen) for row in rows}
    return Measured(
        values={metric: value for metric, (value, _) in found.items()},
        undefined={metric: reason for metric, (_, reason) in found.items() if reason},
    )


def smallest_side(metrics: Sequence[str] | str = METRICS, convention: str | Convention = "paper") -> int:
    """The smallest height and width that all of the metrics, names of the `TABLE` or "all", are defined for.

    Raises:
        InputError: an unknown convention or metric.
    """
    chosen = resolve(convention)
    return max(row.side(chosen) for row in _rows(metrics))


def _rows(metrics: Sequence[str] | str) -> list[Metric]:
    names = [metrics] if isinstance(metrics, str) else metrics
    if ALL in names:
        return list(TABLE.values())
    unknown = [name for name in names if name not in TABLE]
    if unknown or not names:
        what = f'no metric "{unknown[0]}"{_nearest(unknown[0])}' if unknown else "no metric named"
        raise InputError(f"{what}; choose from {', '.join(TABLE)}, or {ALL}")
    return [TABLE[name] for name in names]


def _nearest(name: str) -> str:
    plain = {known.lower().replace("-", ""): known for known in TABLE}
    near = difflib.get_close_matches(name.lower().replace("_", "").replace("-", ""), plain, n=1)
    return f' (did you mean "{plain[near[0]]}"?)' if near else ""
