"""Pairs and batches, the published data sets behind `open_dataset`, and the synthetic scenes."""

from tdfusion.data.pair import Batch, Pair, collate
from tdfusion.data.readers import PairDataset, open_dataset
from tdfusion.data.samplers import disjoint_subsets
from tdfusion.data.splits import paper_split

__all__ = [
    "Batch",
    "Pair",
    "PairDataset",
    "collate",
    "disjoint_subsets",
    "open_dataset",
    "paper_split",
]
