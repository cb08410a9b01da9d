"""How far ahead must the loss look? Every way to learn w, judged by task and by image on scenes that are known.

The questions, arms, criteria and budget stand in ``book/reproduce/lookahead_plan.md``, written before the runs;
the arms in ``studies/lookahead_arms.py``. A seed has scenes, networks and judges of its own.

    snakemake -s studies/Snakefile -j 2 lookahead      # all of it, most telling first; the jobs are:
    python -m studies.lookahead scenes --seed 10       # drawn once, for every job of the seed
    python -m studies.lookahead arm teacher --seed 10  # G taught as the mix, on scenes that nothing else sees
    python -m studies.lookahead arm "small: taught" --seed 10
    python -m studies.lookahead collect                # results/lookahead.csv and its pictures

A job leaves ``runs/lookahead/NAME, seed N.json``; collecting adds what is there to the table, and what stands in
the table is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from studies.lookahead_arms import ARMS, JOBS, SEEDS, TEACHER, jobs, needs_teacher
from studies.plain_weights import RULES
from studies.scene_parts import Scenes, fuse_all, load, region_means, weights_all
from studies.scene_run import Run, build_G, shuffled
from tdfusion import results
from tdfusion.data.synthroad.labels import INFRARED, VISIBLE
from tdfusion.data.synthroad.scenes import CLASSES
from tdfusion.downstream.judge import MakeTask, judge
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.files import whole_file, write_text
from tdfusion.metrics import METRICS, measure
from tdfusion.models import MixNet
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean
from tdfusion.tasks.segmentation import SegmentationTask
from tdfusion.tasks.unet import UNetTask

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "runs" / "lookahead"
RESULT = ROOT / "results" / "lookahead.csv"
TRAIN, TEST = 384, 192
OTHER_SCENES = 1000  # added to the seed: the teacher's scenes
STEPS = 1000  # of a judge
SHOWN = (1, 5, 8, 12)  # test scenes of the first seed whose w_a and I_f are kept for the page


def segformer(channels: int) -> MakeTask:
    return lambda classes, weight: SegmentationTask(
        classes, weight, standardise=True, num_channels=channels, **SEGFORMERS["tiny"]
    )


def unet(channels: int) -> MakeTask:
    return lambda classes, weight: UNetTask(classes, weight, standardise=True, channels=channels)


JUDGES = {"": segformer, ", U-Net": unet}  # what a metric's name ends in -> which network judges


def judged(
    train_images: Tensor, test_images: Tensor, train: Scenes, test: Scenes, seed: int,
    judges: Sequence[str] = tuple(JUDGES),
) -> dict:  # fmt: skip
    """mIoU and each class's IoU by fresh judges trained on these images (N, C, H, W)."""
    found = {}
    for name in tqdm(judges, desc="judge", leave=False):
        scores = judge(
            (train_images, train.mask), (test_images, test.mask), CLASSES, seed=OTHER_SCENES + seed, steps=STEPS,
            make_task=JUDGES[name](train_images.shape[1]),
        )  # fmt: skip
        found[name] = scores.values["mIoU"], {c.name: c.values["IoU"] for c in scores.classes}
    return found


def image_scores(images: Tensor, scenes: Scenes) -> dict[str, float]:
    """The six metrics of Table 1, means over the scenes of images (N, 1, H, W) saved in 8 bits."""
    eight = [(x[:, 0] * 255).round().clamp(0, 255).byte().numpy() for x in (images, scenes.ir, scenes.vi)]
    each = [measure(*trio).values for trio in zip(*eight, strict=True)]
    return {name: float(np.nanmean([values[name] for values in each])) for name in METRICS}


