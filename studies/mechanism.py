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
from torch import Tensor, nn
from tqdm import tqdm

from studies.mechanism_arms import ARMS, IMAGES, SEEDS, Arm
from studies.mechanism_parts import (
    LocalLossNet,
    MaskFusion,
    Scenes,
    fuse_all,
    load,
    region_means,
    weights_all,
)
from tdfusion.algorithm import fusion_step, meta_step, start
from tdfusion.batches import disjoint_subsets
from tdfusion.config import VARIANTS
from tdfusion.data.pair import FusionBatch, MetaBatch
from tdfusion.data.synthroad.scenes import CLASSES
from tdfusion.downstream.judge import judge
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.files import whole_file, write_text
from tdfusion.losses import fusion_loss
from tdfusion.models import FusionNet, LossNet, MixNet
from tdfusion.results import save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean
from tdfusion.tasks.segmentation import SegmentationTask, class_weights

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "runs" / "mechanism"
RESULT = ROOT / "results" / "mechanism.csv"
DOWNSTREAM_STEPS = 250
SHOWN = (1, 5, 8, 12)  # test scenes whose w_a is kept for the page


def build_F(name: str) -> nn.Module:
    return {
        "mask": lambda: MaskFusion(centred=False),
        "mask centred": lambda: MaskFusion(centred=True),
        "paper 8": lambda: FusionNet(8, 1),
        "paper": FusionNet,
    }[name]()


class Run:
    """One arm with one seed: a state of `tdfusion.algorithm`, scenes in memory, and the order in which they come."""

    def __init__(self, arm: Arm, seed: int, train: Scenes, test: Scenes) -> None:
        torch.manual_seed(seed)
        self.arm, self.seed, self.train, self.test = arm, seed, train, test
        released = VARIANTS[arm.variant]
        self.partition = released.get("partition", "paper")
        self.loss = partial(
            fusion_loss, alpha=arm.alpha,
            intensity=released.get("intensity", "paper"), gradient=released.get("gradient", "paper"),
        )  # fmt: skip
        F = build_F(arm.F)
        G = LossNet() if arm.G == "paper" else LocalLossNet()
        counts = torch.bincount(train.mask.flatten(), minlength=len(CLASSES))
        T = SegmentationTask(len(CLASSES), class_weights(counts), arm.standardised, **SEGFORMERS["tiny"])
        self.state = start(
            MixNet(G) if arm.w == "direct" else F, G, T,
            eta_F=arm.eta_F, eta_G=arm.eta_G, eta_T=arm.eta_T, G_update=arm.G_update,
        )  # fmt: skip
        if arm.w == "direct":  # Exp. V: F is the mix, and G's optimiser moves it
            self.state.F_optimiser = self.state.G_optimiser
        self.w_train = self.fixed_weights()
        self.chance = torch.Generator().manual_seed(seed)

    def fixed_weights(self) -> Tensor | None:
        """w_a of every training scene where it is not being learned, else None."""
        name, train, G = self.arm.w, self.train, self.state.G
        if name in ("learned", "direct"):
            return None
        if name == "half":
            return torch.full_like(train.ir, 0.5)
        if name == "oracle":
            return train.oracle
        if name == "random":
            return weights_all(random_G(self.seed), train)
        source = name.removesuffix(" shuffled")
        saved = torch.load(SCRATCH / f"{source}, seed {self.seed}.pt", weights_only=True)
        G.load_state_dict(saved["G"])
        w = weights_all(G, train)
        return shuffled(w, self.seed) if name.endswith("shuffled") else w

    def weights(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        if self.w_train is not None:
            w_a = self.w_train[chosen]
            return w_a, 1 - w_a
        with torch.no_grad():
            return self.state.G(self.train.ir[chosen], self.train.vi[chosen])

    def meta_step(self, mtr: list[int], mts: list[int]) -> None:
        arm = self.arm
        batch = MetaBatch(*(self.train.batch(torch.tensor(indices)) for indices in (mtr, mts)))
        meta_step(
            self.state, batch,
            loss=self.loss, eta_F_prime=arm.eta_F, eta_T_prime=arm.eta_T, method=arm.method,
        )  # fmt: skip

    def fusion_step(self) -> float:
        """One step of F and T on a batch drawn by chance; L_t before it."""
        direct = self.arm.w == "direct"
        chosen = torch.randint(len(self.train), (self.arm.batch,), generator=self.chance)
        row = fusion_step(
            self.state, FusionBatch(self.train.batch(chosen)), *self.weights(chosen), loss=self.loss,
            fusion_weight=0.0 if direct else 1.0, task_weight=1.0 if direct else self.arm.task_weight,
        )  # fmt: skip
        return row["L_t"]

    def epochs(self) -> Iterator[dict]:
        """Algorithm 1, one row per epoch."""
        arm, size = self.arm, self.arm.batch
        for _ in range(arm.warm):
            self.fusion_step()
        yield self.row(0, [])
        for epoch in range(1, arm.L + 1):
            if arm.w == "learned":
                if arm.falling:
                    for group in self.state.G_optimiser.param_groups:
                        group["lr"] = arm.eta_G * (1 - (epoch - 1) / arm.L)
                M = min(arm.M, len(self.train) // (2 * size))
                mtr, mts = disjoint_subsets(
                    len(self.train), M, epoch, self.seed, variant=self.partition, batch_size=size
                )
                for at in range(0, len(mtr), size):
                    self.meta_step(mtr[at : at + size], mts[at : at + size])
            yield self.row(epoch, [self.fusion_step() for _ in range(arm.N)])

    def row(self, epoch: int, L_t: list[float]) -> dict:
        row: dict = {"epoch": epoch, "L_t": float(np.mean(L_t)) if L_t else None}
        if self.w_train is None:
            row["w_a"] = region_means(weights_all(self.state.G, self.test), self.test.optimum)
        return row


def random_G(seed: int) -> nn.Module:
    """An untrained LossNet, which already follows brightness: the control for any map of w."""
    torch.manual_seed(7000 + seed)
    return LossNet(8, 1)


def shuffled(w: Tensor, seed: int) -> Tensor:
    """Every image's weights, their pixels in random order: the same values, without their places."""
    order = torch.rand(w.flatten(1).shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
    return w.flatten(1).gather(1, order).view_as(w)


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
    run = Run(arm, seed, train, test)
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
