"""Shared fixtures: where the real pairs are, and quiet, repeatable torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from browser import Browser, chromium, find_browser

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pairs: TDFUSION_DATA, or shared/data beside the repository."""
    named = os.environ.get("TDFUSION_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "golden").is_dir():
        pytest.skip("no real pairs here: set TDFUSION_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a process."""
    if find_browser() is None:
        pytest.skip(
            "no Chromium here: install one (Debian: apt-get install chromium) or name it in TDFUSION_BROWSER"
        )
    with chromium() as running:
        yield running


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
