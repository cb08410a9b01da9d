"""Figures of studies over seeds: gains with their intervals, arms by task and by image, one judge beside another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tdfusion.extras import extra
from tdfusion.intervals import Interval

with extra("book", "tables of results"):
    import pandas as pd

MARKS = "osD^vPX*<>hp"


def gain_bars(gains: Mapping[str, Mapping[str, Interval]], label: str, bar: float | None = None) -> Figure:
    """Means with their intervals, an arm per row, a colour per judge; filled where the interval lies above 0.

    Args:
        gains: judge -> arm -> its gain; an arm that a judge lacks is left out of that judge's marks.
        label: of the axis.
        bar: a value at which a dashed line stands.
    """
    arms = list(dict.fromkeys(arm for found in gains.values() for arm in found))
    figure, axis = plt.subplots(figsize=(7, 0.42 * len(arms) + 1.1), layout="constrained")
    colours = sns.color_palette("colorblind")
    apart = 0.3 / max(len(gains) - 1, 1)
    for at, (judge, found) in enumerate(gains.items()):
        shift = apart * (at - (len(gains) - 1) / 2)
        for arm, gain in found.items():
            row = arms.index(arm) + shift
            axis.plot([gain.low, gain.high], [row, row], color=colours[at], linewidth=2)
            fill = colours[at] if gain.holds else "white"
            axis.plot(gain.mean, row, "o", color=colours[at], markerfacecolor=fill, markersize=6)
        axis.plot([], [], "o-", color=colours[at], label=judge)
    axis.axvline(0, color="black", linewidth=0.8)
    if bar is not None:
        axis.axvline(bar, color="0.5", linewidth=1, linestyle="--")
    axis.set_yticks(range(len(arms)), arms)
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.set_xlabel(label)
    axis.grid(axis="x", alpha=0.3)
    if len(gains) > 1:
        axis.legend(fontsize=8, loc="best")
    return figure


def task_and_image(
    means: pd.DataFrame, task: str, metrics: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> Figure:
    """Every arm by a task's score (upwards) and by a fusion metric (to the right), a panel per metric.

    Args:
        means: a row per arm, with a column for the task's score and one for each metric.
        task: the column of the task's score.
        metrics: which columns.
        groups: title -> arms that share a colour; each arm has a mark of its own in its group.
    """
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.1 * columns, 2.7 * rows + 1.4),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    colours = sns.color_palette("colorblind")
    for axis, metric in zip(axes.flat, metrics):
        for (title, arms), colour in zip(groups.items(), colours):
            for arm, mark in zip((arm for arm in arms if arm in means.index), MARKS):
                axis.plot(
                    means.loc[arm, metric], means.loc[arm, task], mark, color=colour, markersize=7, alpha=0.85,
                    markeredgecolor="white", markeredgewidth=0.6, label=f"{title}: {arm}" if title else arm,
                )  # fmt: skip
        axis.set_xlabel(metric)
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(metrics) :]:
        axis.set_visible(False)
    for row in axes:
        row[0].set_ylabel(task)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    return figure


def task_and_pictures(
    means: pd.DataFrame,
    task: str,
    image: str,
    named: Mapping[str, str],
    pictures: Mapping[str, np.ndarray],
    bar: str,
) -> Figure:
    """A few arms by task and by image, each named, and below them what it looks like.

    Args:
        means: a row per arm, with both columns.
        task, image: columns; the task's score is drawn upwards.
        named: arm -> what stands beside its mark.
        pictures: title -> gray image (H, W) in [0, 1], in rows of six.
        bar: the arm at whose task's score a dashed line stands.
    """
    rows = -(-len(pictures) // 6)
    figure = plt.figure(figsize=(7, 3.9 + 1.5 * rows), layout="constrained")  # upright: legible on a phone
    above, below = figure.subfigures(2, 1, height_ratios=(3.9, 1.5 * rows))
    axis = above.subplots()
    axis.axhline(means.loc[bar, task], color="0.4", linewidth=1, linestyle="--")
    axis.annotate(
        named.get(bar, bar), (1, means.loc[bar, task]), xycoords=("axes fraction", "data"), ha="right",
        xytext=(-4, 4), textcoords="offset points", fontsize=9, color="0.3",
    )  # fmt: skip
    there = [arm for arm in named if arm in means.index and arm != bar]
    middle = means.loc[there, image].agg(["min", "max"]).mean()
    for arm, colour in zip(there, sns.color_palette("colorblind")):
        x, y = means.loc[arm, image], means.loc[arm, task]
        axis.plot(x, y, "o", color=colour, markersize=9)
        before = x > middle  # a name stands on the side where there is room
        axis.annotate(
            named[arm], (x, y), xytext=(-9 if before else 9, -3), textcoords="offset points", fontsize=9,
            ha="right" if before else "left",
        )  # fmt: skip
    axis.margins(0.12)
    axis.set(xlabel=f"the image: {image}", ylabel=f"the task: {task}")
    axis.grid(alpha=0.3)
    panels = below.subplots(rows, 6, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for panel, (title, picture) in zip(panels.flat, pictures.items()):
        panel.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.set_title(title, fontsize=8)
    return figure


def one_against_other(axis: Axes, means: pd.DataFrame, x: str, y: str, named: Sequence[str] = ()) -> None:
    """Arms by two scores, with the diagonal.

    Args:
        axis: to draw on.
        means: a row per arm.
        x, y: columns.
        named: arms whose name stands beside their dot.
    """
    both = means[[x, y]].dropna()
    axis.plot(both[x], both[y], "o", color="C0", alpha=0.7, markersize=5)
    low, high = both.min().min(), both.max().max()
    axis.plot([low, high], [low, high], color="0.6", linewidth=1, linestyle="--")
    for arm in named:
        if arm in both.index:
            axis.annotate(arm, both.loc[arm, [x, y]], xytext=(5, -3), textcoords="offset points", fontsize=8)
    axis.set(xlabel=x, ylabel=y)
    axis.grid(alpha=0.3)