def map_scores(w_a: Tensor, scenes: Scenes) -> dict[str, float]:
    """How well w_a (N, 1, H, W) says what carries, over the pixels that only one image carries.

    ``rank``: Spearman's correlation with the oracle, mean over the scenes that have both kinds. ``mass``: the mean
    weight of the image that carries, both kinds counting alike. 0 and 1/2 for a map that knows nothing.
    """
    ranks = []
    for w, optimum in zip(w_a[:, 0], scenes.optimum, strict=True):
        here = (optimum == INFRARED) | (optimum == VISIBLE)
        carried = (optimum[here] == INFRARED).numpy()
        if carried.any() and not carried.all():
            flat = float(w[here].std()) < 1e-6  # one weight everywhere has no ranks
            ranks.append(0.0 if flat else float(spearmanr(w[here].numpy(), carried).statistic))
    regions = region_means(w_a, scenes.optimum)
    return {"rank": float(np.mean(ranks)), "mass": (regions["infrared"] + 1 - regions["visible"]) / 2}


def w_given(name: str, seed: int, scenes: Scenes) -> Tensor | None:
    """w_a of every scene for an arm that takes it from a rule or from the teacher, else None."""
    w = ARMS[name].w if name in ARMS else TEACHER
    if w in RULES:
        return RULES[w](scenes.ir, scenes.vi, seed)
    if not needs_teacher(name):
        return None
    G = build_G("local")
    G.load_state_dict(torch.load(weights_file(seed), weights_only=True))
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
    shown = {"I_f": images[1]}
    if run.w_train is None:
        w = weights_all(run.state.G, test)
        found |= {"map": map_scores(w, test), "w_a": region_means(w, test.optimum)}
        shown["w_a"] = w
        if arm.w == "learned":  # what w is worth where I_f is the mix that it asks for
            mix = MixNet(run.state.G)
            found["judged mix"] = score(*(fuse_all(mix, scenes) for scenes in (train, test)), judges=[""])
    elif (w := w_given(name, seed, test)) is not None:
        found |= {"map": map_scores(w, test), "w_a": region_means(w, test.optimum)}
    if seed == SEEDS[0]:
        found["shown"] = {key: (x[list(SHOWN), 0] * 255).round().int().tolist() for key, x in shown.items()}
    if name == TEACHER:
        with whole_file(weights_file(seed)) as part:
            torch.save(run.state.G.state_dict(), part)
    return found | {"provenance": made.finish()}


def run_image(name: str, seed: int, train: Scenes, test: Scenes) -> dict:
    """No F: the judges, and the metrics where there is one image, on what needs none."""
    make = {
        "infrared": lambda s: s.ir,
        "visible": lambda s: s.vi,
        "mean": lambda s: (s.ir + s.vi) / 2,
        "max": lambda s: torch.maximum(s.ir, s.vi),
        "oracle mix": lambda s: s.oracle * s.ir + (1 - s.oracle) * s.vi,
        "two channels": lambda s: torch.cat([s.ir, s.vi], 1),
        "w alone": lambda s: w_given(name, seed, s),
    }[name]
    made = Provenance.begin(seed=seed)
    images = make(train), make(test)
    found = {"arm": name, "seed": seed, "judged": judged(*images, train, test, seed)}
    if images[1].shape[1] == 1 and name != "w alone":
        found["metrics"] = image_scores(images[1], test)
    return found | {"provenance": made.finish()}


def scenes_of(kind: str, seed: int) -> Scenes:
    """A seed's scenes: "train", "test", or "other", which the teacher alone sees."""
    if kind == "other":
        return load("train", SCRATCH, seed + OTHER_SCENES, TRAIN)
    return load(kind, SCRATCH, seed, TRAIN if kind == "train" else TEST)


def file_of(name: str, seed: int) -> Path:
    return SCRATCH / f"{name}, seed {seed}.json"


def weights_file(seed: int) -> Path:
    """The teacher's G."""
    return SCRATCH / f"{TEACHER}, seed {seed}.pt"


