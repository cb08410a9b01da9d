"""The loss landscape: what F is pulled to by given weights, at a pixel or in a region."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tdfusion.config import Variant
from tdfusion.data.pair import Pair
from tdfusion.errors import InputError
from tdfusion.explorers.controls import Choice, Pixel, Within
from tdfusion.explorers.local_loss import Region, intensity_minimum, local_losses
from tdfusion.explorers.planes import check_image, check_pairs, plane
from tdfusion.explorers.widget import Explorer
from tdfusion.figures.panels import as_array

REGIONS = {"one pixel": 1, "15 x 15 pixels": 15, "the whole scene": 0}  # side of the square; 0: everything
POINTS = 201  # values of I_f that are tried


class LossLandscape(Explorer):
    """Set w and see what the loss wants: L_int, alpha L_grad and their sum, against what the region could be.

    At one pixel the axis is its value. In a region it is the share of infrared in ``s I_a + (1 - s) I_b``. All pixels
    outside are held at ``rest``. The minimum of L_int is in closed form; L_grad depends on the neighbours, has
    corners and often several minima, so the sum is minimised over the 201 values drawn, and F, which moves all
    pixels together, need not end there.

    Args:
        pairs: the scenes.
        fused: name -> I_f (1, H, W) per scene; more choices for ``rest``, such as the output of F.
        controls: the traits below.

    Attributes:
        scene: number of the scene.
        region: "one pixel", "15 x 15 pixels" or "the whole scene".
        rest: what the pixels outside the region are: "mean", "maximum", "infrared", "visible", or a name of ``fused``.
        variant: "paper" or "released", of both terms.
        w_a: weight of infrared; w_b is ``1 - w_a``.
        alpha: weight of L_grad, 0 to 2.
        pixel: ``[x, y]``, the middle of the region.

    Raises:
        InputError: no scene, images that do not fit, a control that is not there, more than fits on a page.
    """

    scene = Choice(0)
    region = Choice("one pixel")
    rest = Choice("mean")
    variant = Choice("paper")
    w_a = Within(0.5, 0, 1)
    alpha = Within(1.0, 0, 2)
    pixel = Pixel()

    def __init__(
        self, pairs: Iterable[Pair], fused: dict[str, list[Tensor]] | None = None, **controls: Any
    ) -> None:
        self.pairs, self.fused = list(pairs), dict(fused or {})
        check_pairs(self.pairs)
        for name, images in self.fused.items():
            if len(images) != len(self.pairs):
                raise InputError(
                    f'"{name}" has {len(images)} images for {len(self.pairs)} scenes; give one for each'
                )
            for pair, image in zip(self.pairs, images):
                check_image(image, name, pair.name, pair.size)
        data = {
            "scenes": [
                {"name": p.name, "ir": plane(p.ir), "vi": plane(p.vi),
                 "fused": {name: plane(images[i]) for name, images in self.fused.items()}}
                for i, p in enumerate(self.pairs)
            ],
            "regions": REGIONS, "fused": list(self.fused), "points": POINTS,
        }  # fmt: skip
        super().__init__("landscape", data, **{"pixel": [-1, -1]} | controls)
        self.observe(lambda _: setattr(self, "pixel", [-1, -1]), ["scene"])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the scene on show."""
        return self.pairs[self.scene].size

    @property
    def box(self) -> Region:
        """The region on show."""
        (height, width), (x, y), side = self.size, self.pixel, REGIONS[self.region]
        if not side:
            return 0, 0, width, height
        before, after = side // 2, side - side // 2
        return max(x - before, 0), max(y - before, 0), min(x + after, width), min(y + after, height)

    def outside(self) -> Tensor:
        """What the pixels outside the region are held at, (1, H, W)."""
        pair = self.pairs[self.scene]
        simple = {
            "mean": (pair.ir + pair.vi) / 2,
            "maximum": torch.maximum(pair.ir, pair.vi),
            "infrared": pair.ir,
            "visible": pair.vi,
        }
        return simple[self.rest] if self.rest in simple else self.fused[self.rest][self.scene]

    def curves(self) -> tuple[Tensor, Tensor, Tensor]:
        """What is tried, L_int and L_grad, each (201,)."""
        pair, values = self.pairs[self.scene], torch.linspace(0, 1, POINTS)
        mix = self.region != "one pixel"
        return values, *local_losses(
            pair.ir, pair.vi, self.outside(), self.box, values, self.w_a, self.variant, mix=mix
        )

    def pulled(self) -> tuple[float, float]:
        """Where L_int, and where ``L_int + alpha L_grad``, is smallest: a gray value, or a share of infrared."""
        values, intensity, gradient = self.curves()
        share = intensity_minimum(self.w_a, self.variant)
        if self.region == "one pixel":
            (x, y), pair = self.pixel, self.pairs[self.scene]
            share = share * float(pair.ir[0, y, x]) + (1 - share) * float(pair.vi[0, y, x])
        return share, float(values[(intensity + self.alpha * gradient).argmin()])

    def static(self) -> Figure:
        pair, (values, intensity, gradient), (of_int, of_both) = (
            self.pairs[self.scene],
            self.curves(),
            self.pulled(),
        )
        figure, axes = plt.subplots(
            1, 3, figsize=(9, 2.9), layout="constrained", gridspec_kw={"width_ratios": [1, 1, 1.3]}
        )
        x1, y1, x2, y2 = self.box
        for axis, title, image in zip(axes, ("infrared", "visible"), (pair.ir, pair.vi)):
            axis.imshow(as_array(image), cmap="gray", vmin=0, vmax=1)
            axis.add_patch(
                Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor="tab:orange", lw=1.5)
            )
            axis.set_title(title, fontsize=10)
            axis.axis("off")
        curves = {
            "$L_{int}$": intensity,
            r"$\alpha L_{grad}$": self.alpha * gradient,
            "sum": intensity + self.alpha * gradient,
        }
        for (name, curve), style in zip(curves.items(), ("-", "--", "-")):
            axes[2].plot(values, curve, style, label=name)
        axes[2].axvline(of_int, color="C0", lw=0.8, ls=":")
        axes[2].axvline(of_both, color="C2", lw=0.8, ls=":")
        axes[2].set_xlabel("value of the pixel" if self.region == "one pixel" else "share of infrared")
        axes[2].legend(fontsize=8)
        return figure

    def choices(self) -> dict[str, Any]:
        return {
            "scene": range(len(self.pairs)),
            "region": list(REGIONS),
            "rest": ["mean", "maximum", "infrared", "visible", *self.fused],
            "variant": list(get_args(Variant)),
        }
