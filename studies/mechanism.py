"""Does the meta-learned loss find what the task needs? Training runs on scenes whose answer is known.

Every arm is Algorithm 1 at a small scale (64x64 scenes, small networks), or a control beside it; the judge
is the same for all: a fresh task network trained on the arm's fused images, mean IoU on test scenes. The
questions, arms and tolerances stand in ``book/reproduce/mechanism_plan.md``, written before the runs.

    snakemake -s studies/Snakefile -j 2 mechanism    # all of it; the jobs are:
    python -m studies.mechanism scenes               # drawn once, for every job
    python -m studies.mechanism arm "mask half" --seed 0
    python -m studies.mechanism collect              # results/mechanism.csv, its history and its maps

A job leaves ``runs/mechanism/NAME, seed N.json`` when it is done, so a stopped study goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from studies.arm import Arm
from studies.mechanism_arms import ARMS, IMAGES, SEEDS
from studies.scene_parts import Scenes, fuse_all, load, region_means, weights_all
from studies.scene_run import Run, build_G, shuffled
from tdfusion.data.synthroad.scenes import CLASSES
from tdfusion.downstream.judge import judge
from tdfusion.files import whole_file, write_text
from tdfusion.models import MixNet
from tdfusion.results import save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "runs" / "mechanism"
RESULT = ROOT / "results" / "mechanism.csv"
DOWNSTREAM_STEPS = 250
SHOWN = (1, 5, 8, 12)  # test scenes whose w_a is kept for the page


def replayed_weights(arm: Arm, seed: int, train: Scenes) -> Tensor | None:
    """w_a of every training scene as another arm's G has learned them, where this arm replays one."""
    source = arm.w.removesuffix(" shuffled")
    if source not in ARMS or arm.w == "direct":
        return None
    G = build_G(arm.G)
    G.load_state_dict(torch.load(SCRATCH / f"{source}, seed {seed}.pt", weights_only=True)["G"])
    w = weights_all(G, train)
    return shuffled(w, seed) if arm.w.endswith("shuffled") else w


def downstream(train_images: Tensor, test_images: Tensor, train: Scenes, test: Scenes, seed: int) -> dict:
    """The judge of every arm: a fresh T trained on these images, see `tdfusion.downstream.judge`."""
    scores = judge(
        (train_images, train.mask),
        (test_images, test.mask),
        CLASSES,
        seed=1000 + seed,
        steps=DOWNSTREAM_STEPS,
    )
    return {"miou": scores.values["mIoU"], "iou": {c.name: c.values["IoU"] for c in scores.classes}}


def run_arm(name: str, seed: int, train: Scenes, test: Scenes, progress: bool) -> dict:
    """Train, judge, and say what was done."""
    arm, made = ARMS[name], Provenance.begin(seed=seed)
    run = Run(arm, seed, train, test, replayed_weights(arm, seed, train))
    G = run.state.G
    before = region_means(weights_all(G, test), test.optimum)
    rows = list(tqdm(run.epochs(), total=arm.L + 1, desc=f"{name}, seed {seed}", disable=not progress))
    judged = partial(downstream, train=train, test=test, seed=seed)
    found: dict = {"arm": name, "seed": seed, "setting": asdict(arm), "history": rows}
    found["downstream"] = judged(*(fuse_all(run.state.F, scenes) for scenes in (train, test)))
    if run.w_train is None:
        w = weights_all(G, test)
        found["w_a_before"], found["w_a"] = before, region_means(w, test.optimum)
        found["maps"] = (w[list(SHOWN), 0] * 255).round().int().tolist()
        if arm.w == "learned":
            mix = MixNet(G)  # what w is worth where F realises it exactly
            found["downstream_of_mix"] = judged(*(fuse_all(mix, scenes) for scenes in (train, test)))
        with whole_file(SCRATCH / f"{name}, seed {seed}.pt") as part:
            torch.save({"G": G.state_dict(), "F": run.state.F.state_dict()}, part)
    found["provenance"] = made.finish()
    return found


