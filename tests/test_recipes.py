"""The study of recipes trains what its arms say, and keeps what came of it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from studies import judged, recipes
from studies.recipes_arms import ARMS, DIFFERENCES, EXPERIMENTS, PAPER, RELEASED, SCALE, jobs
from studies.scene_parts import load
from tdfusion import results
from tdfusion.config import VARIANTS


@pytest.mark.parametrize("name", ["full", "IV-L_t", "V", "w = oracle", RELEASED])
def test_a_recipe_is_trained_and_judged(tmp_path, monkeypatch, name: str) -> None:
    short = {"scenes": 20, "scene_size": (64, 64), "crop": 48, "L": 1, "M": 1, "N": 1, "batch": 4}
    monkeypatch.setattr(recipes, "SCALE", SCALE | short | {"width": 8, "blocks": 1})
    monkeypatch.setattr(judged, "STEPS", 2)
    train, test = load("train", tmp_path, 10, 20), load("test", tmp_path, 10, 13)
    found = recipes.run_arm(name, 10, train, test)
    assert {"SF", "SF, stretched"} <= set(found["metrics"])
    assert found["metrics"]["SF, stretched"] > found["metrics"]["SF"]
    assert ("map" in found) == (name != "w = oracle") and found["training"]["L_t"] > 0
    (tmp_path / f"{name}, seed 10.json").write_text(json.dumps(found))
    judged.collect(tmp_path / "recipes.csv", tmp_path, jobs(), what="", settings={})
    table = results.load("recipes", tmp_path).set_index(["group", "metric"])["value"]
    assert table["", "L_f"] == found["training"]["L_f"] and table["", "mIoU"] == found["judged"][""][0]


def test_every_difference_is_one_setting_alone_and_together_they_are_the_released_variant() -> None:
    base = dataclasses.asdict(recipes.config_of(PAPER, 0))
    for name, settings in DIFFERENCES.items():
        now = dataclasses.asdict(recipes.config_of(name, 0))
        assert {key for key in now if now[key] != base[key]} == set(settings), name
    released = VARIANTS["released"]
    together = dataclasses.asdict(recipes.config_of(RELEASED, 0))
    for key in ("swap", "partition", "intensity", "gradient", "G_update", "T_prime_update"):
        assert together[key] == released[key]
    assert together["decay_every"] and together["task_size"] and together["batch"] == base["batch"] // 2


def test_all_arms_are_run_on_three_seeds_and_the_experiments_on_five() -> None:
    order = jobs()
    assert len(order) == len(set(order)) == 3 * len(ARMS) + 2 * len(EXPERIMENTS)
    assert {seed for name, seed in order if name == "III"} == set(range(10, 15))
    assert {seed for name, seed in order if name == RELEASED} == {10, 11, 12}
