"""Photographs: what is judged there, at which sizes, by which arms of F. No torch here: the Snakefile reads it.

Questions, criteria and budget stand in ``book/reproduce/photographs_plan.md``, written before the runs.
"""

from __future__ import annotations

from typing import Any

FOLDS = "MSRS-blocks"
CLASSES = ("background", "person", "bicycle", "car")
JUDGE = {
    "steps": 1000,
    "crop": (96, 128),
}  # the window that a judge is trained on, whatever the size of the images

# Part A: where is anything to win? The sizes, and the seeds that nothing else uses.
SIZES = {"96x128": (96, 128), "192x256": (192, 256), "288x384": (288, 384)}
SIZE_SEEDS = (30, 31)
SOURCES = ("infrared", "visible", "two channels", "mean", "max")

# Part B: F of every arm, at the size that part A has chosen.
SEEDS = (32, 33, 34)
SCALE: dict[str, Any] = {
    "dataset": "custom", "task": "segmentation", "width": 8, "blocks": 1, "alpha": 0.0,
    "crop": 64, "L": 10, "M": 12, "N": 48, "batch": 4,
    **dict.fromkeys(("eta_F", "eta_T", "eta_G", "eta_F_prime", "eta_T_prime"), 1e-3),
}  # fmt: skip
TEACHER = "teacher"
ARMS: dict[str, dict[str, Any]] = {
    TEACHER: {"experiment": "V"},
    "half": {"w": "half"},
    "taught": {"w": "given"},
    "image step": {"method": "image"},
    "one step": {},
    "half + L_t": {"w": "half", "task_weight": 1.0},
}
REFERENCE = "reference [5]"


CHOSEN = ""  # the size that part A has chosen by the plan's rule; empty until it is made


def jobs() -> list[tuple[str, int]]:
    """Every job, a name such as "96x128: mean" and a seed: part A, then part B at the size that it has chosen."""
    sizes = [(f"{size}: {source}", seed) for seed in SIZE_SEEDS for size in SIZES for source in SOURCES]
    names = (*SOURCES, REFERENCE, *ARMS) if CHOSEN else ()
    return sizes + [(f"{CHOSEN}: {name}", seed) for seed in SEEDS for name in names]


def needs(name: str) -> str:
    """The job that another one of the same seed takes its w from; empty where there is none."""
    size, _, arm = name.partition(": ")
    return f"{size}: {TEACHER}" if ARMS.get(arm, {}).get("w") == "given" else ""
