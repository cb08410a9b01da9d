"""How sure a mean is: intervals for paired differences, and for the ratio of two of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
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


def student(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval for a mean: ``m +- t s / sqrt(n)``, t the (1 + level) / 2 quantile, n - 1 degrees of freedom.

    Args:
        values: one per image or seed; of paired samples, their differences.
        level: of the interval, between 0 and 1.

    Returns:
        All NaN of no values; the ends NaN of a single one.

    Raises:
        InputError: a level that is not between 0 and 1.
    """
    check_level(level)
    values = [float(value) for value in values]
    if not values:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean, n = statistics.fmean(values), len(values)
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    half = _t(n, level) * statistics.stdev(values) / math.sqrt(n)
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


def _t(n: int, level: float) -> float:
    from scipy.special import stdtrit  # here: commands parse without scipy

    return float(stdtrit(n - 1, (1 + level) / 2))


def check_level(level: float) -> None:
    """Refuse a level that is not between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"level is {level:g}; give a number between 0 and 1")
