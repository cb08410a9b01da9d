"""What each part of the recipe does: Table 3's experiments, and the released code's departures one by one.

Every arm is a run of the library's own `Trainer`, at a small scale; what it fuses is judged by the task, by the six
metrics, and its w by what the scenes know. Plan: ``book/reproduce/recipes_plan.md``.

    snakemake -s studies/Snakefile -j 2 recipes      # all of it; the jobs are:
    python -m studies.recipes arm full --seed 10
    python -m studies.recipes collect                # results/recipes.csv

A job leaves ``runs/recipes/NAME, seed N.json``; what stands in the table is not run again.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import torch

from studies.judged import SHOWN, STEPS, command, image_scores, judged, map_scores, shown
from studies.recipes_arms import ARMS, SCALE, SEEDS, jobs
from studies.scene_parts import Scenes, fuse_all, load, region_means, weights_all
from tdfusion.config import TrainConfig, make_config
from tdfusion.data.synthroad.scenes import CLASSES
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.fusing import stretch
from tdfusion.runs.provenance import Provenance
from tdfusion.tasks.dense import class_weights
from tdfusion.tasks.segmentation import SegmentationTask
from tdfusion.train import Trainer

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "runs" / "recipes"
RESULT = ROOT / "results" / "recipes.csv"
TEST = 192


def config_of(name: str, seed: int) -> TrainConfig:
    """An arm's settings: the scale, then what it changes."""
    return make_config("paper", seed=seed, **SCALE | ARMS[name])


def run_arm(name: str, seed: int, train: Scenes, test: Scenes) -> dict:
    """Train by an arm's recipe, and say what came of w, the losses, the images and the task."""
    config, made = config_of(name, seed), Provenance.begin(seed=seed)
    weight = class_weights(torch.bincount(train.mask.flatten(), minlength=len(CLASSES)))
    torch.manual_seed(seed)
    T = SegmentationTask(len(CLASSES), weight, standardise=True, **SEGFORMERS["tiny"])
    trainer = Trainer(config, T=T)
    trainer.run()
    images = [fuse_all(trainer.F, scenes) for scenes in (train, test)]
    metrics = image_scores(images[1], test)
    saved = image_scores(stretch(images[1]), test)  # as the released test code saves them
    metrics |= {f"{metric}, stretched": value for metric, value in saved.items()}
    found: dict = {
        "arm": name,
        "seed": seed,
        "setting": {key: str(value) for key, value in ARMS[name].items()},
    }
    found |= {
        "judged": judged(*images, train, test, seed),
        "metrics": metrics,
        "training": last_epoch(trainer),
    }
    pictures = {"I_f": images[1]}
    if config.w == "learned":
        pictures["w_a"] = w = weights_all(trainer.G, test)
        found |= {"map": map_scores(w, test), "w_a": region_means(w, test.optimum)}
        found["training"] |= {"w_a mean": w.mean().item(), "w_a deviation": w.std((1, 2, 3)).mean().item()}
    if seed == SEEDS[0]:
        found["shown"] = shown(pictures)
    return found | {"provenance": made.finish()}


def last_epoch(trainer: Trainer) -> dict[str, float]:
    """Mean losses of the last epoch's steps of F."""
    phase = "meta" if trainer.config.fusion_phase == "outer" else "fusion"
    rows = [row for row in trainer.history if row["epoch"] == trainer.config.L and row["phase"] == phase]
    end = "_ftr" if phase == "meta" else ""
    return {loss: fmean(row[f"{loss}{end}"] for row in rows) for loss in ("L_f", "L_t")}


def run_job(name: str, seed: int) -> dict:
    scenes = load("train", SCRATCH, seed, SCALE["scenes"]), load("test", SCRATCH, seed, TEST)
    return run_arm(name, seed, *scenes)


if __name__ == "__main__":
    command(
        __doc__, RESULT, SCRATCH, jobs(), run_job,
        what="What each part of the recipe does to w, losses, images and task: Table 3 and the differences, small",
        settings={"scale": {key: str(value) for key, value in SCALE.items()}, "test": TEST, "shown": SHOWN,
                  "judge_steps": STEPS},
    )  # fmt: skip
