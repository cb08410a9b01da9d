"""Task-driven image fusion with a learnable fusion loss: the library behind the book.

The names below are imported when they are first used, so that ``import tdfusion`` costs nothing: no torch, no
numpy. Everything else is imported from its module (``from tdfusion.data.images import read_gray``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tdfusion.config import TrainConfig, make_config
    from tdfusion.data import SynthRoad, open_dataset
    from tdfusion.errors import InputError
    from tdfusion.evaluate import evaluate_folder
    from tdfusion.fuse import fuse_files, match_pairs
    from tdfusion.losses import fusion_loss
    from tdfusion.meta import meta_gradient
    from tdfusion.metrics import all_metrics, measure
    from tdfusion.models import FusionNet, LossNet
    from tdfusion.train import Trainer

__version__ = "0.1.0"

_HOME = {
    "FusionNet": "models",
    "InputError": "errors",
    "LossNet": "models",
    "SynthRoad": "data",
    "TrainConfig": "config",
    "Trainer": "train",
    "all_metrics": "metrics",
    "evaluate_folder": "evaluate",
    "fuse_files": "fuse",
    "fusion_loss": "losses",
    "make_config": "config",
    "match_pairs": "fuse",
    "measure": "metrics",
    "meta_gradient": "meta",
    "open_dataset": "data",
}

__all__ = [
    "FusionNet",
    "InputError",
    "LossNet",
    "SynthRoad",
    "TrainConfig",
    "Trainer",
    "__version__",
    "all_metrics",
    "evaluate_folder",
    "fuse_files",
    "fusion_loss",
    "make_config",
    "match_pairs",
    "measure",
    "meta_gradient",
    "open_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
