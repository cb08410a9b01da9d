"""Fig. 3 and Fig. 4: what task networks say of fused images, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from tdfusion.errors import InputError
from tdfusion.figures.fusion import Box, fig2_layout
from tdfusion.figures.panels import as_array

RGB = tuple[int, int, int]

_LEGEND = 0.28  # inches per row of the legend
_ENTRY = 1.15  # inches per entry


def fig3_layout(
    scenes: Mapping[str, Mapping[str, Tensor]],
    boxes: Mapping[str, Sequence[Box]],
    classes: Sequence[str],
    *,
    palette: Sequence[RGB] | None = None,
    panel: float = 1.7,
) -> Figure:
    """Fig. 3's layout: a row per scene, a column per source, method and truth, boxes magnified below.

    Args:
        scenes: name of the scene -> column title -> label map, int64 (H, W), drawn in the colours of its
            classes, or image, float (1 or 3, H, W) in [0, 1], drawn as it is. The last column is usually
            the truth.
        boxes: name of the scene -> places ``(x1, y1, x2, y2)`` in pixels, outlined and magnified.
        classes: names in the order of their ids, for the legend.
        palette: RGB (0 to 255) per class; None takes evenly spaced hues.
        panel: width of a panel in inches.

    Raises:
        InputError: a label map has an id without a class; scenes or boxes as in `fig2_layout`.
    """
    colours = _colours(len(classes), palette)  # (classes, 3)
    drawn = {
        name: {title: _coloured(title, image, colours) for title, image in images.items()}
        for name, images in scenes.items()
    }
    figure = fig2_layout(drawn, boxes, panel=panel)
    shown = sorted(
        {int(c) for images in scenes.values() for m in images.values() if _is_map(m) for c in m.unique()}
    )
    _legend(figure, [classes[c] for c in shown], [colours[c].tolist() for c in shown])
    return figure


def fig4_layout(
    scenes: Mapping[str, Mapping[str, tuple[Tensor, Tensor]]],
    classes: Sequence[str],
    *,
    palette: Sequence[RGB] | None = None,
    panel: float = 2.2,
) -> Figure:
    """Fig. 4's layout: a row per scene, a column per source, method and truth, boxes drawn in the image.

    Args:
        scenes: name of the scene -> column title -> (image, boxes). The image is (1 or 3, H, W) in [0, 1]; boxes
            are (n, 6), rows ``class confidence x1 y1 x2 y2`` in pixels, written with their confidence, or the
            truth (n, 5), rows ``class x1 y1 x2 y2``.
        classes: names in the order of their ids, for the legend.
        palette: RGB (0 to 255) per class; None takes evenly spaced hues.
        panel: width of a panel in inches.

    Raises:
        InputError: no scene, scenes of other columns, boxes of another shape or of an unknown class.
    """
    titles = _columns(scenes)
    colours = _colours(len(classes), palette)
    first = [next(iter(columns.values()))[0] for columns in scenes.values()]
    heights = [image.shape[-2] / image.shape[-1] for image in first]
    figure, axes = plt.subplots(
        len(scenes), len(titles), squeeze=False, layout="constrained", height_ratios=heights,
        figsize=(panel * len(titles), panel * sum(heights) + 0.3),
    )  # fmt: skip
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    shown: set[int] = set()
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=10)
    for row, (name, columns) in zip(axes, scenes.items()):
        row[0].set_ylabel(name, fontsize=10)
        for axis, (title, (image, boxes)) in zip(row, columns.items()):
            axis.imshow(as_array(image), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            _draw_boxes(axis, f'"{title}" of scene "{name}"', boxes, classes, colours)
            shown |= {int(c) for c in boxes[:, 0]}
    _legend(figure, [classes[c] for c in sorted(shown)], [colours[c].tolist() for c in sorted(shown)])
    return figure


def _draw_boxes(axis: Axes, where: str, boxes: Tensor, classes: Sequence[str], colours: Tensor) -> None:
    if boxes.ndim != 2 or boxes.shape[1] not in (5, 6):
        raise InputError(f"{where}: boxes of shape {tuple(boxes.shape)}, expected (n, 5) or (n, 6)")
    for box in boxes.tolist():
        c, (x1, y1, x2, y2) = int(box[0]), box[-4:]
        if not 0 <= c < len(classes):
            raise InputError(f"{where}: a box of class {c}, expected 0 to {len(classes) - 1}")
        colour = colours[c].tolist()
        axis.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.3)
        )
        if len(box) == 6:
            axis.text(
                x1 - 0.5, y1 - 1, f"{box[1]:.2f}".lstrip("0"), color="white", fontsize=5, clip_on=True,
                va="bottom", bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.4},
            )  # fmt: skip


def _is_map(image: Tensor) -> bool:
    return not torch.as_tensor(image).is_floating_point()


def _coloured(title: str, image: Tensor, colours: Tensor) -> Tensor:
    """A label map (H, W) as RGB (3, H, W); an image as it is."""
    if not _is_map(image):
        return image
    ids = torch.as_tensor(image).long()
    if ids.min() < 0 or ids.max() >= len(colours):
        raise InputError(
            f'"{title}": class ids {int(ids.min())} to {int(ids.max())}, expected 0 to {len(colours) - 1}'
        )
    return colours[ids].permute(2, 0, 1)  # (3, H, W)


def _colours(count: int, palette: Sequence[RGB] | None) -> Tensor:
    """(count, 3) in [0, 1]."""
    if palette is None:
        return torch.tensor(sns.color_palette("husl", count), dtype=torch.float32)
    if len(palette) < count:
        raise InputError(f"a palette of {len(palette)} colours for {count} classes; give one per class")
    return torch.tensor(palette[:count], dtype=torch.float32) / 255


def _columns(scenes: Mapping[str, Mapping[str, object]]) -> list[str]:
    if not scenes:
        raise InputError("no scene to draw; give at least one")
    (first, columns), *others = scenes.items()
    for name, theirs in others:
        if list(theirs) != list(columns):
            raise InputError(
                f'scene "{name}" has columns {", ".join(theirs)} but "{first}" has {", ".join(columns)}; '
                "give every scene the same ones, in the same order"
            )
    return list(columns)


def _legend(figure: Figure, names: Sequence[str], colours: Sequence[Sequence[float]]) -> None:
    """Below the panels, in as many rows as the width asks for; the figure grows by them."""
    if not names:
        return
    width, height = figure.get_size_inches()
    across = max(1, min(len(names), int(width / _ENTRY)))
    room = _LEGEND * -(-len(names) // across)
    figure.set_size_inches(width, height + room)
    engine = figure.get_layout_engine()
    left, _, across_share, _ = engine.get()["rect"]
    engine.set(rect=(left, room / (height + room), across_share, height / (height + room)))
    handles = [Patch(facecolor=c, edgecolor="0.4", linewidth=0.5, label=n) for n, c in zip(names, colours)]
    figure.legend(
        handles=handles, loc="lower center", ncols=across, frameon=False, fontsize=9, handlelength=1.2,
        columnspacing=1.2, borderaxespad=0.1,
    )  # fmt: skip
