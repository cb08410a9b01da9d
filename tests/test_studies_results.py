"""Studies that add to their results: what was there stays, what is new comes after it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from studies import downstream_synthroad, real_pairs
from studies.downstream_synthroad import Stored
from tdfusion import results
from tdfusion.downstream.config import make_downstream_config
from tdfusion.downstream.scores import ClassScores, Scores


def scores(seed: int) -> Scores:
    classes = (ClassScores("road", 9, {"IoU": 0.5}), ClassScores("car", 0, {"IoU": float("nan")}))
    confusion = ((8, 1), (0, 0))
    return Scores("segmentation", "SynthRoad", "max", seed, 3, {"mIoU": 0.25}, classes, confusion)


def test_runs_are_added_one_by_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(downstream_synthroad, "drawn", lambda task, run: {"test-00010-day": ["01"]})
    out = tmp_path / "downstream_synthroad.csv"
    (tmp_path / "provenance.json").write_text(json.dumps({"commit": "abc", "seed": 0}))
    for seed in (0, 1):
        (tmp_path / "provenance.json").write_text(json.dumps({"commit": "abc", "seed": seed}))
        config = make_downstream_config("small", source="max", seed=seed)
        Stored(out).add(config, scores(seed), "max", tmp_path)  # each time read anew
    assert Stored(out).done == {("segmentation", "max", 0), ("segmentation", "max", 1)}
    table = results.load(out.stem, tmp_path).set_index(["seed", "group", "metric"])["value"]
    assert table[1, "", "mIoU"] == 0.25 and table[0, "", "images"] == 3
    assert table[1, "car", "count"] == 0 and pd.isna(table[1, "car", "IoU"])
    assert table[0, "road taken for car", "pixels"] == 1
    setting = results.about(out.stem, tmp_path)["settings"]["segmentation"]
    assert "source" not in setting and setting["epochs"] == config.epochs
    assert results.pictures(out.stem, tmp_path) == {"segmentation": {"max": {"test-00010-day": ["01"]}}}


def test_the_data_sets_that_are_not_scored_again_keep_their_numbers(tmp_path) -> None:
    out = tmp_path / "real_pairs.csv"
    assert real_pairs.stored(out) == ({}, {})
    rows = [{"data": name, "values": {"EN": value}} for name, value in (("TNO", 1.5), ("MSRS", 2.5))]
    made = [{"data": name, "commit": name.lower()} for name in ("TNO", "MSRS")]
    results.save(out.stem, rows, what="", command="", provenance=made, folder=tmp_path)
    tables, provenance = real_pairs.stored(out)
    assert list(tables) == ["TNO", "MSRS"] and tables["TNO"]["value"].tolist() == [1.5]
    assert provenance["MSRS"]["commit"] == "msrs"


def test_a_summary_becomes_means_deviations_and_what_is_left_out() -> None:
    nan = float("nan")
    mean, sd = {"EN": 1.23456789, "SCD": nan}, {"EN": 0.5, "SCD": nan}
    summary = SimpleNamespace(images=4, mean=mean, sd=sd, left_out={"EN": 0, "SCD": 4})
    assert real_pairs.values(summary) == {
        "images": 4, "EN": pytest.approx(1.234568, abs=0), "EN sd": 0.5, "EN left out": 0,
        "SCD": None, "SCD sd": None, "SCD left out": 4,
    }  # fmt: skip
