"""What lies beside the tables because it is no number: histories, maps, pictures, run folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tdfusion.errors import InputError
from tdfusion.extras import extra
from tdfusion.results.table import FOLDER

with extra("book", "tables of results"):
    import pandas as pd


@dataclass(frozen=True)
class StoredRun:
    """A run folder that the book keeps.

    Attributes:
        folder: where the networks are, as ``F.safetensors`` and ``G.safetensors``.
        config: the settings, as in `tdfusion.config.TrainConfig`.
        provenance: commit, versions, hardware, seconds.
        history: a row per step, or per epoch and phase where only their means were kept.
    """

    folder: Path
    config: dict[str, Any]
    provenance: dict[str, Any]
    history: list[dict[str, Any]]


def run(name: str, folder: Path = FOLDER) -> StoredRun:
    """A kept run, such as "tour" or "reduced/detection-paper-seed0".

    Raises:
        InputError: no such run.
    """
    path = folder / name
    if not (path / "provenance.json").is_file():
        there = ", ".join(runs(folder=folder)) or "none"
        raise InputError(f"{path}: no run is kept there; there are: {there}")
    config, provenance = (
        json.loads((path / f"{file}.json").read_text()) for file in ("config", "provenance")
    )
    steps = path / "history.jsonl"
    if steps.is_file():
        history = [json.loads(line) for line in steps.read_text().splitlines()]
    else:
        history = json.loads((path / "epochs.json").read_text())
    return StoredRun(path, config, provenance, history)


def runs(under: str = ".", folder: Path = FOLDER) -> list[str]:
    """The names of the runs kept directly below a folder of results."""
    found = sorted(path.parent for path in (folder / under).glob("*/provenance.json"))
    return [str(path.relative_to(folder)) for path in found]


def history(name: str, folder: Path = FOLDER) -> pd.DataFrame:
    """A study's row per epoch of every arm and seed (``name_history.csv``)."""
    return pd.read_csv(_existing(folder / f"{name}_history.csv"))


def maps(name: str, folder: Path = FOLDER) -> dict[str, np.ndarray]:
    """A study's images by name (``name_maps.npz``)."""
    with np.load(_existing(folder / f"{name}_maps.npz")) as stored:
        return dict(stored)


def pictures(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What a study's task networks said of the pictured scenes (``name_pictures.json``): task -> arm -> scene."""
    return json.loads(_existing(folder / f"{name}_pictures.json").read_text())


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: no such result")
    return path
