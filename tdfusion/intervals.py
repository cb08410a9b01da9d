"""How sure a mean is: intervals for paired differences, and for the ratio of two of them."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tdfusion.errors import InputError


@dataclass(frozen=True)
class Interval:
    """A mean, or a ratio of means, and the ends of its interval; NaN where there is nothing to say.

    >>> f"{Interval(0.051, 0.032, 0.07, 5):+.3f}"
    '+0.051 [+0.032, +0.070]'
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def holds(self) -> bool:
        """Whether all of it lies above 0."""
        return self.low > 0

    def __format__(self, form: str) -> str:
        """The mean in the given form, with the ends in brackets where there are any."""
        if math.isnan(self.mean):
            return "none"
        mean, low, high = (format(value, form) for value in (self.mean, self.low, self.high))
        return mean if math.isnan(self.low) else f"{mean} [{low}, {high}]"


def student(
    values: Sequence[float], level: float = 0.95, clusters: Sequence[Hashable] | None = None
) -> Interval:
    """Student's interval for a mean: ``m +- t s / sqrt(n)``, t the (1 + level) / 2 quantile, n - 1 degrees of freedom.

    Values that come in clusters, as frames of a sequence do, say less than as many independent ones. With sums u of
    ``x - m`` over each of G clusters, ``s / sqrt(n)`` becomes ``sqrt(G / (G - 1) sum(u^2)) / n``, with G - 1 degrees
    of freedom: the same where every value is a cluster of its own.

    Args:
        values: one per image or seed; of paired samples, their differences.
        level: of the interval, between 0 and 1.
        clusters: which cluster each value is of; None takes every value for itself.

    Returns:
        All NaN of no values; the ends NaN of a single one, or of a single cluster.

    Raises:
        InputError: a level that is not between 0 and 1; not as many clusters as values.

    Source: for clusters, K.-Y. Liang and S. L. Zeger, Longitudinal data analysis using generalized linear models,
    Biometrika 73 (1986), with the factor G / (G - 1) for few clusters.
    """
    check_level(level)
    values = [float(value) for value in values]
    of = range(len(values)) if clusters is None else clusters
    if len(of) != len(values):
        raise InputError(f"{len(values)} values and {len(of)} clusters; give each value its cluster")
    if not values:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean, n = statistics.fmean(values), len(values)
    sums: dict[Hashable, float] = defaultdict(float)
    for value, cluster in zip(values, of, strict=True):
        sums[cluster] += value - mean
    if len(sums) < 2:
        return Interval(mean, math.nan, math.nan, n)
    error = math.sqrt(len(sums) / (len(sums) - 1) * math.fsum(u * u for u in sums.values())) / n
    half = _t(len(sums), level) * error
    return Interval(mean, mean - half, mean + half, n)


def fieller(numerators: Sequence[float], denominators: Sequence[float], level: float = 0.95) -> Interval:
    """Fieller's interval for the ratio of two means over the same seeds: all r for which ``mean(x - r y)`` may be 0.

    Args:
        numerators: x, one per seed.
        denominators: y, of the same seeds.
        level: of the interval, between 0 and 1.

    Returns:
        From -inf to inf where the mean of y is not told from 0: then no ratio is excluded on both sides. NaN of
        fewer than two seeds.

    Raises:
        InputError: lengths that differ; a level that is not between 0 and 1.

    Source: E. C. Fieller, Some problems in interval estimation, J. R. Stat. Soc. B 16 (1954).
    """
    check_level(level)
    if len(numerators) != len(denominators):
        raise InputError(f"{len(numerators)} numerators and {len(denominators)} denominators; give pairs")
    n = len(numerators)
    if n < 2:
        return Interval(math.nan, math.nan, math.nan, n)
    x, y = statistics.fmean(numerators), statistics.fmean(denominators)
    scale = _t(n, level) ** 2 / n
    xx, yy = (scale * statistics.variance(values) for values in (numerators, denominators))
    xy = scale * statistics.covariance(numerators, denominators)
    # (x - r y)^2 = xx - 2 r xy + r^2 yy
    a, b, c = y * y - yy, x * y - xy, x * x - xx
    if a <= 0:
        return Interval(x / y if y else math.nan, -math.inf, math.inf, n)
    half = math.sqrt(max(b * b - a * c, 0.0)) / a
    return Interval(x / y, b / a - half, b / a + half, n)


def jackknife(value: float, without: Sequence[float], level: float = 0.95) -> Interval:
    """The interval of a value made of G groups, from the values without each: ``value +- t s``.

    ``s^2 = (G - 1) / G sum((v - mean v)^2)`` over the values v without a group, t as in `student` with G - 1 degrees
    of freedom. For a number that is no mean over the groups, such as a mean IoU over blocks of a sequence.

    Args:
        value: of all groups.
        without: of all groups but one, for each.
        level: of the interval, between 0 and 1.

    Returns:
        The ends NaN of fewer than two groups.

    Raises:
        InputError: a level that is not between 0 and 1.

    Source: J. W. Tukey, Bias and confidence in not quite large samples, Ann. Math. Stat. 29 (1958).
    """
    check_level(level)
    n = len(without)
    if n < 2:
        return Interval(value, math.nan, math.nan, n)
    middle = statistics.fmean(without)
    half = _t(n, level) * math.sqrt((n - 1) / n * math.fsum((v - middle) ** 2 for v in without))
    return Interval(value, value - half, value + half, n)


def _t(n: int, level: float) -> float:
    from scipy.special import stdtrit  # here: commands parse without scipy

    return float(stdtrit(n - 1, (1 + level) / 2))


def check_level(level: float) -> None:
    """Refuse a level that is not between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"level is {level:g}; give a number between 0 and 1")
