"""Arms of a study over seeds: paired differences, the closed part of a gap, and which arm is behind another.

Criteria of the second study, as its plan has them (book/reproduce/lookahead_plan.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from tdfusion.errors import InputError
from tdfusion.extras import extra
from tdfusion.intervals import Interval, fieller, student

with extra("book", "tables of results"):
    import pandas as pd

CONTROL, PART, RANK, CLAIMED = 0.03, 0.8, 0.3, 5  # mIoU; of the gap; Spearman's rho; seeds


class Arms:
    """A stored study, asked by the names of its arms.

    Args:
        table: as ``results.load("lookahead")`` gives it.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        whole = table[table["group"] == ""]
        self._values = whole.set_index(["metric", "arm", "seed"])["value"]

    def of(self, metric: str) -> pd.DataFrame:
        """A metric: a row per arm, in the order of the table, a column per seed; NaN where there is none."""
        if metric not in self._values.index.get_level_values("metric"):
            raise InputError(f'no values of "{metric}"')
        values = self._values[metric]
        return values.unstack("seed").loc[values.index.get_level_values("arm").unique()]

    def ran(self, arms: Iterable[str], metric: str = "mIoU") -> list[str]:
        """Those of the arms that have the metric."""
        there = set(self.of(metric).index)
        return [arm for arm in arms if arm in there]

    def mean(self, arm: str, metric: str = "mIoU") -> Interval:
        """Of one arm over its seeds."""
        return student(self.of(metric).loc[arm].dropna())

    def gain(self, arm: str, base: str, metric: str = "mIoU") -> Interval:
        """An arm minus another, paired by seed, over the seeds that both have."""
        found = self.of(metric)
        return student((found.loc[arm] - found.loc[base]).dropna())

    def closed(self, arm: str, base: str, ceiling: str, metric: str = "mIoU") -> Interval:
        """The part of the way from a base to a ceiling that an arm makes, with Fieller's interval."""
        found = self.of(metric).loc[[arm, base, ceiling]].dropna(axis=1)
        way, made = found.loc[ceiling] - found.loc[base], found.loc[arm] - found.loc[base]
        return fieller(made.tolist(), way.tolist())

    def reaches(
        self, arm: str, base: str, ceiling: str, part: float = PART, metric: str = "mIoU"
    ) -> Interval:
        """How far an arm is beyond a part of that way, paired by seed: it *reaches* the part if this holds."""
        found = self.of(metric).loc[[arm, base, ceiling]].dropna(axis=1)
        return student(found.loc[arm] - found.loc[base] - part * (found.loc[ceiling] - found.loc[base]))

    def control(self, base: str, oracle: str, metric: str = "mIoU") -> bool:
        """Whether w can matter there: the oracle's gain holds and is at least 0.03."""
        gain = self.gain(oracle, base, metric)
        return gain.holds and gain.mean >= CONTROL

    def inside(self, arm: str, others: Iterable[str], image: str, task: str = "mIoU") -> str | None:
        """An arm that is better than this one by both measures, each difference holding, or None: on the front."""
        return next(
            (
                other
                for other in others
                if other != arm and all(self.gain(other, arm, metric).holds for metric in (task, image))
            ),
            None,
        )
