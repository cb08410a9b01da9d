"""How far one method's scores are from another's on the same images, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tdfusion.data.splits import blocks_of
from tdfusion.errors import InputError
from tdfusion.intervals import check_level, student

if TYPE_CHECKING:
    from tdfusion.evaluate.scores import Evaluation


@dataclass(frozen=True)
class Difference:
    """A metric of one method minus that of another, over the images where both are defined.

    Attributes:
        method: whose score.
        against: whose score is subtracted.
        group: which images; empty for all.
        metric: its name.
        pairs: how many images.
        mean: of the differences per image; NaN without an image.
        low: lower end of the interval for the mean; NaN for fewer than two images.
        high: upper end of the interval.
    """

    method: str
    against: str
    group: str
    metric: str
    pairs: int
    mean: float
    low: float
    high: float


def differences(
    evaluation: Evaluation, against: str | None = None, level: float = 0.95, block: int = 1
) -> list[Difference]:
    """Every evaluated method against one of them or a baseline, per group and metric, image by image.

    The interval is that of Student's t for paired samples: ``d +- t s / sqrt(n)`` with mean d and standard
    deviation s of the n differences and t the (1 + level) / 2 quantile for n - 1 degrees of freedom. Images
    are taken as a random draw of the data they stand for. Frames of a sequence are not: neighbours look alike, and
    their interval is too narrow unless ``block`` takes so many of them for one draw.

    Args:
        evaluation: of one or more methods.
        against: name of a method or of a baseline; None takes the first evaluated method.
        level: of the interval.
        block: frames that count as one draw, in the order of the numbers in their names
            (`tdfusion.data.splits.blocks_of`).

    Returns:
        One per group, method other than ``against`` and metric; empty where there is no other method.

    Raises:
        InputError: no scores of ``against``; a level that is not between 0 and 1; fewer images than a block.
    """
    check_level(level)
    if against is not None and against not in evaluation.methods:
        raise InputError(f'no scores of "{against}"; choose {", ".join(evaluation.methods)}')
    if not evaluation.evaluated:
        return []
    against = against or evaluation.evaluated[0]
    values = {(row.method, row.image): row.values for row in evaluation.rows}
    groups = {row.image: row.group for row in evaluation.rows}
    blocks = (
        {name: k for k, names in enumerate(blocks_of(tuple(groups), block)) for name in names}
        if block > 1
        else {}
    )
    found = []
    for group in ("", *evaluation.groups):
        images = [image for image, label in groups.items() if not group or label == group]
        for method in evaluation.evaluated:
            if method == against:
                continue
            both = [image for image in images if (method, image) in values and (against, image) in values]
            for metric in evaluation.metrics:
                each = {
                    image: values[method, image][metric] - values[against, image][metric] for image in both
                }
                defined = {image: apart for image, apart in each.items() if not math.isnan(apart)}
                i = student([*defined.values()], level, [blocks.get(image, image) for image in defined])
                found.append(Difference(method, against, group, metric, i.n, i.mean, i.low, i.high))
    return found
