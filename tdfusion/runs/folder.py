"""The folder that a training run leaves, and what a stopped run goes on from.

- ``config.json``: every setting, written before the first step
- ``history.jsonl``: a row per step, as they come
- ``checkpoint.pt``: the whole state after some step, replaced now and then
- ``snapshots/``: F and G after every so many epochs, where asked for
- ``stopped.pt``: the state in which a loss was not finite, and what was said
- ``F.safetensors``, ``G.safetensors``: the trained networks, at the end
- ``provenance.json``: commit, versions, hardware and seed as the run began, and its duration
- ``metrics.csv``: six metrics on test pairs, a row per image, by the command or the notebook that trained
"""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

from tdfusion.config import TrainConfig, make_config
from tdfusion.errors import InputError
from tdfusion.files import write_text
from tdfusion.runs.checkpoint import read_checkpoint, write_checkpoint
from tdfusion.weights import write_safetensors

# in a resumed run, without changing a number before
MAY_CHANGE = ("L", "device", "workers", "root", "snapshots")


def check_free(path: Path) -> None:
    """Whether a new run may have this folder.

    Raises:
        InputError: it exists and is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        hint = " (resume goes on with it)" if (path / "config.json").is_file() else ""
        raise InputError(f"{path}: not empty{hint}; a run never overwrites another, name a new folder")


class RunFolder:
    """Files of one run.

    Args:
        path: the folder; made by `start`.
        every: seconds between checkpoints within an epoch (one is written after every epoch anyway).
    """

    def __init__(self, path: str | Path, every: float = 300.0) -> None:
        self.path, self.every = Path(path), every
        self._last = time.monotonic()

    def start(self, config: TrainConfig) -> None:
        """Claim the folder for a new run.

        Raises:
            InputError: it exists and is not empty.
        """
        check_free(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_config(config)

    def resume(self, config: TrainConfig) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The state of the last checkpoint, and the history up to it; later rows are cut off.

        Raises:
            InputError: no run, another run's settings, or damaged files.
        """
        stored = stored_config(self.path)
        ours, theirs = config.to_dict(), stored.to_dict()
        other = [name for name in ours if ours[name] != theirs[name] and name not in MAY_CHANGE]
        if other:
            listed = "; ".join(f"{name} was {theirs[name]!r}, now {ours[name]!r}" for name in other)
            raise InputError(f"{self.path}: a resumed run keeps its settings ({listed})")
        state = read_checkpoint(self.path / "checkpoint.pt")
        if state["epoch"] > config.L:
            raise InputError(
                f"{self.path}: is in epoch {state['epoch']} already, L = {config.L} lies behind it"
            )
        history = self.path / "history.jsonl"
        lines = history.read_text().splitlines()[: state["rows"]] if history.is_file() else []
        try:
            rows = [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise InputError(f"{history}: damaged ({error})") from error
        if len(rows) < state["rows"]:
            raise InputError(f"{history}: {len(rows)} rows, but the checkpoint stands after {state['rows']}")
        write_text(history, "".join(f"{line}\n" for line in lines))
        self._write_config(config)
        return state, rows

    def append(self, row: dict[str, Any]) -> None:
        """One more step in the history."""
        with (self.path / "history.jsonl").open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is too long ago."""
        return time.monotonic() - self._last > self.every

    def checkpoint(self, state: dict[str, Any]) -> None:
        write_checkpoint(self.path / "checkpoint.pt", state)
        self._last = time.monotonic()

    def snapshot(self, epoch: int, networks: dict[str, nn.Module]) -> None:
        for name, net in networks.items():
            write_safetensors(self.path / "snapshots" / f"{name}_epoch{epoch:02d}.safetensors", net)

    def stopped(self, state: dict[str, Any], why: str) -> Path:
        """Keep the state in which training could not go on, beside the last good checkpoint."""
        write_checkpoint(self.path / "stopped.pt", state | {"why": why})
        return self.path / "stopped.pt"

    def finish(self, config: TrainConfig, where: dict[str, Any], networks: dict[str, nn.Module]) -> None:
        about = {"commit": where["commit"], "config": json.dumps(config.to_dict())}
        for name, net in networks.items():
            write_safetensors(self.path / f"{name}.safetensors", net, about)
        write_text(self.path / "provenance.json", json.dumps(where, indent=2) + "\n")

    def _write_config(self, config: TrainConfig) -> None:
        write_text(self.path / "config.json", json.dumps(config.to_dict(), indent=2) + "\n")


def stored_config(path: str | Path, **changes: Any) -> TrainConfig:
    """The settings of the run in a folder, with changes on top.

    Raises:
        InputError: no run is there, its config.json is damaged, or a change is none.
    """
    file = Path(path) / "config.json"
    if not file.is_file():
        raise InputError(f"{path}: no run to resume (no config.json there)")
    try:
        settings = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{file}: damaged ({error})") from error
    return make_config(**settings | {name: value for name, value in changes.items() if value is not None})


class Interruption:
    """Ctrl-C or a termination signal waits for the end of a step; a second one does not.

    A context manager. ``asked`` says whether to stop. Outside the main thread signals are left alone.

    Args:
        waits: False leaves signals alone too.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, waits: bool = True) -> None:
        self.asked, self.waits = False, waits
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if self.waits and threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
