"""What studies make of their runs; and of those that add to their results, what was there stays."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import nn

from studies import downstream_synthroad, real_pairs
from studies.collect import collect
from studies.matrix import Matrix, judging_runs, read_matrices
from tdfusion import results
from tdfusion.downstream.config import make_downstream_config
from tdfusion.downstream.prepare import open_split
from tdfusion.downstream.scores import ClassScores, Scores
from tdfusion.evaluate import Evaluation
from tdfusion.intervals import student


def test_a_judged_run_becomes_rows_and_a_picture(tmp_path, monkeypatch) -> None:
    (run,) = judging_runs(read_matrices({"x": {"judge": {"preset": "small", "sources": ["max"]}}})["x"])
    run = replace(run, folder=str(tmp_path))
    nan = float("nan")
    road, car = {"Acc": 0.5, "IoU": 0.5}, {"Acc": nan, "IoU": nan}
    classes = (ClassScores("road", 9, road), ClassScores("car", 0, car))
    confusion = ((8, 1), (0, 0))
    Scores("segmentation", "SynthRoad", "max", 0, 3, {"mIoU": 0.25}, classes, confusion).to_json(run.last)
    for name, about in (("config", run.config), ("provenance", {"commit": "abc", "seed": 0})):
        (tmp_path / f"{name}.json").write_text(json.dumps(about))
    monkeypatch.setattr(Matrix, "runs", {run.folder: run})
    matrix = read_matrices({"x": {"table": str(tmp_path / "table"), "judge": {"sources": ["max"]}}})["x"]
    collect(matrix, "a command")
    table = results.load("table", tmp_path).set_index(["group", "metric"])["value"]
    assert table["", "mIoU"] == 0.25 and table["", "images"] == 3
    assert table["car", "count"] == 0 and pd.isna(table["car", "IoU"])
    assert table["road taken for car", "pixels"] == 1
    setting = results.about("table", tmp_path)["settings"]["segmentation"]
    assert "source" not in setting and setting["epochs"] == run.config["epochs"]
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4) % 10
    (tmp_path / "predictions").mkdir()
    scenes = open_split(make_downstream_config("small"), "test")
    for i in downstream_synthroad.PICTURED:
        Image.fromarray(ids).save(tmp_path / "predictions" / f"{scenes[i].name}.png")
    assert next(iter(downstream_synthroad.drawn(run).values())) == ["0123", "4567", "8901"]


def test_the_data_sets_that_are_not_scored_again_keep_their_numbers(tmp_path) -> None:
    out = tmp_path / "real_pairs.csv"
    assert real_pairs.stored(out) == ({}, {})
    rows = [{"data": name, "values": {"EN": value}} for name, value in (("TNO", 1.5), ("MSRS", 2.5))]
    made = [{"data": name, "commit": name.lower()} for name in ("TNO", "MSRS")]
    results.save(out.stem, rows, what="", command="", provenance=made, folder=tmp_path)
    tables, provenance = real_pairs.stored(out)
    assert list(tables) == ["TNO", "MSRS"] and tables["TNO"]["value"].tolist() == [1.5]
    assert provenance["MSRS"]["commit"] == "msrs"


def test_the_whole_test_set_has_stretched_baselines_and_intervals_over_blocks(tmp_path) -> None:
    draw = np.random.default_rng(0)
    for role in ("ir", "vi"):
        (tmp_path / role).mkdir()
        for name in ("001D", "002D", "003D", "004D"):
            Image.fromarray(draw.integers(40, 90, (44, 48), dtype=np.uint8)).save(
                tmp_path / role / f"{name}.png"
            )
    source = real_pairs.Source("MSRS", "ir", "vi", "", groups="(D|N)$", block=2, stretched=True)
    F = nn.Module()
    F.forward = lambda ir, vi: (ir + 3 * vi) / 4
    real_pairs.fuse_source(F, source, tmp_path, tmp_path / "work")
    table = results.tidy("x", real_pairs.score_source(source, tmp_path, tmp_path / "work"))
    found = results.wide(table.query("group == '' and task == 'paper'"), "arm")
    assert {"mean", "mean, stretched", "ReFusion weights, stretched"} <= set(found.index)
    assert np.asarray(Image.open(tmp_path / "work" / "mean" / "001D.png")).max() == 255
    assert found.loc["mean, stretched", "SF"] > 2 * found.loc["mean", "SF"]
    ours = found.loc["ReFusion weights, unstretched"]
    assert ours["SF less mean"] == pytest.approx(ours["SF"] - found.loc["mean", "SF"], abs=2e-6)
    each = {
        (row.method, row.image): row.values["SF"]
        for row in Evaluation.read(tmp_path / "work" / "paper.csv").rows
    }
    name = "ReFusion weights, unstretched"
    apart = [each[name, f"00{i}D"] - each["mean", f"00{i}D"] for i in (1, 2, 3, 4)]
    wanted = student([np.mean(apart[:2]), np.mean(apart[2:])])
    assert ours["SF less mean low"] == pytest.approx(wanted.low, abs=2e-6)


def test_a_summary_becomes_means_deviations_and_what_is_left_out() -> None:
    nan = float("nan")
    mean, sd = {"EN": 1.23456789, "SCD": nan}, {"EN": 0.5, "SCD": nan}
    summary = SimpleNamespace(images=4, mean=mean, sd=sd, left_out={"EN": 0, "SCD": 4})
    assert real_pairs.values(summary) == {
        "images": 4, "EN": pytest.approx(1.234568, abs=0), "EN sd": 0.5, "EN left out": 0,
        "SCD": None, "SCD sd": None, "SCD left out": 4,
    }  # fmt: skip
