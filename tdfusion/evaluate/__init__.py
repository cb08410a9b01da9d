"""Any method's fused images scored against their sources, with the baselines and the paper's rows beside them."""

from __future__ import annotations

from tdfusion.evaluate.compare import compare
from tdfusion.evaluate.folders import BASELINES, baselines, evaluate_folder, fuse_baseline
from tdfusion.evaluate.scores import Evaluation, Row, Summary

__all__ = [
    "BASELINES",
    "Evaluation",
    "Row",
    "Summary",
    "baselines",
    "compare",
    "evaluate_folder",
    "fuse_baseline",
]
