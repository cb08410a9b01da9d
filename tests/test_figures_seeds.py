"""Figures over seeds draw the numbers that they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from tdfusion.figures.seeds import gain_bars, one_against_other, task_and_image, task_and_pictures
from tdfusion.intervals import Interval


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_bar_from_end_to_end_filled_where_it_holds() -> None:
    gains = {
        "SegFormer": {"oracle": Interval(0.05, 0.02, 0.08, 5), "one step": Interval(0.01, -0.01, 0.03, 5)},
        "U-Net": {"oracle": Interval(0.04, 0.01, 0.07, 5)},
    }
    axis = gain_bars(gains, "gain", bar=0.03).axes[0]
    bars = [line for line in axis.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 2]
    assert [tuple(bar.get_xdata()) for bar in bars] == [(0.02, 0.08), (-0.01, 0.03), (0.01, 0.07)]
    dots = [line for line in axis.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    assert [dot.get_xdata()[0] for dot in dots] == [0.05, 0.01, 0.04]
    filled = [to_hex(dot.get_markerfacecolor()) != "#ffffff" for dot in dots]
    assert filled == [True, False, True]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["oracle", "one step"]
    assert round(dots[1].get_ydata()[0]) == 1 and dots[0].get_ydata()[0] < 0 < dots[2].get_ydata()[0]


def test_an_arm_stands_by_its_two_scores_in_every_panel() -> None:
    means = pd.DataFrame(
        {"mIoU": [0.4, 0.5], "EN": [6.0, 5.0], "SF": [1.0, 2.0], "VIF": [0.3, 0.2], "SSIM": [0.5, 0.6]},
        index=["half", "taught"],
    )
    figure = task_and_image(
        means, "mIoU", ["EN", "SF", "VIF", "SSIM"], {"small": ["half", "never"], "": ["taught"]}
    )
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_xlabel() for axis in shown] == ["EN", "SF", "VIF", "SSIM"]
    for axis, metric in zip(shown, ("EN", "SF", "VIF", "SSIM"), strict=True):
        points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines]
        assert points == [(means.loc[arm, metric], means.loc[arm, "mIoU"]) for arm in means.index]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["small: half", "taught"]


def test_one_judge_beside_another() -> None:
    means = pd.DataFrame({"a": [0.1, 0.4, None], "b": [0.2, 0.3, 0.9]}, index=["x", "y", "z"])
    axis = plt.subplots()[1]
    one_against_other(axis, means, "a", "b", named=["y", "z"])
    dots, diagonal = axis.lines
    assert dots.get_xydata().tolist() == [[0.1, 0.2], [0.4, 0.3]]
    assert diagonal.get_xydata().tolist() == [[0.1, 0.1], [0.4, 0.4]]
    assert [text.get_text() for text in axis.texts] == ["y"]


def test_a_few_arms_are_named_where_they_stand_and_shown() -> None:
    means = pd.DataFrame(
        {"mIoU": [0.4, 0.5, 0.6], "VIF": [0.3, 0.2, float("nan")]}, index=["half", "taught", "two channels"]
    )
    named = {"half": "w = 1/2", "never": "?", "taught": "learned", "two channels": "no fusion"}
    shown = {f"picture {k}": np.full((4, 4), k / 4) for k in range(4)}
    axis, *panels = task_and_pictures(means, "mIoU", "VIF", named, shown, "two channels").axes
    bar, *dots = axis.lines
    assert list(bar.get_ydata()) == [0.6, 0.6]
    points = [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots]
    assert points == [(0.3, 0.4), (0.2, 0.5)]
    assert [text.get_text() for text in axis.texts] == ["no fusion", "w = 1/2", "learned"]
    sides = [text.get_horizontalalignment() for text in axis.texts[1:]]
    assert sides == ["right", "left"]  # a name runs towards the middle
    assert [panel.get_title() for panel in panels] == [*shown, "", ""]  # six to a row
    assert [panel.images[0].get_array().max() for panel in panels[:4]] == [0, 0.25, 0.5, 0.75]
