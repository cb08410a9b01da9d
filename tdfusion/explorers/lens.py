"""The fusion lens: two images of one scene under a divider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tdfusion.errors import InputError
from tdfusion.explorers.controls import Choice, Within
from tdfusion.explorers.planes import plane
from tdfusion.explorers.widget import Explorer
from tdfusion.figures.panels import as_array


class FusionLens(Explorer):
    """Drag a divider between any two images of a scene: sources, or the fused images of several methods.

    Args:
        scenes: name of the scene -> name of the image -> (1, H, W) or RGB (3, H, W) in [0, 1]. All scenes have the
            same images, of one size within a scene.
        controls: the traits below.

    Attributes:
        scene: number of the scene.
        left, right: names of the two images; the first two at the start.
        divider: where the right one begins, in percent of the width.

    Raises:
        InputError: no scene, fewer than two images, other names or sizes, a control that is not there, more than
            fits on a page.
    """

    scene = Choice(0)
    left = Choice("")
    right = Choice("")
    divider = Within(50, 0, 100)

    def __init__(self, scenes: Mapping[str, Mapping[str, Tensor]], **controls: Any) -> None:
        self.scenes = {name: dict(images) for name, images in scenes.items()}
        self._check()
        self.names = list(next(iter(self.scenes.values())))
        data = {
            "scenes": [
                {"name": name, "images": [plane(image) for image in images.values()]}
                for name, images in self.scenes.items()
            ],
            "names": self.names,
        }
        super().__init__("lens", data, **{"left": self.names[0], "right": self.names[1]} | controls)

    def composed(self) -> Tensor:
        """What is on show: (1, H, W), or (3, H, W) if one of the two is in colour."""
        images = list(self.scenes.values())[self.scene]
        left, right = images[self.left], images[self.right]
        channels = max(left.shape[0], right.shape[0])
        cut = round(left.shape[-1] * self.divider / 100)
        return torch.cat(
            [left.expand(channels, -1, -1)[..., :cut], right.expand(channels, -1, -1)[..., cut:]], dim=-1
        )

    def static(self) -> Figure:
        image = self.composed()
        figure, axis = plt.subplots(
            figsize=(5, 5 * image.shape[-2] / image.shape[-1] + 0.4), layout="constrained"
        )
        axis.imshow(as_array(image), cmap="gray", vmin=0, vmax=1)
        axis.axvline(image.shape[-1] * self.divider / 100 - 0.5, color="tab:orange", lw=1.5)
        axis.set_title(f"{self.left} | {self.right}", fontsize=10)
        axis.axis("off")
        return figure

    def choices(self) -> dict[str, Any]:
        return {"scene": range(len(self.scenes)), "left": self.names, "right": self.names}

    def _check(self) -> None:
        if not self.scenes:
            raise InputError("no scene to show; give at least one")
        first_name, first = next(iter(self.scenes.items()))
        for name, images in self.scenes.items():
            if list(images) != list(first) or len(images) < 2:
                raise InputError(
                    f'scene "{name}" has the images {", ".join(images) or "none"}; give at least two, and every '
                    f'scene those of "{first_name}", in the same order'
                )
            size = tuple(next(iter(images.values())).shape[-2:])
            for title, image in images.items():
                if image.ndim != 3 or image.shape[0] not in (1, 3) or tuple(image.shape[-2:]) != size:
                    raise InputError(
                        f'"{title}" of scene "{name}" is {tuple(image.shape)}; expected (1 or 3, {size[0]}, {size[1]})'
                    )
                if not (float(image.min()) >= 0 and float(image.max()) <= 1):
                    raise InputError(f'"{title}" of scene "{name}" has values outside 0 to 1')
