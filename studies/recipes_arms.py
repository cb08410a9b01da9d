"""Table 3's experiments, and every difference between the paper and its released code alone. No torch here.

Questions, criteria and budget stand in ``book/reproduce/recipes_plan.md``, written before the runs.
"""

from __future__ import annotations

from typing import Any

SEEDS = (10, 11, 12, 13, 14)
# The paper's F and G at a scale that a core trains in minutes; T is the small SegFormer of the other studies.
SCALE: dict[str, Any] = {
    "scenes": 384, "scene_size": (64, 64), "crop": 48, "L": 10, "M": 12, "N": 48, "batch": 4,
    **dict.fromkeys(("eta_F", "eta_T", "eta_G", "eta_F_prime", "eta_T_prime"), 1e-3),
}  # fmt: skip
PAPER = "full"
RELEASED = "released in all"  # where there is a counterpart at this scale

EXPERIMENTS: dict[str, dict[str, Any]] = {
    PAPER: {},
    **{name: {"experiment": name} for name in ("I", "II", "III", "IV-L_f", "IV-L_t", "V")},
    "image step": {"method": "image"},
    "w = oracle": {"w": "oracle"},
}
DIFFERENCES: dict[str, dict[str, Any]] = {
    "weights squared": {"intensity": "released"},
    "signed gradients": {"gradient": "released"},
    "G by the normalised gradient": {"G_update": "normalised"},
    "T' by Adam": {"T_prime_update": "adam"},
    "consecutive meta sets": {"partition": "released"},
    "modalities swapped": {"batch": 2, "swap": True},
    "rates decay": {"decay_every": 3},  # as 10 of 40 epochs
    "T sees whole pairs": {"task_size": (64, 64)},
}
DIFFERENCES[RELEASED] = {name: value for settings in DIFFERENCES.values() for name, value in settings.items()}
DIFFERENCES["Adam's usual epsilon for G"] = {"eps_G": 1e-8}
ARMS = EXPERIMENTS | DIFFERENCES


def jobs() -> list[tuple[str, int]]:
    """Every job, a name and a seed: three seeds of all arms, then two more of the experiments."""
    return [(name, seed) for seed in SEEDS[:3] for name in ARMS] + [
        (name, seed) for seed in SEEDS[3:] for name in EXPERIMENTS
    ]
