"""Intervals against scipy's and against what they promise: to hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tdfusion.errors import InputError
from tdfusion.intervals import fieller, jackknife, student
from tdfusion.results.seeds import Arms


def test_students_interval_is_scipys() -> None:
    values = np.random.default_rng(0).normal(0.03, 0.02, 7)
    for level in (0.5, 0.95):
        ends = stats.t.interval(level, 6, values.mean(), stats.sem(values))
        found = student(values, level)
        assert (found.low, found.high) == pytest.approx(ends) and found.mean == pytest.approx(values.mean())
    assert student(values).holds == (ends[0] > 0) and not student(values - 1).holds


def test_what_cannot_be_said_is_not_a_number() -> None:
    assert math.isnan(student([]).mean) and student([]).n == 0
    assert student([2.0]).mean == 2 and math.isnan(student([2.0]).low) and not student([2.0]).holds
    assert math.isnan(fieller([1.0], [2.0]).low)
    with pytest.raises(InputError, match="level is 1"):
        student([1.0, 2.0], 1)
    with pytest.raises(InputError, match="2 numerators and 1 denominators"):
        fieller([1.0, 2.0], [1.0])


def test_clusters_of_one_size_are_as_their_means() -> None:
    """And clusters of one value each as no clusters; values that repeat in a cluster say nothing more."""
    values = np.random.default_rng(3).normal(0.1, 0.2, (6, 4))
    clusters = np.repeat(list("abcdef"), 4)
    shuffle = np.random.default_rng(4).permutation(24)
    found = student(values.ravel()[shuffle], clusters=clusters[shuffle])
    means = student(values.mean(1))
    assert (found.mean, found.low, found.high) == pytest.approx((means.mean, means.low, means.high))
    assert found.n == 24
    alone = student(values.ravel(), clusters=range(24))
    assert (alone.low, alone.high) == pytest.approx(
        stats.t.interval(0.95, 23, values.mean(), stats.sem(values, None))
    )
    repeated, once = (
        student(np.repeat([1.0, 2.0, 4.0], 5), clusters=np.repeat([0, 1, 2], 5)),
        student([1.0, 2.0, 4.0]),
    )
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))


def test_clusters_of_many_sizes_are_as_a_regression_says() -> None:
    """The sandwich of a regression on a constant, in matrices."""
    sizes = (2, 5, 3, 7)
    values = np.random.default_rng(5).normal(size=sum(sizes))
    clusters = np.repeat(range(4), sizes)
    X = np.ones((len(values), 1))
    bread = np.linalg.inv(X.T @ X)
    residuals = values - (X @ bread @ X.T @ values)
    meat = sum(np.outer(u := X[clusters == g].T @ residuals[clusters == g], u) for g in range(4))
    error = np.sqrt(4 / 3 * (bread @ meat @ bread).item())
    found = student(values, clusters=clusters)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 3) * error)
    assert math.isnan(student(values, clusters=[0] * len(values)).low)
    with pytest.raises(InputError, match="17 values and 2 clusters"):
        student(values, clusters=[0, 1])


def test_an_interval_is_written_in_the_form_of_a_number() -> None:
    found = student([0.02, 0.04])
    assert f"{found:+.2f}" == f"+0.03 [{found.low:+.2f}, {found.high:+.2f}]"
    assert f"{student([0.02]):.0%}" == "2%" and f"{student([]):.1f}" == "none"


def test_fiellers_ends_are_where_the_paired_t_test_turns() -> None:
    draw = np.random.default_rng(1)
    y = draw.normal(0.05, 0.01, 6)
    x = 0.9 * y + draw.normal(0, 0.01, 6)
    found = fieller(x, y)
    assert found.low < found.mean < found.high and found.mean == pytest.approx(x.mean() / y.mean())
    for end in (found.low, found.high):
        assert stats.ttest_1samp(x - end * y, 0).pvalue == pytest.approx(0.05)
    assert fieller(x, y - y.mean() + 1e-4).high == math.inf  # the way itself is not told from none


def test_fiellers_interval_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(2)
    hits = 0
    for _ in range(2000):
        y = draw.normal(0.04, 0.012, 5)
        found = fieller(0.8 * y + draw.normal(0, 0.01, 5), y)
        hits += found.low <= 0.8 <= found.high
    assert 0.94 < hits / 2000 < 0.96


def test_arms_are_compared_over_the_seeds_that_both_have() -> None:
    scores = {"half": [0.4, 0.5, 0.45], "oracle": [0.5, 0.58, 0.56], "taught": [0.49, 0.57, None]}
    clear = {"half": [3.0, 3.1, 3.2], "oracle": [4.0, 4.2, 4.1], "taught": [5.0, 5.1, None]}
    rows = [
        {"arm": arm, "seed": seed, "group": "", "metric": metric, "value": value}
        for metric, found in (("mIoU", scores), ("EN", clear))
        for arm, values in found.items()
        for seed, value in enumerate(values)
        if value is not None
    ]
    arms = Arms(pd.DataFrame([*rows, rows[0] | {"group": "road", "value": 9.0}]))
    assert list(arms.of("mIoU").index) == ["half", "oracle", "taught"]
    gain = arms.gain("taught", "half")
    assert gain.n == 2 and gain.mean == pytest.approx(0.08)
    assert arms.gain("oracle", "half").mean == pytest.approx((0.1 + 0.08 + 0.11) / 3)
    assert arms.control("half", "oracle") and not arms.control("taught", "oracle")
    assert arms.closed("taught", "half", "oracle").mean == pytest.approx(0.16 / 0.18)
    assert arms.reaches("taught", "half", "oracle").mean == pytest.approx(0.08 - 0.8 * 0.09)
    assert arms.inside("half", ["half", "oracle"], "EN") == "oracle"
    assert arms.inside("oracle", arms.ran(["taught", "half", "never"]), "EN") is None
    shaky = [{"arm": a, "seed": i, "group": "", "metric": "mIoU", "value": v}
             for a, values in {"half": [0.4] * 3, "far": [0.5, 0.4, 0.4], "sure": [0.41] * 3}.items()
             for i, v in enumerate(values)]  # fmt: skip
    unsure = Arms(pd.DataFrame(shaky))  # enough by its mean and not by its interval; and the reverse
    assert unsure.gain("far", "half").mean > 0.03 and not unsure.control("half", "far")
    assert unsure.gain("sure", "half").holds and not unsure.control("half", "sure")
    with pytest.raises(InputError, match='no values of "VIF"'):
        arms.of("VIF")


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    values = np.random.default_rng(6).normal(size=9)
    without = [np.delete(values, k).mean() for k in range(9)]
    found, mean = jackknife(values.mean(), without), student(values)
    assert (found.mean, found.low, found.high) == pytest.approx((mean.mean, mean.low, mean.high))
    assert math.isnan(jackknife(0.5, [0.5]).low)


def test_the_jackknife_of_a_ratio_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    hits = 0
    for _ in range(1000):
        x, y = draw.gamma(5, 1, 20), draw.gamma(5, 2, 20)
        without = [(x.sum() - a) / (y.sum() - b) for a, b in zip(x, y)]
        found = jackknife(x.sum() / y.sum(), without)
        hits += found.low <= 0.5 <= found.high
    assert 0.93 < hits / 1000 < 0.97
