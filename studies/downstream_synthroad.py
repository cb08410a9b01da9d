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
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tdfusion.data.pair import Pair
from tdfusion.downstream.config import DownstreamConfig, make_downstream_config
from tdfusion.downstream.prepare import SPLITS, open_split
from tdfusion.downstream.run import retrain
from tdfusion.files import write_text
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Stopwatch

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "downstream_synthroad.json"
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
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    sources = SOURCES | dict(text.rsplit("=", 1) for text in options.weights)
    watch, left = Stopwatch(), 0
    table = json.loads(options.out.read_text()) if options.out.is_file() else {"runs": []}
    table |= {"what": "Scores in [0, 1] of T retrained on each source of SynthRoad; one entry per run"}
    for task in options.tasks:
        for seed in options.seeds:
            for name, source in sources.items():
                if any((r["task"], r["source"], r["seed"]) == (task, name, seed) for r in table["runs"]):
                    continue
                if options.seconds and watch.seconds() > options.seconds:
                    left += 1
                    continue
                table["runs"].append(one_run(task, name, source, seed))
                table["runs"].sort(key=lambda r: (r["task"], list(sources).index(r["source"])
                                                  if r["source"] in sources else len(sources), r["seed"]))  # fmt: skip
                write_text(options.out, json.dumps(table, indent=1) + "\n")
                print(
                    task,
                    name,
                    seed,
                    {k: round(v, 4) for k, v in table_values(table, task, name, seed).items()},
                )
    print(f"{left} runs left" if left else "nothing left")


def table_values(table: dict[str, Any], task: str, name: str, seed: int) -> dict[str, float]:
    return next(r for r in table["runs"] if (r["task"], r["source"], r["seed"]) == (task, name, seed))[
        "scores"
    ]


def one_run(task: str, name: str, source: str, seed: int) -> dict[str, Any]:
    """Retrain once; what the table and the pictures need of it."""
    config = make_downstream_config("small", task=task, source=source, seed=seed, predictions=True)
    out = RUNS / task / name.replace(" ", "").replace("/", "-") / str(seed)
    scores = retrain(config, out, resume=(out / "config.json").is_file(), pairs=pairs(task))
    row: dict[str, Any] = {
        "task": task,
        "source": name,
        "seed": seed,
        "scores": scores.values,
        "classes": {c.name: {"count": c.count} | c.values for c in scores.classes},
        "absent": scores.absent,
        "images": scores.images,
        "provenance": json.loads((out / "provenance.json").read_text()),
        "config": portable(config, name),
    }
    if seed == PICTURED_SEED:
        row["pictures"] = pictures(task, out)
    return row


def portable(config: DownstreamConfig, name: str) -> dict[str, Any]:
    """The settings, with the name of a trained F in place of where its file lay."""
    return config.to_dict() | {"source": name}


@cache
def pairs(task: str) -> dict[str, list[Pair]]:
    """The scenes, drawn once for all sources."""
    config = make_downstream_config("small", task=task)
    opened = {split: open_split(config, split) for split in SPLITS}
    return {split: [opened[split][i] for i in range(len(opened[split]))] for split in SPLITS}


def pictures(task: str, out: Path) -> dict[str, Any]:
    """Scene -> label map, a string of class ids per row of pixels; or rows class, confidence, x1, y1, x2, y2."""
    shown = [pairs(task)["test"][i].name for i in PICTURED]
    if task == "segmentation":
        maps = {name: np.asarray(Image.open(out / "predictions" / f"{name}.png")) for name in shown}
        return {name: ["".join(map(str, row)) for row in ids] for name, ids in maps.items()}
    found = json.loads((out / "predictions.json").read_text())
    return {name: [[round(v, 2) for v in r] for r in found[name] if r[1] >= CONFIDENT] for name in shown}


if __name__ == "__main__":
    main()
