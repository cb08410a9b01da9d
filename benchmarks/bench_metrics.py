"""The six metrics side by side: tdfusion.metrics, and sewar + scikit-image + scipy, on one core.

Both run in one process with one thread, in turn, on a generated 480x640 pair; times are medians with their
quartiles, and the largest difference of values is given with them. Then a folder of such pairs, with one
worker and with one per core. Writes results/bench_metrics.csv.
"""

# ruff: noqa: E402, I001 (the environment is set before numpy and torch are imported)
from __future__ import annotations

import os

for _library in ("OMP", "OPENBLAS", "MKL"):  # read when numpy and torch are loaded
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tdfusion.reference.metrics import (
    qabf,
    reference_metrics,
    scd,
    spatial_frequency,
    structural_similarity,
    vifp,
)
from tdfusion.reference.metrics import entropy as reference_entropy

import tdfusion.metrics as ours
from tdfusion.evaluate import evaluate_folder
from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OURS = "tdfusion"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11, help="runs of each, interleaved (default 11)")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))
    add_result_options(parser, ROOT / "results" / "bench_metrics.csv")
    arguments = parser.parse_args()
    require_clean(arguments.out, arguments.allow_dirty)
    torch.set_num_threads(1)
    libraries = {name: version(name) for name in ("sewar", "scikit-image", "scipy", "numpy")}
    made = Provenance.begin(reference=libraries, load_average=os.getloadavg())
    F, A, B = generated_triple(*arguments.size)
    found = [
        measure(name, mine, theirs, arguments.repeats) for name, (mine, theirs) in contenders(F, A, B).items()
    ]
    differences = value_differences(F, A, B)
    print(
        f"{'':9}{'tdfusion':>13}{'reference':>13}{'times faster':>22}{'in processor time':>22}{'difference':>13}"
    )
    for row in found:
        away = max(differences.values()) if row["what"] == "all six" else differences[row["what"]]
        row["largest_difference"] = away
        wall = row["wall"]
        faster = [
            f"{clock['ratio']:10.1f} ({clock['ratio_quartiles'][0]:.1f}..{clock['ratio_quartiles'][1]:.1f})"
            for clock in (wall, row["processor"])
        ]
        print(
            f"{row['what']:9}{wall['tdfusion_ms']:10.1f} ms{wall['reference_ms']:10.1f} ms"
            f"{faster[0]:>22}{faster[1]:>22}{away:13.1e}"
        )
    folder = folder_speedup(F, A, B)
    print(
        f"folder of {folder['pairs']} pairs: {folder['one_worker_s']:.2f} s with one worker, "
        f"{folder['all_cores_s']:.2f} s with {folder['workers']}, {folder['ratio']:.2f} times faster"
    )
    save(
        arguments.out.stem,
        rows(found, folder),
        what="the six fusion metrics of one pair, medians of interleaved runs in one process, one thread",
        command=command_line(),
        provenance=[made.finish()],
        settings={"size": list(arguments.size), "seed": 0, "repeats": arguments.repeats},
        folder=arguments.out.parent,
    )


def rows(found: list[dict], folder: dict) -> Iterator[dict]:
    """For the results table: a group per metric; an arm per side, and none for what compares them."""
    for row in found:
        values = {"largest_difference": row["largest_difference"]}
        for clock in ("wall", "processor"):
            for side in (OURS, "reference"):
                yield {
                    "arm": side,
                    "group": row["what"],
                    "values": with_quartiles(f"{clock}_ms", row[clock], f"{side}_ms"),
                }
            values |= with_quartiles(f"{clock}_ratio", row[clock], "ratio")
        yield {"group": row["what"], "values": values}
    yield {"arm": OURS, "group": "folder", "values": folder}


def with_quartiles(name: str, row: dict, key: str) -> dict[str, float]:
    """A median and its quartiles as three metrics."""
    lower, upper = row[f"{key}_quartiles"]
    return {name: row[key], f"{name}, lower quartile": lower, f"{name}, upper quartile": upper}


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
    """Median milliseconds of both and of their ratio run by run, by the wall clock and in processor time.

    On a shared machine the ratio in processor time is the steadier one.
    """
    mine(), theirs()  # first calls build caches
    wall, processor = np.empty((repeats, 2)), np.empty((repeats, 2))
    for run in range(repeats):
        for side, call in enumerate((mine, theirs)):
            start, used = time.perf_counter(), time.thread_time()
            call()
            wall[run, side], processor[run, side] = time.perf_counter() - start, time.thread_time() - used
    return {"what": name, "wall": _summary(wall), "processor": _summary(processor)}


def _summary(seconds: np.ndarray) -> dict:
    """Medians and quartiles of (repeats, 2) seconds: ours, the reference's, their ratio."""
    ratios = seconds[:, 1] / seconds[:, 0]
    quartiles = np.percentile(np.column_stack([1e3 * seconds, ratios]), (25, 50, 75), axis=0).round(3)
    keys = ("tdfusion_ms", "reference_ms", "ratio")
    medians = {key: float(value) for key, value in zip(keys, quartiles[1])}
    return medians | {f"{key}_quartiles": quartiles[[0, 2], k].tolist() for k, key in enumerate(keys)}


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


def folder_speedup(F: np.ndarray, A: np.ndarray, B: np.ndarray, pairs: int = 12, repeats: int = 5) -> dict:
    """Seconds for a folder of ``pairs`` copies, one worker and one per core, in turn; files read included."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    times = np.empty((repeats, 2))
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / role for role in ("ir", "vi", "fused")]
        for folder, image in zip(folders, (A, B, F)):
            folder.mkdir()
            for number in range(pairs):
                Image.fromarray(image).save(folder / f"{number}.png")
        for run in range(repeats):
            for side, count in enumerate((1, workers)):
                start = time.perf_counter()
                evaluate_folder(*folders, workers=count, with_baselines=False)
                times[run, side] = time.perf_counter() - start
    one, many = np.median(times, axis=0)
    return {
        "pairs": pairs,
        "workers": workers,
        "one_worker_s": round(float(one), 3),
        "all_cores_s": round(float(many), 3),
        "ratio": round(float(np.median(times[:, 0] / times[:, 1])), 2),
    }


if __name__ == "__main__":
    main()
