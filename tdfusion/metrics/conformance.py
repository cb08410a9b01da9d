"""Published check values: small images given by integer formulas, and the values each convention must give.

The expected numbers in ``check_values.json`` come from sewar, scikit-image, scikit-learn, scipy and torch, not from
this package, so any implementation, in any language, can be tested with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tdfusion.errors import InputError

_FILE = Path(__file__).with_name("check_values.json")

Implementation = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class CheckCase:
    """One triple of images and what must come out.

    Attributes:
        name: of the case.
        why: what the case is for.
        I_f: fused image, uint8 (H, W).
        I_a: infrared image, uint8 (H, W).
        I_b: visible image, uint8 (H, W).
        expected: convention to metric to value; None where the metric is 0/0. A metric that needs a larger image is
            not in it.
    """

    name: str
    why: str
    I_f: np.ndarray
    I_a: np.ndarray
    I_b: np.ndarray
    expected: dict[str, dict[str, float | None]]


@cache
def check_cases() -> tuple[CheckCase, ...]:
    """The published cases, with their images made from the formulas in the file."""
    return tuple(_case(entry) for entry in json.loads(_FILE.read_text())["cases"])


def deviations(implementation: Implementation, convention: str = "paper") -> dict[str, float]:
    """The largest absolute deviation of an implementation from the published values, per metric.

    Args:
        implementation: takes (I_f, I_a, I_b), uint8 (H, W), and returns some or all of the metrics by name.
        convention: whose values are expected.

    Returns:
        Metric name to deviation; infinite where a value is given for 0/0, or NaN for a value. What is returned for an
        image that is too small for a metric is not looked at.

    Raises:
        InputError: no values of that convention.
    """
    worst: dict[str, float] = {}
    for case in check_cases():
        if convention not in case.expected:
            raise InputError(f'no check values of "{convention}"; there are {", ".join(case.expected)}')
        for metric, value in implementation(case.I_f, case.I_a, case.I_b).items():
            if metric not in case.expected[convention]:
                continue
            expected = case.expected[convention][metric]
            if expected is None or np.isnan(value):
                away = 0.0 if expected is None and np.isnan(value) else float("inf")
            else:
                away = abs(float(value) - expected)
            worst[metric] = max(worst.get(metric, 0.0), away)
    return worst


def _case(entry: dict) -> CheckCase:
    y, x = np.mgrid[: entry["height"], : entry["width"]]
    names = {"__builtins__": {}, "x": x, "y": y, "min": np.minimum, "max": np.maximum, "abs": np.abs}

    def pixels(formula: str, **images: np.ndarray) -> np.ndarray:
        values = eval(formula, names | images)  # our own file: integer arithmetic of x, y, a and b
        return np.broadcast_to(values, x.shape)

    a, b = pixels(entry["I_a"]), pixels(entry["I_b"])
    f = pixels(entry["I_f"], a=a, b=b)
    f, a, b = (image.astype(np.uint8) for image in (f, a, b))
    return CheckCase(entry["name"], entry["why"], f, a, b, entry.get("expected", {}))
