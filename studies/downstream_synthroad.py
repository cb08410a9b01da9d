"""Sec. 4.3 on SynthRoad: what the retrained task networks say of a few scenes, for the layouts of Fig. 3 and 4.

The runs are the matrix ``downstream_synthroad`` of ``studies/matrix.yaml``, which also makes the table.

    snakemake -s studies/Snakefile -j 2 downstream_synthroad    # all of it; then this one does the pictures:
    python -m studies.downstream_synthroad
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from studies.matrix import Run, read_matrices
from tdfusion.downstream.config import make_downstream_config
from tdfusion.downstream.prepare import open_split
from tdfusion.files import write_text
from tdfusion.runs.provenance import add_result_options, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "downstream_synthroad_pictures.json"
PICTURED = (10, 14, 24)  # a day, a night and a fog scene of the test split with many classes and boxes
PICTURED_SEED = 0
CONFIDENT = 0.25  # of the boxes kept for pictures, as ultralytics' own prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    content = yaml.safe_load((ROOT / "studies" / "matrix.yaml").read_text("utf-8"))
    matrix = read_matrices(content)["downstream_synthroad"]
    pictures: dict[str, dict[str, Any]] = {}
    for run in matrix.runs.values():
        if run.where["seed"] == PICTURED_SEED:
            pictures.setdefault(run.where["task"], {})[run.arm] = drawn(run)
    write_text(options.out, json.dumps(pictures, indent=1) + "\n")


def drawn(run: Run) -> dict[str, Any]:
    """Scene -> label map, a string of class ids per row of pixels; or rows class, confidence, x1, y1, x2, y2."""
    out, task = Path(run.folder), run.where["task"]
    scenes = open_split(make_downstream_config("small", task=task), "test")
    shown = [scenes[i].name for i in PICTURED]
    if task == "segmentation":
        maps = {name: np.asarray(Image.open(out / "predictions" / f"{name}.png")) for name in shown}
        return {name: ["".join(map(str, row)) for row in ids] for name, ids in maps.items()}
    found = json.loads((out / "predictions.json").read_text())
    return {name: [[round(v, 2) for v in r] for r in found[name] if r[1] >= CONFIDENT] for name in shown}


if __name__ == "__main__":
    main()
