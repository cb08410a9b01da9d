"""Explorers: pictures of a pair, its fusion and its learned loss that answer to the reader.

Each is a widget in a notebook with a kernel, and the same picture, with the same controls, on a page that has
neither kernel nor network: its state and its script travel in the output. ``.static()`` draws it with matplotlib.
Needs anywidget and matplotlib: ``pip install "tdfusion[explorers]"``.
"""

from __future__ import annotations

from tdfusion.extras import extra

with extra("explorers", "the explorers"):
    from tdfusion.explorers.landscape import LossLandscape
    from tdfusion.explorers.lens import FusionLens
    from tdfusion.explorers.local_loss import local_losses
    from tdfusion.explorers.lookahead import LookAhead
    from tdfusion.explorers.playground import DEGRADATIONS, MetricPlayground, degrade
    from tdfusion.explorers.runs import SavedRun, read_run
    from tdfusion.explorers.weights import WeightsExplorer, Written
    from tdfusion.explorers.widget import Explorer

__all__ = [
    "DEGRADATIONS",
    "Explorer",
    "FusionLens",
    "LookAhead",
    "LossLandscape",
    "MetricPlayground",
    "SavedRun",
    "WeightsExplorer",
    "Written",
    "degrade",
    "local_losses",
    "read_run",
]
