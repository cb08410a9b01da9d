"""Checkpoints: the whole state of a run in one file, whole or not at all, read back safely."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from tdfusion.errors import InputError
from tdfusion.files import whole_file


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values; a crash at any moment leaves the old file or the new one."""
    with whole_file(path, durable=True) as part:
        torch.save(state, part)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; a file from elsewhere can carry numbers but no code.

    Raises:
        InputError: missing, cut short, or damaged (every entry's checksum is compared).
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            return torch.load(path, map_location="cpu", weights_only=True)
    except (BadZipFile, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as a checkpoint ({reason})") from error
    raise InputError(f"{path}: damaged, the checksum of {damaged} is wrong; train again in a new folder")


def random_state() -> dict[str, Any]:
    """The state of PyTorch's random numbers, on the CPU and every GPU."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` gave; GPUs that are not here are passed over."""
    torch.set_rng_state(state["cpu"])
    for device, numbers in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(numbers, device)
