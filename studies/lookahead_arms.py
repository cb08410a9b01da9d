"""The arms of the study of how far ahead a loss looks, in the order of their weight. No torch here.

Questions, criteria and budget stand in ``book/reproduce/lookahead_plan.md``, written before the runs.
"""

from __future__ import annotations

from dataclasses import replace

from studies.arm import Arm

SEEDS = (10, 11, 12, 13, 14, 15, 16)
CLAIMED = 5  # seeds that a claim rests on at least
SMALL = Arm(F="paper 8", batch=8)  # the paper's form of F, width 8, one block
MASK = Arm()  # an F that can only choose, centred
FULL = Arm(F="paper", batch=8, eta_F=1e-3)  # the paper's F, G local as in the others
TEACHER = "teacher"
TAUGHT = TEACHER  # as an arm's w: what the teacher says


def _family(form: str, arm: Arm, *names: str) -> dict[str, Arm]:
    """The ways to come by w, for one form of F."""
    ways = {
        "half": {"w": "half"},
        "oracle": {"w": "oracle"},
        "taught": {"w": TAUGHT},
        "shuffled": {"w": f"{TAUGHT} shuffled"},
        "image step": {"method": "image"},
        "image step, three times": {"method": "image", "M": 36},
        "one step": {},
        "gauss-newton": {"method": "gauss_newton", "falling": True},
        "half + L_t": {"w": "half", "task_weight": 1.0},
        "half + 0.1 L_t": {"w": "half", "task_weight": 0.1},
        "half + 0.01 L_t": {"w": "half", "task_weight": 0.01},
        "image step + L_t": {"method": "image", "task_weight": 1.0},
        "taught + L_t": {"w": TAUGHT, "task_weight": 1.0},
        "taught + 0.1 L_t": {"w": TAUGHT, "task_weight": 0.1},
        "taught + 0.01 L_t": {"w": TAUGHT, "task_weight": 0.01},
        **{rule: {"w": rule} for rule in ("brighter", "contrast", "edges", "blobs")},
    }
    return {f"{form}: {name}": replace(arm, **ways[name]) for name in names}


WAYS = ("half", "oracle", "taught", "image step", "half + L_t")
TIERS: dict[str, dict[str, Arm]] = {
    "core": _family("small", SMALL, *WAYS, "image step + L_t"),
    "controls": _family(
        "small", SMALL, "one step", "gauss-newton", "shuffled", "brighter", "contrast", "edges", "blobs",
        "image step, three times",
    ),
    "axes": _family(
        "small", SMALL, "half + 0.1 L_t", "half + 0.01 L_t", "taught + L_t", "taught + 0.1 L_t", "taught + 0.01 L_t",
    )
    | _family("small, alpha 0.1", replace(SMALL, alpha=0.1), *WAYS)
    | _family("small, alpha 1", replace(SMALL, alpha=1.0), *WAYS),
    "forms": _family("mask", MASK, *WAYS, "one step", "gauss-newton")
    | _family("full", FULL, *WAYS)
    | _family("full, alpha 0.1", replace(FULL, alpha=0.1), *WAYS)
    | _family("full, alpha 1", replace(FULL, alpha=1.0), *WAYS),
}  # fmt: skip
TIERS["core"] = {TEACHER: Arm(w="direct")} | TIERS["core"]
ARMS: dict[str, Arm] = {name: arm for tier in TIERS.values() for name, arm in tier.items()}

# What no F has made. "w alone": the teacher's map without either image, judged as if it were one.
IMAGES: dict[str, tuple[str, ...]] = {
    "core": ("two channels", "oracle mix", "visible", "mean"),
    "controls": ("infrared", "max", "w alone"),
}


def names_of(tier: str) -> tuple[str, ...]:
    """The names of a tier's jobs, in their order."""
    return (*IMAGES.get(tier, ()), *TIERS[tier])


JOBS = tuple(name for tier in TIERS for name in names_of(tier))


def jobs() -> list[tuple[str, int]]:
    """Every job, a name and a seed, in the order of its weight: a stopped study lacks the least.

    A tier is run for as many seeds as a claim needs before the next one begins; what is left of the seeds comes last.
    """
    order = ((seeds, tier) for seeds in (SEEDS[:CLAIMED], SEEDS[CLAIMED:]) for tier in TIERS)
    return [(name, seed) for seeds, tier in order for seed in seeds for name in names_of(tier)]


def needs_teacher(name: str) -> bool:
    """Whether a job takes its w from the teacher of its seed."""
    return name == "w alone" or (name in ARMS and ARMS[name].w.startswith(TAUGHT))
