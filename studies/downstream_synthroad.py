"""Sec. 4.3 on SynthRoad: T retrained on each source, three seeds, for segmentation and detection.

Every run is kept when it is done and is not made again, so the script can be stopped and called until it says
that nothing is left. Sources are infrared, visible, mean, max and the oracle; trained F are added by name.

    python -m studies.downstream_synthroad                     # everything; 20 to 25 minutes on one core
    python -m studies.downstream_synthroad --seconds 170       # starts no run after so many seconds
    python -m studies.downstream_synthroad --weights "w = 1/2=runs/half/F.safetensors"
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from tdfusion.data.pair import Pair
from tdfusion.downstream.config import DownstreamConfig, make_downstream_config
from tdfusion.downstream.prepare import SPLITS, open_split
from tdfusion.downstream.run import retrain
from tdfusion.downstream.scores import Scores
from tdfusion.files import write_text
from tdfusion.results import about, load, pictures, save, tidy
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "downstream_synthroad.csv"
RUNS = ROOT / "runs" / "downstream_synthroad"
SOURCES = {"infrared": "infrared", "visible": "visible", "mean": "mean", "max": "max", "oracle": "oracle"}
PICTURED = (10, 14, 24)  # a day, a night and a fog scene of the test split with many classes and boxes
PICTURED_SEED = 0
CONFIDENT = 0.25  # of the boxes kept for pictures, as ultralytics' own prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["segmentation", "detection"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE", help="a trained F")
    parser.add_argument("--seconds", type=float, help="start no run after so many seconds")
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    torch.set_num_threads(1)
    keep_freed_memory()
    sources = SOURCES | dict(text.rsplit("=", 1) for text in options.weights)
    stored, begun, left = Stored(options.out), time.monotonic(), 0
    for task in options.tasks:
        for seed in options.seeds:
            for name, source in sources.items():
                if (task, name, seed) in stored.done:
                    continue
                if options.seconds and time.monotonic() - begun > options.seconds:
                    left += 1
                    continue
                config = make_downstream_config(
                    "small", task=task, source=source, seed=seed, predictions=True
                )
                out = RUNS / task / name.replace(" ", "").replace("/", "-") / str(seed)
                scores = retrain(config, out, resume=(out / "config.json").is_file(), pairs=pairs(task))
                stored.add(config, scores, name, out)
                print(task, name, seed, {k: round(v, 4) for k, v in scores.values.items()})
    print(f"{left} runs left" if left else "nothing left")


class Stored:
    """The runs that are done: a table, its record and the pictures, written anew after each of them."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.table = load(out.stem, out.parent) if out.is_file() else tidy(out.stem, [])
        record = about(out.stem, out.parent) if out.is_file() else {"settings": {}, "provenance": []}
        self.settings, self.provenance = record["settings"], record["provenance"]
        self.pictures = pictures(out.stem, out.parent) if out.is_file() else {}

    @property
    def done(self) -> set[tuple[str, str, int]]:
        return {(made["task"], made["arm"], made["seed"]) for made in self.provenance}

    def add(self, config: DownstreamConfig, scores: Scores, arm: str, run: Path) -> None:
        """One more run."""
        task = config.task
        self.table = pd.concat([self.table, tidy(self.out.stem, scores.rows(arm))])
        made = json.loads((run / "provenance.json").read_text())
        self.provenance.append({"task": task, "arm": arm} | made)
        ours = config.to_dict()
        self.settings[task] = {name: v for name, v in ours.items() if name not in ("task", "source", "seed")}
        if config.seed == PICTURED_SEED:
            self.pictures.setdefault(task, {})[arm] = drawn(task, run)
            write_text(
                self.out.with_name(f"{self.out.stem}_pictures.json"),
                json.dumps(self.pictures, indent=1) + "\n",
            )
        save(
            self.out.stem,
            self.table,
            what="Scores in [0, 1] of T retrained on each source of SynthRoad",
            command=command_line(),
            provenance=self.provenance,
            settings=self.settings,
            folder=self.out.parent,
        )


@cache
def pairs(task: str) -> dict[str, list[Pair]]:
    """The scenes, drawn once for all sources."""
    config = make_downstream_config("small", task=task)
    opened = {split: open_split(config, split) for split in SPLITS}
    return {split: [opened[split][i] for i in range(len(opened[split]))] for split in SPLITS}


def drawn(task: str, out: Path) -> dict[str, Any]:
    """Scene -> label map, a string of class ids per row of pixels; or rows class, confidence, x1, y1, x2, y2."""
    shown = [pairs(task)["test"][i].name for i in PICTURED]
    if task == "segmentation":
        maps = {name: np.asarray(Image.open(out / "predictions" / f"{name}.png")) for name in shown}
        return {name: ["".join(map(str, row)) for row in ids] for name, ids in maps.items()}
    found = json.loads((out / "predictions.json").read_text())
    return {name: [[round(v, 2) for v in r] for r in found[name] if r[1] >= CONFIDENT] for name in shown}


if __name__ == "__main__":
    main()