def rows(run: dict) -> Iterator[dict]:
    """For the results table: judges, metrics, map scores, and w_a by region."""
    common = {"data": "SynthRoad", "arm": run["arm"], "task": "segmentation", "seed": run["seed"]}
    for key, of in (("judged", ""), ("judged mix", " of mix")):
        for judge_name, (miou, iou) in run.get(key, {}).items():
            yield common | {"values": {f"mIoU{of}{judge_name}": miou}}
            for name, value in iou.items():
                yield common | {"group": name, "values": {f"IoU{of}{judge_name}": value}}
    yield common | {"values": run.get("metrics", {}) | run.get("map", {})}
    for region, mean in run.get("w_a", {}).items():
        yield common | {"group": region, "values": {"w_a": mean}}


def collect(out: Path) -> None:
    """What the jobs left beside what the table has of others; the pictures of the first seed lie with it."""
    runs = [json.loads(path.read_text()) for path in sorted(SCRATCH.glob("*.json"))]
    done = [run for run in runs if run["arm"] in JOBS and run["seed"] in SEEDS]
    table = results.tidy(out.stem, (row for run in done for row in rows(run)))
    made = {(run["arm"], run["seed"]): {"arm": run["arm"]} | run["provenance"] for run in done}
    arms = {run["arm"]: run["setting"] for run in done if "setting" in run}
    shown = {
        f"{run['arm']}, {key}": np.array(x, np.uint8)
        for run in done
        for key, x in run.get("shown", {}).items()
    }
    if results.is_there(out.stem, out.parent):
        about, old = results.about(out.stem, out.parent), results.load(out.stem, out.parent)
        old = old[[key not in made for key in zip(old["arm"], old["seed"], strict=True)]]
        table = pd.concat([old, table], ignore_index=True)
        made = {(run["arm"], run["seed"]): run for run in about["provenance"]} | made
        arms, shown = about["arms"] | arms, results.maps(out.stem, out.parent) | shown
    place = {job: at for at, job in enumerate(jobs())}
    in_order = pd.Series([place[key] for key in zip(table["arm"], table["seed"], strict=True)])
    with whole_file(out.with_name(f"{out.stem}_maps.npz")) as part:
        np.savez_compressed(part, **shown)
    results.save(
        out.stem,
        table.loc[in_order.argsort(kind="stable")],
        what="Judges' mean IoU on test scenes, fusion metrics and map scores of every way to come by w, per seed",
        command=command_line(),
        provenance=[made[job] for job in sorted(made, key=place.__getitem__)],
        settings={
            "scenes": {"train": TRAIN, "test": TEST, "shown": SHOWN},
            "judge_steps": STEPS,
            "not_run": [f"{name}, seed {seed}" for name, seed in jobs() if (name, seed) not in made],
        },
        arms={name: arms[name] for name in ARMS if name in arms},
        folder=out.parent,
    )
    print(f"{len(done)} jobs added; {len(made)} in {out.name}, {len(place) - len(made)} not run")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    arm = actions.add_parser("arm", help="one job")
    arm.add_argument("name", choices=JOBS, metavar="NAME")
    arm.add_argument("--seed", type=int, required=True)
    for action in (arm, actions.add_parser("collect", help="what the jobs left, into the table")):
        add_result_options(action, RESULT)
    scenes = actions.add_parser("scenes", help="a seed's scenes, drawn once for all its jobs")
    scenes.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    if options.action == "scenes":
        SCRATCH.mkdir(parents=True, exist_ok=True)
        for kind in ("train", "test", "other"):
            scenes_of(kind, options.seed)
        return None
    if options.action == "collect":
        return collect(options.out)
    require_clean(options.out, options.allow_dirty)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    keep_freed_memory()
    name, seed = options.name, options.seed
    found = (run_arm if name in ARMS else run_image)(
        name, seed, scenes_of("train", seed), scenes_of("test", seed)
    )
    write_text(file_of(name, seed), json.dumps(found) + "\n")
    print(
        f"{name}, seed {seed}: mIoU {found['judged'][''][0]:.3f}, U-Net {found['judged'][', U-Net'][0]:.3f}"
    )
    return None


if __name__ == "__main__":
    main()
