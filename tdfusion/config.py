"""Every setting of a training run, on one screen (Sec. 4.1 and the released code)."""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tdfusion.errors import InputError

Variant = Literal["paper", "released"]
TaskName = Literal["segmentation", "detection"]
GUpdate = Literal["adam", "gradient", "normalised"]
TUpdate = Literal["gradient", "adam"]
Method = Literal["forward", "double_backward", "double_vjp", "gauss_newton"]
Weights = Literal["learned", "half"]
TASKS = get_args(TaskName)
DATASETS = ("SynthRoad", "MSRS", "FMB", "M3FD", "LLVIP")


def check_variant(variant: str) -> None:
    """Refuse a variant that the losses do not have.

    Raises:
        InputError: neither "paper" nor "released".
    """
    if variant not in get_args(Variant):
        raise InputError(f'unknown variant "{variant}"; choose "paper" or "released"')


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All settings of Algorithm 1. Defaults are the paper's (Sec. 4.1); "not given" marks our choice.

    `make_config` builds one from a preset (scale) and a variant (which column of the differences between
    the paper and its released code), with any setting named on top.
    """

    # --- what is trained, on what
    dataset: str = "SynthRoad"  # or "custom": the caller gives `tdfusion.train.Trainer` its pairs
    task: TaskName = "segmentation"
    root: str | None = None  # folder of the data set; SynthRoad needs none
    partial: bool = False  # train on what is complete where files of the data set are missing
    scene_size: tuple[int, int] = (480, 640)  # px, H W of SynthRoad scenes
    scenes: int = 1083  # SynthRoad training pairs; MSRS has as many
    seed: int = 0
    device: str = "cpu"
    workers: int = 0  # processes that read all training pairs ahead; 0: each is read when a step asks for it

    # --- Algorithm 1
    L: int = 50  # epochs
    M: int = 200  # meta-steps per epoch
    N: int | None = None  # fusion steps per epoch; None: the whole training set once
    batch: int = 2  # pairs per step
    crop: int = 256  # px, side of the square that F's loss sees (released; the paper: not given)
    task_size: tuple[int, int] | None = None  # px, whole pairs resized for T (released); None: F's crops
    partition: Variant = "paper"  # Sec. 3.3: disjoint subsets, or the released consecutive batches
    snapshots: int = 0  # epochs between copies of F and G kept in the run folder; 0: the last ones only

    # --- L_f, Eq. (1) to (3)
    w: Weights = "learned"  # by G, or 1/2 everywhere without meta-steps (Exp. I of Table 3)
    alpha: float = 1.0  # weight of the gradient term
    intensity: Variant = "paper"  # Eq. (2), or the weights squared as released
    gradient: Variant = "paper"  # Eq. (3) on gradient strengths, or signed and per direction

    # --- steps; learning rates per step
    method: Method = "forward"  # of the meta-gradient, see `tdfusion.meta.meta_gradient`
    damping: float = 1e-3  # of the method "gauss_newton" alone
    eta_F: float = 1e-4  # Eq. (8), Adam
    eta_T: float = 1e-4  # Eq. (9), Adam
    eta_G: float = 1e-4  # Eq. (6)
    eta_F_prime: float = 1e-4  # Eq. (4); not given: the learning rate of F, as released
    eta_T_prime: float = 1e-4  # Eq. (5); not given: the learning rate of T, as released
    G_update: GUpdate = "adam"  # Sec. 4.1; "gradient" is Eq. (6) as printed, "normalised" is released
    eps_G: float = (
        1e-16  # Adam's epsilon for G: its gradient, 1e-13 to 1e-10 an entry, is far below the usual 1e-8
    )
    T_prime_update: TUpdate = "gradient"  # Eq. (5), or one step of T's own Adam, as released
    decay_every: int = 0  # epochs between decays of eta_F and eta_T; 0: never
    decay_factor: float = 0.1
    swap: bool = False  # released: every batch doubled by the pairs with their modalities swapped
    loss_limit: float = 1e4  # a loss above it, or not finite, stops the run

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"{name} = {value!r}: choose one of {', '.join(map(repr, allowed))}")
        for field in dataclasses.fields(self):
            _check_number(field.name, getattr(self, field.name), str(field.type))
        if min(self.scene_size) < self.crop and self.dataset == "SynthRoad":
            raise InputError(f"crop = {self.crop} px is larger than scene_size = {self.scene_size}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``config.json``."""
        return dataclasses.asdict(self)


