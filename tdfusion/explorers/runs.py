"""Run folders as the explorers read them: which task and loss, and F and G after which epochs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tdfusion.config import TrainConfig
from tdfusion.errors import InputError
from tdfusion.models import FusionNet, LossNet
from tdfusion.runs.folder import stored_config


@dataclass(frozen=True)
class SavedRun:
    """A training run that is stored.

    Attributes:
        path: the run folder.
        task: "segmentation" or "detection".
        variant: "paper" or "released", of Eq. (2) and (3); both where they differ.
        checkpoints: epoch -> files of F and G.
    """

    path: Path
    task: str
    variant: str
    checkpoints: dict[int, tuple[Path, Path]]

    def networks(self) -> Iterator[tuple[int, FusionNet, LossNet]]:
        """Epoch, F and G, in the order of the epochs."""
        for epoch, (F, G) in sorted(self.checkpoints.items()):
            yield epoch, FusionNet.from_file(F), LossNet.from_file(G)


def read_run(folder: str | Path) -> SavedRun:
    """A run folder: the last networks, and those of every snapshot.

    Raises:
        InputError: it is no run folder, G was not trained, or it holds no F and G yet; names the folder.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no run folder (no config.json there)")
    config = stored_config(folder)
    if config.w != "learned":
        raise InputError(f"{folder}: this run had w = 1/2 everywhere, so there is no G to look into")
    checkpoints = {}
    for F in sorted((folder / "snapshots").glob("F_epoch*.safetensors")):
        epoch = int(re.findall(r"\d+", F.stem)[-1])
        checkpoints[epoch] = (F, F.with_name(F.name.replace("F_", "G_", 1)))
    last = (folder / "F.safetensors", folder / "G.safetensors")
    if all(file.is_file() for file in last):
        checkpoints[config.L] = last
    if not checkpoints:
        raise InputError(f"{folder}: no F.safetensors and G.safetensors; the run has not ended yet")
    return SavedRun(folder, config.task, _variant(config), checkpoints)


def _variant(config: TrainConfig) -> str:
    if config.intensity == config.gradient:
        return config.intensity
    return f"intensity {config.intensity}, gradient {config.gradient}"
