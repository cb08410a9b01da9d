"""Figures of stored results draw the numbers that they are given; criteria are those of the plan."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tdfusion.figures.studies import (
    beside_published,
    image_grid,
    log_ticks,
    quartile_dots,
    region_curves,
    seed_dots,
)
from tdfusion.results import tidy, wide
from tdfusion.results.criteria import Study, base_of, better, per_seed, right_way


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_dot_per_seed_and_a_bar_at_their_mean() -> None:
    scores = pd.DataFrame([[0.1, 0.2, 0.6], [0.4, np.nan, 0.6]], index=["half", "oracle"])
    axis = seed_dots(scores, "mIoU", reference="oracle").axes[0]
    dots, bar, others, other_bar, line = axis.lines
    assert dots.get_xdata().tolist() == [0.1, 0.2, 0.6] and bar.get_xdata() == pytest.approx([0.3, 0.3])
    assert np.isnan(others.get_xdata()[1]) and other_bar.get_xdata()[0] == line.get_xdata()[0] == 0.5
    assert [label.get_text() for label in axis.get_yticklabels()] == ["half", "oracle"]


def test_published_rows_share_a_lane_and_ours_have_their_own() -> None:
    published = {"X": {"EN": 6.0, "VIF": 0.4}, "TDFusion": {"EN": 7.0, "VIF": 0.5}}
    ours = {"max": {"EN": 6.5, "VIF": 0.6}, "mean": {"EN": 6.1, "VIF": 0.3}}
    figure = beside_published(published, ours, marked="TDFusion")
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == ["EN", "VIF"]
    line, rivals, marked, *lanes = shown[1].lines
    assert list(line.get_xdata()) == [0.5, 0.5] and rivals.get_xydata().tolist() == [[0.4, 0.0]]
    assert marked.get_xydata().tolist() == [[0.5, 0.0]]
    assert [lane.get_xydata().tolist() for lane in lanes] == [[[0.6, 1.0]], [[0.3, 2.0]]]
    assert [label.get_text() for label in shown[0].get_yticklabels()] == ["published", "max", "mean"]


def test_a_curve_per_seed_and_region() -> None:
    rows = [(arm, s, e, s + e, s - e) for arm in ("a", "b") for s in (0, 1) for e in (0, 1, 2)]
    history = pd.DataFrame(rows, columns=["arm", "seed", "epoch", "w_a infrared", "w_a visible"])
    axes = region_curves(history, ["b"]).axes
    assert [axis.get_title() for axis in axes] == ["b"]
    drawn = [line.get_ydata() for line in axes[0].lines[:4]]
    np.testing.assert_array_equal(drawn, [[0, 1, 2], [0, -1, -2], [1, 2, 3], [1, 0, -1]])


def test_every_image_of_a_grid_stands_in_its_place() -> None:
    images = {
        row: {c: np.full((2, 2), 10 * r + i) for i, c in enumerate("abc")} for r, row in enumerate("xy")
    }
    figure = image_grid(images, maps={"b": "PuOr_r"}, ranges={"c": (-2, 2)})
    assert [axis.images[0].get_array()[0, 0] for axis in figure.axes] == [0, 1, 2, 10, 11, 12]
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c", "", "", ""]
    assert figure.axes[3].get_ylabel() == "y"
    assert figure.axes[4].images[0].get_cmap().name == "PuOr_r"
    assert figure.axes[5].images[0].get_clim() == (-2, 2)


@pytest.mark.parametrize("upright", [False, True])
def test_a_bar_reaches_from_quartile_to_quartile(upright: bool) -> None:
    numbers = pd.DataFrame(
        {"s": [2.0, 5.0], "s, lower quartile": [1.0, 4.0], "s, upper quartile": [4.0, 5.5]}
    )
    axis = plt.subplots()[1]
    quartile_dots(axis, numbers, "s", [0, 1], upright=upright, fmt="o")
    (container,) = axis.containers
    ends = container.lines[2][0].get_segments()
    reached = [tuple(end[:, 1 if upright else 0]) for end in ends]
    assert reached == [(1.0, 4.0), (4.0, 5.5)]
    log_ticks(axis, "y" if upright else "x")
    assert (axis.get_yscale() if upright else axis.get_xscale()) == "log"


def table() -> pd.DataFrame:
    def rows():
        for seed in range(3):
            for arm, miou in (
                ("mask half", 0.3),
                ("mask plain", 0.3 + 0.02 * (seed + 1)),
                ("mask oracle", 0.4),
            ):
                yield {"arm": arm, "seed": seed, "values": {"mIoU": miou}}
            for group, before, after in (("infrared", 0.5, 0.6 + seed / 100), ("visible", 0.5, 0.5)):
                values = {"w_a before": before, "w_a": after}
                yield {"arm": "mask plain", "group": group, "seed": seed, "values": values}
        yield {"arm": "paper", "seed": 1, "values": {"mIoU": 0.5}}

    return tidy("mechanism", rows())


def test_the_criteria_are_those_of_the_plan() -> None:
    study = Study(table())
    np.testing.assert_allclose(study.gains("mask plain"), [0.02, 0.04, 0.06])
    np.testing.assert_allclose(study.moved("mask plain"), [0.1, 0.11, 0.12])
    assert study.closed("mask plain", "mask oracle") == pytest.approx(0.4)
    assert study.ran(["paper", "direct", "mask half"]) == ["paper", "mask half"]
    assert study.complete("mask half", "mask oracle") and not study.complete("paper")
    assert not study.complete("direct")
    assert better(np.array([0.001, 0.03, 0.03])) and not better(np.array([-0.001, 0.05, 0.05]))
    assert not better(np.array([0.01, 0.01, 0.03]))
    assert right_way(np.array([0.05, 0.2])) and not right_way(np.array([0.049, 0.2]))
    assert per_seed(np.array([0.0123, -0.2])) == "+0.012, -0.200"


@pytest.mark.parametrize(
    ("arm", "base"),
    [("mask plain, not centred", "mask half, not centred"), ("mask oracle, alpha 1", "mask half, alpha 1"),
     ("small gauss-newton", "small half"), ("direct", "mask half"), ("paper half, with L_t", "paper half")],
)  # fmt: skip
def test_an_arm_is_compared_with_half_of_its_own_form(arm: str, base: str) -> None:
    assert base_of(arm) == base


def test_a_wide_table_keeps_its_order() -> None:
    found = wide(table().query("metric == 'mIoU'"), "arm", "seed")
    assert list(found.index[:4]) == [
        ("mask half", 0),
        ("mask plain", 0),
        ("mask oracle", 0),
        ("mask half", 1),
    ]
    assert wide(table().query("seed == 1 and group == ''"), "arm").index[-1] == "paper"
