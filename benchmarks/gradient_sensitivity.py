"""How far rounding alone moves the meta-gradient; writes results/gradient_sensitivity.csv. A minute or two.

F's weights change by about one part in a million, as by a rounding error, and the gradient of theta_G is compared
with the one before. Two programs that compute the same thing cannot be expected to agree better.

    python -m benchmarks.gradient_sensitivity
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.bench_forms import build, gradient
from tdfusion.config import TASKS
from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

OUT = Path(__file__).resolve().parents[1] / "results" / "gradient_sensitivity.csv"
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    made = Provenance.begin()
    found = [
        {
            "task": task,
            "group": f"{size} px",
            "seed": seed,
            "values": {"distance": sensitivity(task, size, seed)},
        }
        for task, size, seed in tqdm(list(product(TASKS, SIZES, SEEDS)))
    ]
    save(
        options.out.stem,
        found,
        what="relative distance of dL_t/dtheta_G where F's weights change by one part in a million, a draw per seed",
        command=command_line(),
        provenance=[made.finish()],
        settings={"change": CHANGE},
        folder=options.out.parent,
    )


if __name__ == "__main__":
    main()
