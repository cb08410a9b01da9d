"""Sec. 4.3: a fresh task network T retrained on the images of one method, and its scores.

The names below are imported when they are first used, so that a command that only prints help need not
wait for torch.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "DownstreamConfig": "config",
    "Scores": "scores",
    "detection_scores": "scores",
    "make_downstream_config": "config",
    "open_source": "sources",
    "read_scores": "scores",
    "retrain": "run",
    "segmentation_scores": "scores",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
