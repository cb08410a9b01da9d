"""Scores of a fusion network on pairs in memory, without files of fused images. Imports torch: not at parse time."""

from __future__ import annotations

from torch import nn
from tqdm.auto import tqdm

from tdfusion.data.images import to_uint8
from tdfusion.data.readers import PairDataset
from tdfusion.evaluate.scores import Evaluation, Row
from tdfusion.fusing import fuse
from tdfusion.metrics import Convention, measure, resolve


def evaluate_network(
    F: nn.Module,
    pairs: PairDataset,
    *,
    method: str = "F",
    limit: int | None = None,
    convention: str | Convention = "paper",
    progress: bool = True,
) -> Evaluation:
    """The six metrics of F's images, a row per pair.

    Images are stretched and rounded to 8 bits before they are scored, as `tdfusion.fusing.fuse_files` writes
    them.

    Args:
        F: fusion network.
        pairs: what it fuses, whole.
        method: its name in the table.
        limit: at most this many pairs, the first ones; None: all.
        convention: of the metrics.
    """
    convention = resolve(convention)
    rows = []
    for i in tqdm(
        range(min(limit or len(pairs), len(pairs))), desc="score", unit="pair", disable=not progress
    ):
        pair = pairs[i]
        fused, I_a, I_b = (to_uint8(image) for image in (fuse(F, pair.ir, pair.vi), pair.ir, pair.vi))
        scores = measure(fused, I_a, I_b, convention, name=pair.name)
        rows.append(Row(method, pair.name, "", scores.values, scores.undefined))
    return Evaluation(tuple(rows), convention)
