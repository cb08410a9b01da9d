"""Any method's fused images scored against their sources, with the baselines and the paper's rows beside them."""

from __future__ import annotations

from tdfusion.evaluate.compare import compare
from tdfusion.evaluate.folders import baselines, evaluate_folder, evaluate_folders, fuse_baseline
from tdfusion.evaluate.paired import Difference, differences
from tdfusion.evaluate.scores import BASELINES, Evaluation, Row, Summary

__all__ = [
    "BASELINES",
    "Difference",
    "Evaluation",
    "Row",
    "Summary",
    "baselines",
    "compare",
    "differences",
    "evaluate_folder",
    "evaluate_folders",
    "fuse_baseline",
]
