"""Pairs and batches, the published data sets behind `open_dataset`, and the synthetic scenes.

The names below are imported when they are first used, so that a command that only prints help need not
wait for torch.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Batch": "pair",
    "Pair": "pair",
    "PairDataset": "readers",
    "SynthRoad": "synthroad.scenes",
    "collate": "pair",
    "open_dataset": "readers",
    "block_folds": "splits",
    "named_folds": "splits",
    "register": "layouts",
    "Layout": "layouts",
    "paper_split": "splits",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
