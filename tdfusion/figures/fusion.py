"""Fig. 2: methods side by side on several scenes, with the same places magnified in every panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tdfusion.errors import InputError
from tdfusion.figures.panels import as_array

Box = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels; x2 and y2 are not in it

PANEL = 2.2  # inches, width of one panel
_NAMES = 0.25  # inches left of the panels, for the scenes' names


def fig2_layout(
    scenes: Mapping[str, Mapping[str, Tensor]],
    boxes: Mapping[str, Sequence[Box]],
    *,
    panel: float = PANEL,
) -> Figure:
    """Fig. 2's layout: a row per scene, a column per source or method, boxes magnified below every panel.

    Args:
        scenes: name of the scene -> column title -> image (H, W), (1, H, W) or RGB (3, H, W), in [0, 1]. All
            scenes have the same columns; images of a scene have one size.
        boxes: name of the scene -> one or more places ``(x1, y1, x2, y2)`` in its pixels, drawn in the panel
            and shown magnified below it from left to right, each in its colour.
        panel: width of a panel in inches.

    Raises:
        InputError: no scene, other columns or sizes, no box, or a box that is empty or reaches outside.
    """
    _check(scenes, boxes)
    columns = list(next(iter(scenes.values())))
    heights = []
    for name, images in scenes.items():
        height, across = next(iter(images.values())).shape[-2:]
        strip = 1 / sum(_aspect(box) for box in boxes[name])  # boxes of this height fill the panel's width
        heights += [height / across, min(strip, height / across)]
    width = panel * len(columns) + _NAMES
    figure = plt.figure(figsize=(width, 1.04 * panel * sum(heights) + 0.3), layout="constrained")
    room = (_NAMES / width, 0, 1 - _NAMES / width, 1)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0, rect=room)
    grid = figure.add_gridspec(len(heights), len(columns), height_ratios=heights)
    colours = sns.color_palette("bright")
    for row, (name, images) in enumerate(scenes.items()):
        for column, (title, image) in enumerate(images.items()):
            axis = figure.add_subplot(grid[2 * row, column])
            _draw(axis, image)
            for box, colour in zip(boxes[name], colours):
                _outline(axis, box, colour)
            if row == 0:
                axis.set_title(title, fontsize=10)
            if column == 0:
                _name_beside(axis, name)
            strip = grid[2 * row + 1, column].subgridspec(
                1, len(boxes[name]), wspace=0.02, width_ratios=[_aspect(box) for box in boxes[name]]
            )
            for place, (box, colour) in enumerate(zip(boxes[name], colours)):
                _magnified(figure.add_subplot(strip[place]), image, box, colour)
    return figure


def crop(image: Tensor, box: Box) -> Tensor:
    """The pixels of a box: (..., H, W) -> (..., y2 - y1, x2 - x1)."""
    x1, y1, x2, y2 = box
    return image[..., y1:y2, x1:x2]


def _aspect(box: Box) -> float:
    x1, y1, x2, y2 = box
    return (x2 - x1) / (y2 - y1)


def _draw(axis: Axes, image: Tensor) -> None:
    axis.imshow(as_array(image), cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])


def _name_beside(axis: Axes, name: str) -> None:
    """A text of the figure: a label of the axis would take room in the layout and enlarge this column's boxes."""
    axis.figure.text(
        -0.03, 0.5, name, transform=axis.transAxes, rotation=90, ha="right", va="center", fontsize=10
    )


def _outline(axis: Axes, box: Box, colour: tuple[float, float, float]) -> None:
    x1, y1, x2, y2 = box
    axis.add_patch(
        Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.5)
    )


def _magnified(axis: Axes, image: Tensor, box: Box, colour: tuple[float, float, float]) -> None:
    _draw(axis, crop(image, box))
    for spine in axis.spines.values():
        spine.set(edgecolor=colour, linewidth=2)


def _check(scenes: Mapping[str, Mapping[str, Tensor]], boxes: Mapping[str, Sequence[Box]]) -> None:
    if not scenes:
        raise InputError("no scene to draw; give at least one")
    first_name, first = next(iter(scenes.items()))
    for name, images in scenes.items():
        if list(images) != list(first) or not images:
            raise InputError(
                f'scene "{name}" has columns {", ".join(images)} but "{first_name}" has {", ".join(first)}; '
                "give every scene the same ones, in the same order"
            )
        sizes = {title: tuple(torch.as_tensor(image).shape[-2:]) for title, image in images.items()}
        size = next(iter(sizes.values()))
        for title, other in sizes.items():
            if other != size:
                raise InputError(
                    f'"{title}" of scene "{name}" is {other[1]}x{other[0]}, expected {size[1]}x{size[0]}'
                )
        if not boxes.get(name):
            raise InputError(f'scene "{name}" has no box to magnify; give at least one')
        for x1, y1, x2, y2 in boxes[name]:
            if not (0 <= x1 < x2 <= size[1] and 0 <= y1 < y2 <= size[0]):
                raise InputError(
                    f'box {(x1, y1, x2, y2)} is not inside scene "{name}" of {size[1]}x{size[0]} pixels; '
                    "give x1, y1, x2, y2 with x1 < x2 and y1 < y2"
                )
