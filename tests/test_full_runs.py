"""The one command of the full-scale runs, at the size of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tdfusion.results import load, provenance_of, run

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "studies" / "full_runs.py"
SMALL = [
    "--preset", "smoke", "--downstream", "smoke", "--tasks", "segmentation", "--variants", "paper",
    "--set", "L=1", "--set", "M=1", "--set", "N=2", "--set", "scenes=8",
]  # fmt: skip


def call(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        SCRIPT,
        *SMALL,
        "--out",
        folder / "runs",
        "--results",
        folder / "results",
        *more,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(map(str, command), capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    """Three pieces: a training run that is cut off after a step, the rest of it, and its first judge."""
    folder = tmp_path_factory.mktemp("full")
    assert call(folder, "--pieces", "1", "--minutes", "0.00001").returncode == 75
    assert call(folder, "--dry-run").stdout.startswith("goes on  segmentation-paper-seed0")
    done = call(folder, "--pieces", "2")
    assert done.returncode == 75, done.stderr  # four judges are left
    return folder


def test_a_piece_leaves_runs_that_the_next_call_knows(pieces: Path) -> None:
    said = call(pieces, "--dry-run").stdout.splitlines()
    assert [line.split()[0] for line in said] == ["done", "done", "to", "to", "to", "to"]
    assert said[-1].endswith("downstream/segmentation-F-paper-seed0")


def test_what_the_book_shows_is_collected(pieces: Path) -> None:
    kept = pieces / "results" / "segmentation-paper-seed0"
    assert {p.name for p in kept.iterdir()} == {
        "config.json", "provenance.json", "metrics.csv", "F.safetensors", "G.safetensors", "epochs.json"
    }  # fmt: skip
    history = [
        json.loads(line) for line in (pieces / "runs" / kept.name / "history.jsonl").read_text().splitlines()
    ]
    meta, fusion = json.loads((kept / "epochs.json").read_text())
    assert (meta["phase"], meta["steps"], fusion["phase"], fusion["steps"]) == ("meta", 1, "fusion", 2)
    made = json.loads((kept / "provenance.json").read_text())
    assert len(made["pieces"]) == 2
    assert fusion["L_f"] == pytest.approx((history[1]["L_f"] + history[2]["L_f"]) / 2)
    judge = load("downstream", pieces / "results").query("metric == 'mIoU'")
    assert judge["arm"].tolist() == ["infrared"] and judge["value"].between(0, 1).all()
    (judged,) = provenance_of("downstream", pieces / "results")
    assert (judged["arm"], judged["task"]) == ("infrared", "segmentation")
    assert run(kept.name, pieces / "results").history == [meta, fusion]