def run_image(name: str, seed: int, train: Scenes, test: Scenes) -> dict:
    """No training of F: the judge on an image that needs none."""
    make = {
        "infrared": lambda s: s.ir,
        "visible": lambda s: s.vi,
        "mean": lambda s: (s.ir + s.vi) / 2,
        "max": lambda s: torch.maximum(s.ir, s.vi),
        "oracle mix": lambda s: s.oracle * s.ir + (1 - s.oracle) * s.vi,
    }[name]
    made = Provenance.begin(seed=seed)
    score = downstream(make(train), make(test), train, test, seed)
    return {"arm": name, "seed": seed, "downstream": score, "provenance": made.finish()}


def jobs(seeds: tuple[int, ...]) -> list[tuple[str, int]]:
    return [(name, seed) for name in (*IMAGES, *ARMS) for seed in seeds]


def file_of(name: str, seed: int) -> Path:
    return SCRATCH / f"{name}, seed {seed}.json"


def collect(out: Path) -> None:
    """Every done job into one table; a row per epoch and the maps, as 8-bit arrays, go beside it."""
    done = [json.loads(file_of(*job).read_text()) for job in jobs(SEEDS) if file_of(*job).exists()]
    missing = [f"{name}, seed {seed}" for name, seed in jobs(SEEDS) if not file_of(name, seed).exists()]
    named = {f"{run['arm']}, seed {run['seed']}": run["maps"] for run in done if "maps" in run}
    with whole_file(out.with_name(f"{out.stem}_maps.npz")) as part:
        np.savez_compressed(part, **{name: np.array(found, np.uint8) for name, found in named.items()})
    with whole_file(out.with_name(f"{out.stem}_history.csv")) as part:
        history(done).to_csv(part, index=False)
    save(
        out.stem,
        (row for run in done for row in rows(run)),
        what="mean IoU of a fresh task network on test scenes, per arm and seed; region means of w_a",
        command=command_line(),
        provenance=[{"arm": run["arm"]} | run["provenance"] for run in done],
        settings={
            "scenes": {
                "train": len(load("train", SCRATCH)),
                "test": len(load("test", SCRATCH)),
                "shown": SHOWN,
            },
            "downstream_steps": DOWNSTREAM_STEPS,
            "not_run": missing,
        },
        arms={run["arm"]: run["setting"] for run in done if "setting" in run},
        folder=out.parent,
    )
    print(f"{len(done)} jobs into {out.name}; not run: {len(missing)}")


def rows(run: dict) -> Iterator[dict]:
    """For the results table: the judge on what F fuses and, where w was learned, on the mix; w_a by region."""
    common = {"data": "SynthRoad", "arm": run["arm"], "task": "segmentation", "seed": run["seed"]}
    for key, of in (("downstream", ""), ("downstream_of_mix", " of mix")):
        if key in run:
            yield common | {"values": {f"mIoU{of}": run[key]["miou"]}}
            for name, iou in run[key]["iou"].items():
                yield common | {"group": name, "values": {f"IoU{of}": iou}}
    for key, metric in (("w_a_before", "w_a before"), ("w_a", "w_a")):
        for region, mean in run.get(key, {}).items():
            yield common | {"group": region, "values": {metric: mean}}


def history(done: list[dict]) -> pd.DataFrame:
    """A row per epoch: L_t of the fusion steps, and the mean w_a of each region where w was learned."""
    return pd.DataFrame(
        {"arm": run["arm"], "seed": run["seed"], "epoch": row["epoch"], "L_t": row["L_t"]}
        | {f"w_a {region}": mean for region, mean in row.get("w_a", {}).items()}
        for run in done
        for row in run.get("history", ())
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("scenes")
    arm = actions.add_parser("arm")
    arm.add_argument("name", choices=(*IMAGES, *ARMS), metavar="NAME")
    arm.add_argument("--seed", type=int, required=True)
    for action in (arm, actions.add_parser("collect")):
        add_result_options(action, RESULT)
    options = parser.parse_args()
    if options.action == "collect":
        return collect(options.out)
    if options.action == "arm":
        require_clean(options.out, options.allow_dirty)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    keep_freed_memory()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    train, test = load("train", SCRATCH), load("test", SCRATCH)
    if options.action == "arm":
        name, seed = options.name, options.seed
        found = (
            run_image(name, seed, train, test) if name in IMAGES else run_arm(name, seed, train, test, True)
        )
        write_text(file_of(name, seed), json.dumps(found) + "\n")
        print(f"{name}, seed {seed}: mIoU {found['downstream']['miou']:.3f}")
    return None


if __name__ == "__main__":
    main()
