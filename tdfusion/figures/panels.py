"""Figures of the book, as functions that return matplotlib figures.

Images are gray (H, W) or (1, H, W) tensors in [0, 1], drawn on the full range so that two panels can be
compared; weights are drawn with a diverging map centred at 1/2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tdfusion.data.images import ycbcr_to_rgb
from tdfusion.data.pair import Pair

WEIGHT_MAP = "PuOr_r"  # w_a: orange towards infrared (1), purple towards visible (0), white at 1/2
PANEL = 2.6  # inches, width of one image panel


def image_row(
    panels: Mapping[str, Tensor],
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    maps: Mapping[str, str] | None = None,
    columns: int | None = None,
) -> Figure:
    """Images side by side with their titles.

    Args:
        panels: title -> (H, W), (1, H, W) or RGB (3, H, W), in [0, 1] unless ``ranges`` says otherwise.
        ranges: title -> (lowest, highest) value of the colour scale; such panels get a colour bar.
        maps: title -> matplotlib colour map; gray by default.
        columns: panels per row; all in one row by default.
    """
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    first = next(iter(panels.values()))
    aspect = first.shape[-2] / first.shape[-1]
    figure, axes = plt.subplots(
        rows, columns, figsize=(PANEL * columns, (PANEL * aspect + 0.35) * rows), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, image) in zip(axes.flat, panels.items()):
        low, high = (ranges or {}).get(title, (0.0, 1.0))
        drawn = axis.imshow(as_array(image), cmap=(maps or {}).get(title, "gray"), vmin=low, vmax=high)
        axis.set_title(title, fontsize=10)
        if title in (ranges or {}):
            figure.colorbar(drawn, ax=axis, fraction=0.046, pad=0.02)
    return figure


def visible_rgb(pair: Pair, luma: Tensor | None = None) -> Tensor:
    """The visible image in colour, or with ``luma`` (1, H, W) in place of its own; gray where it has none."""
    luma = pair.vi if luma is None else luma
    return luma if pair.chroma is None else ycbcr_to_rgb(luma, pair.chroma)


def history_curves(history: Sequence[Mapping[str, Any]], smooth: int = 1) -> Figure:
    """What a training run did: L_f, L_t and the mean of w_a over all steps, meta phases shaded.

    Args:
        history: rows of ``history.jsonl``.
        smooth: length of the running mean, in steps.
    """
    figure, axes = plt.subplots(3, 1, figsize=(8, 5.4), sharex=True, layout="constrained")
    colours = sns.color_palette("colorblind")
    titles = {"L_f": "fusion loss $L_f$", "L_t": "task loss $L_t$", "w_a": "mean of $w_a$"}
    for axis, (key, title), colour in zip(axes, titles.items(), colours):
        values = np.array([row[key] for row in history])
        kernel = np.ones(min(smooth, len(values)))
        mean = np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")
        axis.plot(np.arange(1, len(values) + 1), mean, color=colour, linewidth=1.4)
        axis.set_ylabel(title)
        _shade_meta(axis, history)
        sns.despine(ax=axis)
    axes[2].axhline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    axes[2].set_xlabel("step (shaded: G learns; white: F and T learn)")
    return figure


def _shade_meta(axis: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    phases = [row["phase"] for row in history]
    starts = [i for i, phase in enumerate(phases) if phase == "meta" and (i == 0 or phases[i - 1] != "meta")]
    for start in starts:
        stop = next((i for i in range(start, len(phases)) if phases[i] != "meta"), len(phases))
        axis.axvspan(start + 0.5, stop + 0.5, color="0.92", zorder=0)


def as_array(image: Tensor) -> np.ndarray:
    """(H, W), (1, H, W) or (3, H, W) tensor to what ``imshow`` draws: (H, W) or (H, W, 3)."""
    array = torch.as_tensor(image).detach().cpu().float()
    if array.ndim == 2:
        return array.numpy()
    return array[0].numpy() if array.shape[0] == 1 else array.permute(1, 2, 0).numpy()
