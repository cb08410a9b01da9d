"""The criteria of the mechanism study, as its plan has them (book/reproduce/mechanism_plan.md), on its table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tdfusion.extras import extra

with extra("book", "tables of results"):
    import pandas as pd

GAIN, MOVE, CEILING = 0.02, 0.05, 0.03  # mIoU on average; difference of w_a; mIoU in every seed
SEEDS = 3


class Study:
    """The stored study, asked by the names of its arms.

    Args:
        table: as ``results.load("mechanism")`` gives it.

    Attributes:
        miou: mean IoU of the judge, a row per arm and a column per seed; NaN where an arm was not run.
        gap: mean w_a where infrared carries the class minus where visible does, a row per arm, a column per seed,
            after learning minus before.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        keys = ["arm", "seed"]
        self.miou = table.query("metric == 'mIoU'").pivot(index="arm", columns="seed", values="value")
        w_a = table[table["metric"].isin(["w_a", "w_a before"])].set_index([*keys, "metric", "group"])[
            "value"
        ]
        regions = w_a.unstack(["metric", "group"])
        gap = {m: regions[m, "infrared"] - regions[m, "visible"] for m in ("w_a", "w_a before")}
        self.gap = (gap["w_a"] - gap["w_a before"]).unstack("seed")

    def ran(self, arms: Iterable[str]) -> list[str]:
        """Those of the arms that were run."""
        return [arm for arm in arms if arm in self.miou.index]

    def complete(self, *arms: str) -> bool:
        """Whether all were run with every seed."""
        return all(arm in self.miou.index and self.miou.loc[arm].notna().sum() == SEEDS for arm in arms)

    def gains(self, arm: str, base: str | None = None) -> np.ndarray:
        """mIoU beyond another arm, one per seed; by default beyond w = 1/2 with the same F and alpha."""
        return (self.miou.loc[arm] - self.miou.loc[base or base_of(arm)]).to_numpy(float)

    def moved(self, arm: str) -> np.ndarray:
        """By how much learning moved the difference of w_a between the regions, one per seed."""
        return self.gap.loc[arm].to_numpy(float)

    def closed(self, arm: str, ceiling: str, base: str = "mask half") -> float:
        """The part of the way from a base to a ceiling that an arm makes, by means over seeds."""
        mean = self.miou.mean(axis=1)
        return float((mean[arm] - mean[base]) / (mean[ceiling] - mean[base]))


def base_of(arm: str) -> str:
    """What an arm is compared with: w = 1/2 with the same F and alpha."""
    if arm == "direct":
        return "mask half"
    ends = (", not centred", ", alpha 1")
    return f"{arm.split()[0]} half" + next((end for end in ends if arm.endswith(end)), "")


def better(gains: np.ndarray) -> bool:
    """Scores beyond: at least 0.02 mIoU on average, and positive in each seed."""
    return bool(gains.mean() >= GAIN and (gains > 0).all())


def right_way(moved: np.ndarray) -> bool:
    """w moves the right way: by at least 0.05 in each seed."""
    return bool((moved >= MOVE).all())


def per_seed(values: np.ndarray, digits: int = 3) -> str:
    """+0.012, -0.003, +0.004"""
    return ", ".join(f"{value:+.{digits}f}" for value in values)
