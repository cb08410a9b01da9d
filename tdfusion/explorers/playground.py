"""The metric playground: spoil a fused image and watch the six metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from torch import Tensor

from tdfusion.data.images import to_uint8
from tdfusion.data.pair import Pair
from tdfusion.errors import InputError
from tdfusion.explorers.controls import Choice
from tdfusion.explorers.planes import check_image, check_pairs, plane
from tdfusion.explorers.widget import Explorer
from tdfusion.figures.panels import as_array
from tdfusion.fusing import stretch
from tdfusion.metrics import METRICS, measure

DEGRADATIONS: dict[str, tuple[tuple[float, ...], str]] = {
    "blur": ((0.0, 0.5, 1.0, 1.5, 2.0, 3.0), "Gaussian, standard deviation {:g} px"),
    "noise": ((0.0, 2.0, 5.0, 10.0, 20.0, 40.0), "Gaussian, standard deviation {:g} of 255 levels"),
    "contrast": ((1.0, 0.8, 0.6, 0.4, 0.2, 0.0), "{:g} of its own, about its mean"),
    "min-max stretch": ((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "{:g} of the way to the full range"),
}
"""How an image can be spoiled: the amounts on offer, the first of which changes nothing, and what they mean."""


def degrade(image: Tensor, how: str, amount: float) -> Tensor:
    """A spoiled copy of a gray image, (1, H, W) in [0, 1].

    Args:
        image: (1, H, W) in [0, 1].
        how: "blur", "noise" (the same on every call), "contrast" or "min-max stretch".
        amount: see `DEGRADATIONS`.

    Raises:
        InputError: no such degradation.
    """
    if how == "blur":
        return torch.from_numpy(gaussian_filter(image[0].numpy(), amount))[None] if amount else image
    if how == "noise":
        drawn = torch.from_numpy(np.random.default_rng(0).standard_normal(image.shape)).to(image)
        return (image + amount / 255 * drawn).clamp(0, 1)
    if how == "contrast":
        return (image.mean() + amount * (image - image.mean())).clamp(0, 1)
    if how == "min-max stretch":
        return torch.lerp(image, stretch(image[None])[0], amount).clamp(0, 1)
    raise InputError(f'no degradation "{how}"; choose {", ".join(DEGRADATIONS)}')


class MetricPlayground(Explorer):
    """A fused image spoiled in four ways by six amounts, with EN, SF, SCD, VIF, Q^AB/F and SSIM of each.

    All values are measured when the explorer is made, on the images rounded to 8 bits, by the paper's convention.

    Args:
        pair: the sources, at least 41 px a side.
        fused: name -> I_f (1, H, W) in [0, 1].
        controls: the traits below.

    Attributes:
        method: which of ``fused``.
        how: "blur", "noise", "contrast" or "min-max stretch".
        level: 0 (unspoiled) to 5.
        values: (method, how) -> a dict of the six metrics per level.

    Raises:
        InputError: no image, images that do not fit or are too small, a control that is not there, more than fits
            on a page.
    """

    method = Choice("")
    how = Choice("blur")
    level = Choice(0)

    def __init__(self, pair: Pair, fused: Mapping[str, Tensor], **controls: Any) -> None:
        check_pairs([pair])
        self.pair, self.fused = pair, dict(fused)
        if not self.fused:
            raise InputError("no fused image to spoil; give at least one")
        for name, image in self.fused.items():
            check_image(image, name, pair.name, pair.size)
        self.values: dict[tuple[str, str], list[dict[str, float]]] = {}
        cells = []
        for name, image in self.fused.items():
            for how, (amounts, says) in DEGRADATIONS.items():
                spoiled = [degrade(image, how, amount) for amount in amounts]
                self.values[name, how] = [self._measured(one) for one in spoiled]
                cells.append(
                    {
                        "method": name,
                        "how": how,
                        "says": [says.format(amount) for amount in amounts],
                        "images": [plane(one) for one in spoiled],
                        "values": [
                            [None if np.isnan(row[m]) else round(row[m], 4) for m in METRICS]
                            for row in self.values[name, how]
                        ],
                    }
                )
        sources = {"ir": plane(pair.ir), "vi": plane(pair.vi), "name": pair.name}
        data = sources | {"cells": cells, "metrics": list(METRICS)}
        super().__init__("playground", data, **{"method": next(iter(self.fused))} | controls)

    def spoiled(self) -> Tensor:
        """The image on show, (1, H, W)."""
        return degrade(self.fused[self.method], self.how, DEGRADATIONS[self.how][0][self.level])

    def reading(self) -> dict[str, float]:
        """The six metrics of the image on show."""
        return self.values[self.method, self.how][self.level]

    def static(self) -> Figure:
        amounts, says = DEGRADATIONS[self.how]
        figure = plt.figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1, 1.5])
        axis = left.subplots()
        axis.imshow(as_array(self.spoiled()), cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"{self.method}, {self.how}: {says.format(amounts[self.level])}", fontsize=8)
        axis.axis("off")
        rows = self.values[self.method, self.how]
        for axis, metric in zip(right.subplots(2, 3, sharex=True).flat, METRICS):
            axis.plot(range(len(rows)), [row[metric] for row in rows], marker=".")
            axis.plot([self.level], [rows[self.level][metric]], "o", color="tab:orange")
            axis.set_title(f"{metric} {rows[self.level][metric]:.2f}", fontsize=9)
        return figure

    def choices(self) -> dict[str, Any]:
        return {"method": list(self.fused), "how": list(DEGRADATIONS), "level": range(6)}

    def _measured(self, image: Tensor) -> dict[str, float]:
        return measure(to_uint8(image), to_uint8(self.pair.ir), to_uint8(self.pair.vi)).values
