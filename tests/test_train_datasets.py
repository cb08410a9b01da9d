"""Training from every data set's layout, through the notebook and its parameter files, and on real pairs."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from replicas import write_replica

from tdfusion.config import make_config
from tdfusion.data.layouts import labelled
from tdfusion.train import Trainer

PARAMS = sorted((ROOT / "notebooks" / "params").glob("*.yaml"))
TINY = {"L": 1, "M": 1, "N": 1, "crop": 32}


@pytest.mark.parametrize("file", PARAMS, ids=lambda p: p.stem)
def test_every_parameter_file_is_a_valid_run(file: Path) -> None:
    given = yaml.safe_load(file.read_text())
    config = make_config(
        given.pop("preset"), given.pop("variant"), **{k: v for k, v in given.items() if k != "scored"}
    )
    assert config.dataset in labelled() and config.L == 50
    assert file.read_text().startswith("# papermill notebooks/train.ipynb")


def test_every_data_set_has_a_parameter_file() -> None:
    assert {yaml.safe_load(file.read_text())["dataset"] for file in PARAMS} == set(labelled())


SETS = {
    "MSRS": ("segmentation", "detection"),
    "FMB": ("segmentation",),
    "M3FD": ("detection",),
    "LLVIP": ("detection",),
}


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, tasks in SETS.items() for task in tasks])
def test_a_run_on_the_published_layout(tmp_path: Path, name: str, task: str) -> None:
    replica = write_replica(tmp_path, name, pairs=4, size=(48, 64))
    config = make_config("smoke", dataset=name, task=task, root=str(replica.root), partial=True, **TINY)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the replicas of M3FD and LLVIP are a part of their lists, and say so
        trainer = Trainer(config)
    trainer.run(tmp_path / "run", progress=False)
    assert [row["phase"] for row in trainer.history] == ["meta", "fusion"]
    assert trainer.history[0]["G_gradient"] > 0
    assert len(trainer.batches.test_pairs()) == 4


def test_real_msrs_pairs_with_the_published_boxes_train(real_data: Path, tmp_path: Path) -> None:
    config = make_config(
        "smoke", dataset="MSRS", task="detection", root=str(real_data), **TINY | {"crop": 256}
    )
    trainer = Trainer(config)
    trainer.run(tmp_path / "run", progress=False)
    assert len(trainer.pairs) == 4 and trainer.history[0]["G_gradient"] > 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["dataset"] == "MSRS"


def papermill(tmp_path: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "-k", "python3"]
    command += [str(ROOT / "notebooks" / "train.ipynb"), str(tmp_path / "executed.ipynb"), *parameters]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)


def test_the_notebook_trains_scores_and_resumes(tmp_path: Path) -> None:
    small = "settings: {L: 1, M: 2, N: 2, scenes: 8, scene_size: [48, 48], crop: 32}"
    out = ("-p", "out", str(tmp_path / "run"), "-p", "scored", "2")
    run = papermill(tmp_path, "-y", small, *out)
    assert run.returncode == 0, run.stderr[-2000:]
    made = {p.name for p in (tmp_path / "run").iterdir()}
    assert made >= {
        "config.json",
        "history.jsonl",
        "provenance.json",
        "F.safetensors",
        "G.safetensors",
        "metrics.csv",
    }
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3
    run = papermill(tmp_path, "-y", small.replace("L: 1", "L: 2"), *out, "-p", "resume", "True")
    assert run.returncode == 0, run.stderr[-2000:]
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 8


def test_the_notebook_refuses_a_setting_that_is_none(tmp_path: Path) -> None:
    run = papermill(tmp_path, "-y", "settings: {alhpa: 1.0}")
    assert run.returncode != 0 and 'did you mean "alpha"' in run.stderr
