"""The six metrics side by side: tdfusion.metrics, and sewar + scikit-image + scipy, on one core.

Both run in one process with one thread, in turn, on a generated 480x640 pair; times are medians with their
quartiles, and the largest difference of values is given with them. Writes results/bench_metrics.json.
"""

# ruff: noqa: E402, I001 (the environment is set before numpy and torch are imported)
from __future__ import annotations

import os

for _library in ("OMP", "OPENBLAS", "MKL"):  # read when numpy and torch are loaded
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from reference_metrics import qabf, reference_metrics, scd, spatial_frequency, structural_similarity, vifp
from reference_metrics import entropy as reference_entropy

import tdfusion.metrics as ours
from tdfusion.provenance import Stopwatch, provenance

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11, help="runs of each, interleaved (default 11)")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_metrics.json", metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    watch = Stopwatch()
    F, A, B = generated_triple(*arguments.size)
    rows = [
        measure(name, mine, theirs, arguments.repeats) for name, (mine, theirs) in contenders(F, A, B).items()
    ]
    differences = value_differences(F, A, B)
    print(f"{'':14}{'tdfusion':>12}{'reference':>12}{'times faster':>24}{'largest difference':>21}")
    for row in rows:
        away = max(differences.values()) if row["what"] == "all six" else differences[row["what"]]
        row["largest_difference"] = away
        low, high = row["ratio_quartiles"]
        print(
            f"{row['what']:14}{row['tdfusion_ms']:9.1f} ms{row['reference_ms']:9.1f} ms"
            f"{row['ratio']:10.1f} ({low:.1f} .. {high:.1f}){away:19.1e}"
        )
    libraries = {name: version(name) for name in ("sewar", "scikit-image", "scipy", "numpy")}
    report = {
        "what": "all six fusion metrics of one pair, medians of interleaved runs in one process, one thread",
        "size": list(arguments.size),
        "seed": 0,
        "repeats": arguments.repeats,
        "rows": rows,
        "provenance": provenance(watch, reference=libraries),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    scratch = arguments.out.with_name(f".{arguments.out.name}.part")
    scratch.write_text(json.dumps(report, indent=2) + "\n")
    scratch.replace(arguments.out)


def generated_triple(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fused (maximum), infrared and visible, uint8: smooth fields, flat areas, edges and noise, seed 0."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    A = 60 + 40 * np.sin(x / 37) + 150 * (((x - width / 3) ** 2 + (y - height / 2) ** 2) < (height / 8) ** 2)
    B = 90 + 60 * np.sin(x / 9) * np.cos(y / 13) + 50 * ((x // 40 + y // 40) % 2)
    A = np.where(y < height / 5, 20, A + rng.normal(0, 3, A.shape))
    B = np.where(x > 0.8 * width, 255, B + rng.normal(0, 6, B.shape))
    A, B = (np.clip(np.rint(image), 0, 255).astype(np.uint8) for image in (A, B))
    return np.maximum(A, B), A, B


def contenders(F: np.ndarray, A: np.ndarray, B: np.ndarray) -> dict[str, tuple[Callable, Callable]]:
    """What is timed: name to (ours, reference), each a call without arguments."""
    f, a, b = (image.astype(np.float64) for image in (F, A, B))
    return {
        "EN": (lambda: ours.entropy(F), lambda: reference_entropy(F)),
        "SF": (lambda: ours.spatial_frequency(F), lambda: spatial_frequency(f)),
        "SCD": (lambda: ours.scd(F, A, B), lambda: scd(f, a, b)),
        "VIF": (lambda: ours.vif(F, A, B), lambda: (vifp(a, f) + vifp(b, f)) / 2),
        "Qabf": (lambda: ours.qabf(F, A, B), lambda: qabf(f, a, b)),
        "SSIM": (
            lambda: ours.ssim(F, A, B),
            lambda: (structural_similarity(F, A) + structural_similarity(F, B)) / 2,
        ),
        "all six": (lambda: ours.all_metrics(F, A, B), lambda: reference_metrics(F, A, B)),
    }


def measure(name: str, mine: Callable, theirs: Callable, repeats: int) -> dict:
    """Median milliseconds of both, and of their ratio run by run."""
    mine(), theirs()  # first calls build caches
    times = np.empty((repeats, 2))
    for run in range(repeats):
        for side, call in enumerate((mine, theirs)):
            start = time.perf_counter()
            call()
            times[run, side] = time.perf_counter() - start
    ratios = times[:, 1] / times[:, 0]
    milliseconds = 1e3 * np.percentile(times, (25, 50, 75), axis=0)
    return {
        "what": name,
        "tdfusion_ms": round(milliseconds[1, 0], 3),
        "tdfusion_quartiles_ms": [round(milliseconds[i, 0], 3) for i in (0, 2)],
        "reference_ms": round(milliseconds[1, 1], 3),
        "reference_quartiles_ms": [round(milliseconds[i, 1], 3) for i in (0, 2)],
        "ratio": round(float(np.median(ratios)), 2),
        "ratio_quartiles": [round(float(np.percentile(ratios, q)), 2) for q in (25, 75)],
    }


def value_differences(F: np.ndarray, A: np.ndarray, B: np.ndarray) -> dict[str, float]:
    """Largest absolute difference of each metric over three fusions: maximum, mean, and the infrared image."""
    largest: dict[str, float] = {}
    for fused in (F, ((A.astype(int) + B + 1) // 2).astype(np.uint8), A):
        mine, theirs = ours.measure(fused, A, B).values, reference_metrics(fused, A, B)
        for metric in ours.METRICS:
            if not np.isnan(mine[metric]):
                away = abs(mine[metric] - theirs[metric])
                largest[metric] = float(max(largest.get(metric, 0.0), away))
    return largest


if __name__ == "__main__":
    main()
