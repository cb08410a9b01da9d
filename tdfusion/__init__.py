"""Task-driven image fusion with a learnable fusion loss: the library behind the book.

The names below are imported when they are first used, so that ``import tdfusion`` costs nothing: no torch, no
numpy. Everything else is imported from its module (``from tdfusion.data.images import read_gray``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tdfusion.algorithm import State, fusion_step, meta_step
    from tdfusion.config import TrainConfig, make_config
    from tdfusion.data import SynthRoad, open_dataset
    from tdfusion.errors import InputError
    from tdfusion.evaluate import evaluate_folder
    from tdfusion.fusing import fuse, fuse_files, match_pairs
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
    "State": "algorithm",
    "SynthRoad": "data",
    "TrainConfig": "config",
    "Trainer": "train",
    "all_metrics": "metrics",
    "evaluate_folder": "evaluate",
    "fuse": "fusing",
    "fuse_files": "fusing",
    "fusion_loss": "losses",
    "fusion_step": "algorithm",
    "make_config": "config",
    "match_pairs": "fusing",
    "measure": "metrics",
    "meta_gradient": "meta",
    "meta_step": "algorithm",
    "open_dataset": "data",
}

__all__ = [
    "FusionNet",
    "InputError",
    "LossNet",
    "State",
    "SynthRoad",
    "TrainConfig",
    "Trainer",
    "__version__",
    "all_metrics",
    "evaluate_folder",
    "fuse",
    "fuse_files",
    "fusion_loss",
    "fusion_step",
    "make_config",
    "match_pairs",
    "measure",
    "meta_gradient",
    "meta_step",
    "open_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
