"""Figures of stored results: seeds as dots, medians with quartiles, curves by region, grids of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from tdfusion.extras import extra
from tdfusion.figures.panels import as_array

with extra("book", "tables of results"):
    import pandas as pd

REGIONS = {"infrared": "#b35806", "visible": "#542788"}


def seed_dots(scores: pd.DataFrame, label: str, reference: str | None = None) -> Figure:
    """Seeds as dots and their mean as a bar, an arm per row.

    Args:
        scores: a row per arm, a column per seed; NaN where a seed was not run.
        label: of the axis.
        reference: an arm at whose mean a dashed line stands.
    """
    figure, axis = plt.subplots(figsize=(7, 0.36 * len(scores) + 0.9), layout="constrained")
    for row, values in enumerate(scores.to_numpy(float)):
        axis.plot(values, [row] * len(values), "o", color="C0", alpha=0.6, markersize=5)
        axis.plot([np.nanmean(values)] * 2, [row - 0.3, row + 0.3], color="black")
    if reference is not None:
        axis.axvline(scores.loc[reference].mean(), color="0.6", linewidth=1, linestyle="--")
    axis.set_yticks(range(len(scores)), list(scores.index))
    axis.set_ylim(len(scores) - 0.5, -0.5)
    axis.set_xlabel(label)
    axis.grid(axis="x", alpha=0.3)
    return figure


def beside_published(
    published: Mapping[str, Mapping[str, float]], ours: Mapping[str, Mapping[str, float]], marked: str
) -> Figure:
    """Published rows of a table in one lane, ours in a lane each, a panel per metric.

    Args:
        published: method -> metric -> value.
        ours: row -> metric -> value.
        marked: the published method that is drawn in black, with a line through all lanes; the others are gray.
    """
    metrics = list(published[marked])
    lanes = ["published", *ours]
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.1 * columns, (0.27 * len(lanes) + 0.75) * rows), layout="constrained", sharey=True,
        squeeze=False,
    )  # fmt: skip
    colours = sns.color_palette("colorblind")
    for axis, metric in zip(axes.flat, metrics):
        axis.axvline(published[marked][metric], color="0.3", linewidth=0.8, linestyle=":")
        others = [values[metric] for method, values in published.items() if method != marked]
        axis.plot(others, [0] * len(others), "o", color="0.6", markersize=5, alpha=0.7)
        axis.plot(published[marked][metric], 0, "o", color="black", markersize=6)
        for lane, (values, colour) in enumerate(zip(ours.values(), colours), 1):
            axis.plot(values[metric], lane, "o", color=colour, markersize=7)
        axis.set_title(metric, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].set_yticks(range(len(lanes)), lanes)
    axes[0, 0].set_ylim(len(lanes) - 0.5, -0.5)
    for axis in list(axes.flat)[len(metrics) :]:
        axis.set_visible(False)
    return figure


def region_curves(history: pd.DataFrame, arms: Sequence[str]) -> Figure:
    """Mean w_a over epochs where infrared and where visible carries the class, a panel per arm, a line per seed.

    Args:
        history: columns arm, seed, epoch, "w_a infrared" and "w_a visible".
        arms: which.
    """
    figure, axes = plt.subplots(
        1, len(arms), figsize=(3.6 * len(arms), 2.8), layout="constrained", sharey=True, squeeze=False
    )
    for axis, arm in zip(axes[0], arms):
        for seed, run in history[history["arm"] == arm].groupby("seed"):
            for region, colour in REGIONS.items():
                label = f"where {region} carries" if seed == 0 else None
                axis.plot(run["epoch"], run[f"w_a {region}"], color=colour, alpha=0.8, label=label)
        axis.axhline(0.5, color="0.7", linewidth=0.8)
        axis.set(title=arm, xlabel="epoch", ylim=(0, 1))
    axes[0, 0].set_ylabel("mean $w_a$")
    axes[0, 0].legend(fontsize=8)
    return figure


def image_grid(
    rows: Mapping[str, Mapping[str, Any]],
    *,
    maps: Mapping[str, str] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    panel: float = 1.2,
    titles: float = 8,
) -> Figure:
    """Images in rows under shared titles.

    Args:
        rows: label of the row (empty for none) -> title of the column -> (H, W), (1, H, W) or RGB image.
        maps: title -> matplotlib colour map; gray by default.
        ranges: title -> lowest and highest value drawn; 0 and 1 by default.
        panel: side of a panel in inches.
        titles: size of the titles in points.
    """
    columns = list(next(iter(rows.values())))
    size = (panel * len(columns), 1.08 * panel * len(rows))
    figure, axes = plt.subplots(len(rows), len(columns), figsize=size, layout="constrained", squeeze=False)
    for axis, title in zip(axes[0], columns):
        axis.set_title(title, fontsize=titles)
    for row, (label, images) in zip(axes, rows.items()):
        for axis, title in zip(row, columns):
            low, high = (ranges or {}).get(title, (0, 1))
            axis.imshow(as_array(images[title]), cmap=(maps or {}).get(title, "gray"), vmin=low, vmax=high)
            axis.set(xticks=[], yticks=[])
            sns.despine(ax=axis, left=True, bottom=True)
        row[0].set_ylabel(label.strip())
    return figure


def quartile_dots(
    axis: Axes, numbers: pd.DataFrame, metric: str, at: Sequence[float], *, upright: bool = False, **look: Any
) -> None:
    """Medians as dots with a bar from quartile to quartile, on a logarithmic axis without powers of ten.

    Args:
        axis: to draw on.
        numbers: columns ``metric``, "``metric``, lower quartile" and "``metric``, upper quartile".
        metric: what is drawn.
        at: the place of each row on the other axis.
        upright: values go up, not to the right.
        look: of ``errorbar``.
    """
    middle = numbers[metric].to_numpy(float)
    low, high = (numbers[f"{metric}, {side} quartile"].to_numpy(float) for side in ("lower", "upper"))
    bars = {"yerr" if upright else "xerr": [middle - low, high - middle]}
    points = (at, middle) if upright else (middle, at)
    axis.errorbar(*points, **bars, capsize=2, markersize=5, **look)


def log_ticks(axis: Axes, which: str, steps: Sequence[float] = (1, 2, 5)) -> None:
    """A logarithmic axis ("x" or "y") that says 0.5, 1, 2 and not powers of ten, with a light grid."""
    axis.set(**{f"{which}scale": "log"})
    ticks = getattr(axis, f"{which}axis")
    ticks.set_major_locator(LogLocator(subs=steps))
    ticks.set_major_formatter(FormatStrFormatter("%g"))
    ticks.set_minor_locator(NullLocator())
    axis.grid(axis=which, color="0.92")
