"""The same names stand for different numbers in published tables: each choice, and three named sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tdfusion.errors import InputError

_CHOICES = {
    "vif_reduce": ("mean", "sum"),
    "vif_border": ("valid", "zero"),
    "vif_kernel": ("centred", "shifted"),
    "qabf_equal": ("strength", "one"),
    "qabf_orientation": ("linear", "folded"),
    "ssim_reduce": ("mean", "sum"),
    "ssim_window": ("uniform7", "gaussian11"),
    "ssim_covariance": ("sample", "population"),
    "mi_unit": ("bits", "nats"),
    "psnr_peak": ("white", "brightest", "white_squared"),
    "ei_border": ("replicate", "zero"),
}

_PREFIX = {"EN": "entropy", "MS-SSIM": "ssim"}  # of a metric's settings; of the others it is their name


@dataclass(frozen=True)
class Convention:
    """Every choice in which published evaluators differ. The defaults are the paper's evaluator.

    The paper's evaluator has Table 1's six; of the other metrics, the defaults are what most toolboxes agree on.

    Attributes:
        name: how tables and captions call it.
        entropy_epsilon: added to the probability inside the logarithm of EN.
        vif_reduce: "mean" or "sum" of the values for the two sources.
        vif_border: "valid" leaves out windows that reach over the border; "zero" pads with zeros.
        vif_kernel: "centred" Gaussian, or "shifted" by half a pixel up and left and stretched by N/(N-1).
        qabf_equal: strength preserved where fused and source have equal strength: the "strength" itself
            (all published code), or "one".
        qabf_orientation: orientation preserved, for an angle difference d: "linear", 1 - d/(pi/2), or
            "folded", abs(1 - d/(pi/2)), as in the metric's original paper.
        ssim_reduce: "mean" or "sum" of the values for the two sources.
        ssim_window: "uniform7", 7x7 of equal weights, or "gaussian11", 11x11 with a standard deviation of 1.5.
        ssim_covariance: "sample" divides by n - 1 (uniform window only), "population" by n.
        ssim_range: the data range L in the constants (0.01 L)^2 and (0.03 L)^2; pixels are always 0..255.
            The smaller it is, the more the rounding of flat areas shows (3e-8 of SSIM at 1). MS-SSIM takes it and
            the mean or sum from SSIM.
        mi_unit: of MI: "bits", or "nats".
        mse_range: what white counts as in MSE; pixels are always 0..255.
        psnr_peak: what PSNR sets against the MSE in gray levels: "white", 255; "brightest", the largest pixel of the
            fused image; "white_squared", 255^2, which is 255 set against an MSE on the scale 0..1.
        nabf_faint: weight in Nabf of the sources' edges weaker than 2.
        ei_border: of EI: "replicate" continues the image by its border, "zero" by zeros.

    Raises:
        InputError: an unknown choice, or numbers out of range.
    """

    name: str = "paper"
    entropy_epsilon: float = 0.0
    vif_reduce: str = "mean"
    vif_border: str = "valid"
    vif_kernel: str = "centred"
    qabf_equal: str = "strength"
    qabf_orientation: str = "linear"
    ssim_reduce: str = "mean"
    ssim_window: str = "uniform7"
    ssim_covariance: str = "sample"
    ssim_range: float = 255.0
    mi_unit: str = "bits"
    mse_range: float = 255.0
    psnr_peak: str = "white"
    nabf_faint: float = 0.001
    ei_border: str = "replicate"

    def __post_init__(self) -> None:
        for setting, choices in _CHOICES.items():
            value = getattr(self, setting)
            if value not in choices:
                raise InputError(f'{setting} is "{value}"; choose {" or ".join(choices)}')
        if not (self.ssim_range > 0 and self.mse_range > 0) or not 0 <= self.entropy_epsilon < 1:
            raise InputError(
                "ssim_range and mse_range must be positive, entropy_epsilon at least 0 and below 1"
            )
        if not self.nabf_faint >= 0:
            raise InputError(f"nabf_faint is {self.nabf_faint:g}; give a weight of at least 0")
        if self.ssim_window == "gaussian11" and self.ssim_covariance == "sample":
            raise InputError('a Gaussian window has no sample covariance; set ssim_covariance="population"')

    def differences(self, metrics: Iterable[str] | None = None) -> dict[str, tuple[object, object]]:
        """The settings that differ from the paper's: ``{setting: (paper's value, value here)}``.

        With ``metrics``, only those that touch one of them.
        """
        paper, here = dataclasses.asdict(Convention()), dataclasses.asdict(self)
        wanted = None if metrics is None else {_PREFIX.get(metric, metric.lower()) for metric in metrics}
        return {
            k: (paper[k], here[k])
            for k in paper
            if k != "name" and paper[k] != here[k] and (wanted is None or k.partition("_")[0] in wanted)
        }


CONVENTIONS = {
    # The evaluator released with the paper: sewar's vifp, scikit-image's SSIM on uint8, means of two.
    "paper": Convention("paper"),
    # The widely used evaluator released with CDDFuse (CVPR 2023). It passes float images to SSIM without a
    # data range, for which scikit-image used to assume 2; current versions refuse that call.
    "cddfuse": Convention(
        "cddfuse",
        vif_reduce="sum",
        ssim_reduce="sum",
        ssim_range=2.0,
        mi_unit="nats",
        psnr_peak="brightest",
    ),
    # The torch metrics of the IVIF_ZOO survey. Its SSIM scales 0..255 by 255 again and keeps the constants
    # for 255, which is the same as a data range of 1 on 0..255.
    "ivif_zoo": Convention(
        "ivif_zoo",
        entropy_epsilon=1e-7,
        vif_reduce="sum",
        vif_border="zero",
        vif_kernel="shifted",
        ssim_reduce="sum",
        ssim_window="gaussian11",
        ssim_covariance="population",
        ssim_range=1.0,
        mse_range=1.0,
        psnr_peak="white_squared",
        nabf_faint=0.0,
        ei_border="zero",
    ),
}


def resolve(convention: str | Convention, **changes: object) -> Convention:
    """A `Convention` by name, or the one given; ``changes`` that are not None replace single settings.

    Raises:
        InputError: no convention of that name, or an unknown choice.
    """
    if isinstance(convention, str):
        if convention not in CONVENTIONS:
            raise InputError(f'no convention "{convention}"; choose {", ".join(CONVENTIONS)}')
        convention = CONVENTIONS[convention]
    wanted = {setting: value for setting, value in changes.items() if value is not None}
    if not wanted:
        return convention
    changed = dataclasses.replace(convention, **wanted)
    if changed == convention:
        return convention
    own = [f"{setting}={value}" for setting, value in wanted.items() if getattr(convention, setting) != value]
    return dataclasses.replace(changed, name=f"{convention.name} with {', '.join(own)}")


def over_sources(per_source: np.ndarray, how: str) -> float:
    """The "mean" or the "sum" of a metric's values (2,) for the two sources."""
    return float(per_source.mean() if how == "mean" else per_source.sum())