_CHOICES = {
    "dataset": (*DATASETS, "custom"),
    "task": TASKS,
    "w": get_args(Weights),
    "method": get_args(Method),
    "partition": get_args(Variant),
    "intensity": get_args(Variant),
    "gradient": get_args(Variant),
    "G_update": get_args(GUpdate),
    "T_prime_update": get_args(TUpdate),
}
_MAY_BE_ZERO = ("seed", "workers", "alpha", "decay_every", "eta_T_prime", "snapshots")

PRESETS: dict[str, dict[str, Any]] = {
    # A look at the whole machine: under a minute on two CPU cores.
    "smoke": {"L": 2, "M": 6, "scenes": 32, "scene_size": (64, 64), "crop": 64},
    # Enough to see w move: under ten minutes on two CPU cores.
    "tour": {"L": 8, "M": 24, "scenes": 128, "scene_size": (96, 96), "crop": 96},
    # Sec. 4.1.
    "paper": {},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {
        "L": 40,
        "batch": 1,
        "swap": True,
        "partition": "released",
        "intensity": "released",
        "gradient": "released",
        "G_update": "normalised",
        "T_prime_update": "adam",
        "decay_every": 10,
    },
}


# px, H W to which the released code resizes whole pairs for T; SynthRoad as MSRS, whose size it has.
RELEASED_TASK_SIZES = {
    "MSRS": (240, 320),
    "FMB": (300, 400),
    "M3FD": (192, 256),
    "LLVIP": (256, 320),
    "SynthRoad": (240, 320),
}


def make_config(preset: str = "smoke", variant: str = "paper", **settings: Any) -> TrainConfig:
    """A `TrainConfig` from a preset and a variant; ``settings`` override both.

    A preset sets the scale and wins over the variant where both speak (the number of epochs). ``None``
    for a setting means "as the preset has it", so that a notebook can list every parameter.

    Raises:
        InputError: unknown preset, variant or setting (the nearest name is suggested), or a value out of
            its range.

    Example:
        >>> config = make_config("paper", "released", dataset="FMB")
        >>> config.L, config.M, config.intensity, config.task_size
        (40, 200, 'released', (300, 400))
        >>> make_config(alhpa=0.5)
        Traceback (most recent call last):
        tdfusion.errors.InputError: unknown setting "alhpa"; did you mean "alpha"?
    """
    check_variant(variant)
    if preset not in PRESETS:
        raise InputError(f'unknown preset "{preset}"; choose one of {", ".join(PRESETS)}')
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; known: {', '.join(sorted(known))}"
            raise InputError(f'unknown setting "{name}"{hint}')
    given = {name: value for name, value in settings.items() if value is not None}
    for name in ("scene_size", "task_size"):
        if isinstance(given.get(name), list):  # JSON and YAML have no tuples
            given[name] = tuple(given[name])
    if variant == "released" and preset == "paper":
        given = {"task_size": RELEASED_TASK_SIZES.get(given.get("dataset", "SynthRoad"))} | given
    return TrainConfig(**(VARIANTS[variant] | PRESETS[preset] | given))


def _check_number(name: str, value: Any, annotation: str) -> None:
    if annotation.startswith("int") and value is not None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"{name} = {value!r}: expected a whole number")
    elif annotation == "float" and not (isinstance(value, (int, float)) and not isinstance(value, bool)):
        raise InputError(f"{name} = {value!r}: expected a number")
    elif annotation == "bool" and not isinstance(value, bool):
        raise InputError(f"{name} = {value!r}: expected true or false")
    elif (
        annotation.startswith("tuple")
        and not (value is None and annotation.endswith("None"))
        and not (
            isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) and v > 0 for v in value)
        )
    ):
        raise InputError(f"{name} = {value!r}: expected two whole numbers, height and width")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        lowest_ok = value >= 0 if name in _MAY_BE_ZERO else value > 0
        if not lowest_ok or not math.isfinite(value):
            raise InputError(
                f"{name} = {value!r}: expected a number {'>=' if name in _MAY_BE_ZERO else '>'} 0"
            )
