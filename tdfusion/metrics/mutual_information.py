"""MI: formula, code and the checked function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdfusion.metrics.checks import Value, as_planes
from tdfusion.metrics.conventions import Convention, resolve
from tdfusion.metrics.entropy import bits


def mutual_information(
    I_f: Any,
    I_a: Any,
    I_b: Any,
    *,
    convention: str | Convention = "paper",
    unit: str | None = None,
    name: str | None = None,
) -> float:
    """MI, the mutual information of the fused image with both sources, in bits.

    ``MI(I_a, I_f) + MI(I_b, I_f)``, the sum over the sources, with ``MI(S, F) = H(S) + H(F) - H(S, F)`` and the
    entropies H of the 256-bin histograms of whole levels and of their 256x256-bin joint histogram. Range 0 to
    2 EN(I_f), which F = A = B reaches. It rewards copying one source pixel by pixel, and asks for no likeness:
    the negative of a source tells as much as the source. Defined for constant images: 0. CDDFuse's evaluator has
    nats, ln 2 = 0.693 of a bit; VIFB has nats of images that are each stretched to the full range first, MEFB a
    normalised MI.

    Args:
        I_f: fused image (H, W) in 0..255, at least 1x1; rounded to whole levels, as the sources are.
        I_a: infrared image, same size.
        I_b: visible image, same size.
        convention: see `Convention`; "cddfuse" has nats.
        unit: "bits" or "nats"; None takes the convention's.
        name: for messages.

    Raises:
        InputError: see `as_planes`; an unknown choice.

    Source:
        Qu, Zhang and Yan, Electron. Lett. 38 (2002); bits as in IVIF_ZOO and common MATLAB scripts.
    """
    chosen = resolve(convention, mi_unit=unit)
    return mutual_information_of(as_planes((I_f, I_a, I_b), name=name), chosen)[0]


def mutual_information_of(planes: np.ndarray, convention: Convention) -> Value:
    """MI of checked planes, float64 (3, H, W) in 0..255: I_f, I_a, I_b."""
    levels = np.rint(planes).astype(np.uint16).reshape(3, -1)  # (3, HW)
    own = [bits(np.bincount(image)) for image in levels]
    joint = [bits(np.bincount((source << 8) + levels[0])) for source in levels[1:]]
    shared = sum(max(0.0, own[0] + alone - both) for alone, both in zip(own[1:], joint))
    return shared * (math.log(2) if convention.mi_unit == "nats" else 1.0), ""
