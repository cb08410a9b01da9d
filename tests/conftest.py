"""Shared fixtures: where the real pairs are, and quiet, repeatable torch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pairs: TDFUSION_DATA, or shared/data beside the repository."""
    named = os.environ.get("TDFUSION_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "golden").is_dir():
        pytest.skip("no real pairs here: set TDFUSION_DATA to the folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
