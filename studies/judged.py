"""What a fused image, and a map of weights, is worth on known scenes: judges, fusion metrics, map scores, one table."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from studies.scene_parts import Scenes, region_means
from tdfusion import results
from tdfusion.data.synthroad.labels import INFRARED, VISIBLE
from tdfusion.data.synthroad.scenes import CLASSES
from tdfusion.downstream.judge import MakeTask, judge, small_segformer, small_unet
from tdfusion.files import whole_file, write_text
from tdfusion.metrics import TABLE, measure, smallest_side
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import add_result_options, command_line, require_clean

OTHER_SEEDS = 1000  # added to a job's seed: what must not be drawn as its networks and scenes are
STEPS = 1000  # of a judge
SHOWN = (1, 5, 8, 12)  # test scenes of the first seed whose w_a and I_f are kept for the page
Job = tuple[str, int]  # an arm and a seed
Rows = Callable[[dict[str, Any]], Iterator[dict[str, Any]]]


JUDGES: dict[str, MakeTask] = {
    "": small_segformer,
    ", U-Net": small_unet,
}  # what a metric's name ends in -> which network judges


def judged(
    train_images: Tensor, test_images: Tensor, train: Scenes, test: Scenes, seed: int,
    judges: Sequence[str] = tuple(JUDGES),
) -> dict:  # fmt: skip
    """mIoU and each class's IoU by fresh judges trained on these images (N, C, H, W)."""
    found = {}
    for name in tqdm(judges, desc="judge", leave=False):
        scores = judge(
            (train_images, train.mask), (test_images, test.mask), CLASSES, seed=OTHER_SEEDS + seed, steps=STEPS,
            make_task=partial(JUDGES[name], channels=train_images.shape[1]),
        )  # fmt: skip
        found[name] = scores.values["mIoU"], {c.name: c.values["IoU"] for c in scores.classes}
    return found


def image_scores(images: Tensor, scenes: Scenes) -> dict[str, float]:
    """Every metric that is defined at this size, means over the scenes of images (N, 1, H, W) saved in 8 bits."""
    names = [name for name in TABLE if smallest_side(name) <= min(images.shape[-2:])]
    eight = [(x[:, 0] * 255).round().clamp(0, 255).byte().numpy() for x in (images, scenes.ir, scenes.vi)]
    each = [measure(*trio, metrics=names).values for trio in zip(*eight, strict=True)]
    return {name: float(np.nanmean([values[name] for values in each])) for name in names}


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


def rows(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For the results table: judges, metrics, map scores, what training said last, and w_a by region."""
    common = {"data": "SynthRoad", "arm": run["arm"], "task": "segmentation", "seed": run["seed"]}
    for key, of in (("judged", ""), ("judged mix", " of mix")):
        for judge_name, (miou, iou) in run.get(key, {}).items():
            yield common | {"values": {f"mIoU{of}{judge_name}": miou}}
            for name, value in iou.items():
                yield common | {"group": name, "values": {f"IoU{of}{judge_name}": value}}
    yield common | {"values": run.get("metrics", {}) | run.get("map", {}) | run.get("training", {})}
    for region, mean in run.get("w_a", {}).items():
        yield common | {"group": region, "values": {"w_a": mean}}


def collect(
    out: Path, scratch: Path, jobs: Sequence[Job], *, what: str, settings: dict[str, Any], rows: Rows = rows
) -> None:
    """What the jobs left as ``scratch/NAME, seed N.json``, beside what the table has of others.

    Args:
        out: the table; the record and the pictures go beside it.
        scratch: folder of the jobs.
        jobs: all of the study, in the order of the table; files of others are left alone.
        what, settings: for the record, see `tdfusion.results.save`.
        rows: what a job's result becomes.
    """
    place = {job: at for at, job in enumerate(jobs)}
    runs = [json.loads(path.read_text()) for path in sorted(scratch.glob("*.json"))]
    done = [run for run in runs if (run["arm"], run["seed"]) in place]
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
        arms = about["arms"] | arms
        if out.with_name(f"{out.stem}_maps.npz").is_file():
            shown = results.maps(out.stem, out.parent) | shown
    in_order = pd.Series([place[key] for key in zip(table["arm"], table["seed"], strict=True)])
    if shown:
        with whole_file(out.with_name(f"{out.stem}_maps.npz")) as part:
            np.savez_compressed(part, **shown)
    results.save(
        out.stem,
        table.loc[in_order.argsort(kind="stable")],
        what=what,
        command=command_line(),
        provenance=[made[job] for job in sorted(made, key=place.__getitem__)],
        settings=settings
        | {"not_run": [f"{name}, seed {seed}" for name, seed in jobs if (name, seed) not in made]},
        arms={name: arms[name] for name in dict.fromkeys(name for name, _ in jobs) if name in arms},
        folder=out.parent,
    )
    print(f"{len(done)} jobs added; {len(made)} in {out.name}, {len(place) - len(made)} not run")


def shown(images: dict[str, Tensor]) -> dict[str, list]:
    """Images (N, 1, H, W) of the scenes `SHOWN`, in 8 bits, as a job keeps them."""
    return {key: (x[list(SHOWN), 0] * 255).round().int().tolist() for key, x in images.items()}


def command(
    doc: str | None, out: Path, scratch: Path, jobs: Sequence[Job], run: Callable[[str, int], dict[str, Any]], *,
    what: str, settings: dict[str, Any], prepare: Callable[[int], object] | None = None, rows: Rows = rows,
) -> None:  # fmt: skip
    """The command line of a study of arms and seeds: ``arm NAME --seed N``, ``collect``, and ``scenes --seed N``.

    Args:
        doc: what ``--help`` says first.
        out, scratch, jobs, what, settings, rows: see `collect`.
        run: what one job does; its result is written to ``scratch``.
        prepare: draws a seed's scenes, where jobs share them.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    arm = actions.add_parser("arm", help="one job")
    arm.add_argument("name", choices=tuple(dict.fromkeys(name for name, _ in jobs)), metavar="NAME")
    arm.add_argument("--seed", type=int, required=True)
    for action in (arm, actions.add_parser("collect", help="what the jobs left, into the table")):
        add_result_options(action, out)
    if prepare:
        scenes = actions.add_parser("scenes", help="a seed's scenes, drawn once for all its jobs")
        scenes.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    scratch.mkdir(parents=True, exist_ok=True)
    if options.action == "collect":
        return collect(options.out, scratch, jobs, what=what, settings=settings, rows=rows)
    if options.action == "scenes" and prepare:
        prepare(options.seed)
        return None
    require_clean(options.out, options.allow_dirty)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    keep_freed_memory()
    found = run(options.name, options.seed)
    write_text(scratch / f"{options.name}, seed {options.seed}.json", json.dumps(found) + "\n")
    scores = ", ".join(
        f"{judge.strip(', ') or 'SegFormer'} {miou:.3f}" for judge, (miou, _) in found["judged"].items()
    )
    print(f"{options.name}, seed {options.seed}: mIoU by {scores}")
    return None
