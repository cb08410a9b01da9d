"""How far ahead must the loss look? Every way to learn w, judged by task and by image on scenes that are known.

The questions, arms, criteria and budget stand in ``book/reproduce/lookahead_plan.md``, written before the runs;
the arms in ``studies/lookahead_arms.py``. A seed has scenes, networks and judges of its own.

    snakemake -s studies/Snakefile -j 2 lookahead      # all of it, most telling first; the jobs are:
    python -m studies.lookahead scenes --seed 10       # drawn once, for every job of the seed
    python -m studies.lookahead arm teacher --seed 10  # G taught as the mix, on scenes that nothing else sees
    python -m studies.lookahead arm "small: taught" --seed 10
    python -m studies.lookahead collect                # results/lookahead.csv and its pictures

A job leaves ``runs/lookahead/NAME, seed N.json``, an arm its F and G beside it; collecting adds what is there to the
table, and what stands in the table is not run again.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from studies.judged import OTHER_SEEDS, SHOWN, STEPS, command, image_scores, judged, map_scores, shown
from studies.lookahead_arms import ARMS, SEEDS, TEACHER, jobs, needs_teacher
from studies.plain_images import PLAIN_IMAGES
from studies.plain_weights import RULES
from studies.scene_parts import Scenes, fuse_all, load, region_means, weights_all
from studies.scene_run import Run, build_G, shuffled
from tdfusion.files import whole_file
from tdfusion.models import MixNet
from tdfusion.runs.provenance import Provenance

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "runs" / "lookahead"
RESULT = ROOT / "results" / "lookahead.csv"
TRAIN, TEST = 384, 192


def w_given(name: str, seed: int, scenes: Scenes) -> Tensor | None:
    """w_a of every scene for an arm that takes it from a rule or from the teacher, else None."""
    w = ARMS[name].w if name in ARMS else TEACHER
    if w in RULES:
        return RULES[w](scenes.ir, scenes.vi, seed)
    if not needs_teacher(name):
        return None
    G = build_G("local")
    G.load_state_dict(torch.load(weights_file(TEACHER, seed), weights_only=True)["G"])
    taught = weights_all(G, scenes)
    return shuffled(taught, seed) if w.endswith("shuffled") else taught


def run_arm(name: str, seed: int, train: Scenes, test: Scenes) -> dict:
    """Train F by an arm, and say what its images are worth to the judges and to the metrics."""
    arm, made = ARMS[name], Provenance.begin(seed=seed)
    learns_from = scenes_of("other", seed) if name == TEACHER else train
    run = Run(arm, seed, learns_from, test, w_given(name, seed, train))
    history = list(tqdm(run.epochs(), total=arm.L + 1, desc=f"{name}, seed {seed}"))
    score = partial(judged, train=train, test=test, seed=seed)
    images = [fuse_all(run.state.F, scenes) for scenes in (train, test)]
    found: dict = {"arm": name, "seed": seed, "setting": asdict(arm), "L_t": [row["L_t"] for row in history]}
    found |= {"judged": score(*images), "metrics": image_scores(images[1], test)}
    pictures = {"I_f": images[1]}
    if run.w_train is None:
        w = weights_all(run.state.G, test)
        found |= {"map": map_scores(w, test), "w_a": region_means(w, test.optimum)}
        pictures["w_a"] = w
        if arm.w == "learned":  # what w is worth where I_f is the mix that it asks for
            mix = MixNet(run.state.G)
            found["judged mix"] = score(*(fuse_all(mix, scenes) for scenes in (train, test)), judges=[""])
    elif (w := w_given(name, seed, test)) is not None:
        found |= {"map": map_scores(w, test), "w_a": region_means(w, test.optimum)}
    if seed == SEEDS[0]:
        found["shown"] = shown(pictures)
    with whole_file(weights_file(name, seed)) as part:
        torch.save({"F": run.state.F.state_dict(), "G": run.state.G.state_dict()}, part)
    return found | {"provenance": made.finish()}


def run_image(name: str, seed: int, train: Scenes, test: Scenes) -> dict:
    """No F: the judges, and the metrics where there is one image, on what needs none."""

    def make(scenes: Scenes) -> Tensor:
        if name in PLAIN_IMAGES:
            return PLAIN_IMAGES[name](scenes.ir, scenes.vi)
        if name == "oracle mix":
            return scenes.oracle * scenes.ir + (1 - scenes.oracle) * scenes.vi
        return w_given(name, seed, scenes)  # "w alone"

    made = Provenance.begin(seed=seed)
    images = make(train), make(test)
    found = {"arm": name, "seed": seed, "judged": judged(*images, train, test, seed)}
    if images[1].shape[1] == 1 and name != "w alone":
        found["metrics"] = image_scores(images[1], test)
    return found | {"provenance": made.finish()}


def scenes_of(kind: str, seed: int) -> Scenes:
    """A seed's scenes: "train", "test", or "other", which the teacher alone sees."""
    if kind == "other":
        return load("train", SCRATCH, seed + OTHER_SEEDS, TRAIN)
    return load(kind, SCRATCH, seed, TRAIN if kind == "train" else TEST)


def weights_file(name: str, seed: int) -> Path:
    """What an arm has trained, F and G: the teacher's G is what others follow, and any F can be judged again."""
    return SCRATCH / f"{name}, seed {seed}.pt"


def run_job(name: str, seed: int) -> dict:
    run = run_arm if name in ARMS else run_image
    return run(name, seed, scenes_of("train", seed), scenes_of("test", seed))


def draw(seed: int) -> None:
    for kind in ("train", "test", "other"):
        scenes_of(kind, seed)


if __name__ == "__main__":
    command(
        __doc__, RESULT, SCRATCH, jobs(), run_job, prepare=draw,
        what="Judges' mean IoU on test scenes, fusion metrics and map scores of every way to come by w, per seed",
        settings={"scenes": {"train": TRAIN, "test": TEST, "shown": SHOWN}, "judge_steps": STEPS},
    )  # fmt: skip
