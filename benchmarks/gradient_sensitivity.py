"""How far rounding alone moves the meta-gradient; writes results/gradient_sensitivity.json. A minute or two.

F's weights change by about one part in a million, as by a rounding error, and the gradient of theta_G is compared
with the one before. Two programs that compute the same thing cannot be expected to agree better.

    python -m benchmarks.gradient_sensitivity
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.bench_forms import build, gradient
from tdfusion.config import TASKS
from tdfusion.files import write_text
from tdfusion.runs.provenance import Stopwatch, provenance

OUT = Path(__file__).resolve().parents[1] / "results" / "gradient_sensitivity.json"
SIZES, CHANGE, SEEDS = (32, 128), 1e-6, (0, 1, 2)


def sensitivity(task: str, size: int, seed: int) -> float:
    """Relative distance of the gradient after the change."""
    trainer = build(task, size, "forward", "cpu")
    before = gradient(trainer)
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in trainer.F.parameters():
            p.mul_(1 + CHANGE * torch.randn_like(p))
    return float(np.linalg.norm(gradient(trainer) - before) / np.linalg.norm(before))


def main() -> None:
    watch = Stopwatch()
    rows = [
        {"task": task, "crop_px": size, "distances": [sensitivity(task, size, seed) for seed in SEEDS]}
        for task, size in tqdm(list(product(TASKS, SIZES)))
    ]
    report = {
        "what": "relative distance of dL_t/dtheta_G where F's weights change by one part in a million, three draws",
        "rows": rows,
        "provenance": provenance(watch),
    }
    write_text(OUT, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
