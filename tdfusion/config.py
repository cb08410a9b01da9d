"""Every setting of a training run, on one screen (Sec. 4.1 and the released code)."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from pydantic.dataclasses import dataclass

from tdfusion.data.layouts import check_trainable, find_layout
from tdfusion.errors import InputError
from tdfusion.settings import STRICT, Count, Positive, Rate, Size, Weight, check_names, in_words, without_none

Variant = Literal["paper", "released"]
TaskName = Literal["segmentation", "detection"]
GUpdate = Literal["adam", "gradient", "normalised"]
TUpdate = Literal["gradient", "adam"]
Method = Literal["forward", "gauss_newton", "image"]
Weights = Literal["learned", "half", "oracle", "given", "shuffled", "frozen"]
FusionPhase = Literal["own", "outer"]
Form = Literal["network", "mix"]
TASKS = get_args(TaskName)


def check_variant(variant: str) -> None:
    """Refuse a variant that the losses do not have.

    Raises:
        InputError: neither "paper" nor "released".
    """
    if variant not in get_args(Variant):
        raise InputError(f'unknown variant "{variant}"; choose "paper" or "released"')


@in_words
@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainConfig:
    """All settings of Algorithm 1. Defaults are the paper's (Sec. 4.1); "not given" marks our choice.

    `make_config` builds one from a preset (scale), a variant (which column of the differences between the
    paper and its released code) and an experiment (which row of Table 3), with any setting named on top.
    """

    # --- what is trained, on what
    dataset: str = "SynthRoad"  # or "custom": the caller gives `tdfusion.train.Trainer` its pairs
    task: TaskName = "segmentation"
    root: str | None = None  # folder of the data set; SynthRoad needs none
    partial: bool = False  # train on what is complete where files of the data set are missing
    scene_size: Size = (480, 640)  # px, H W of SynthRoad scenes
    scenes: Positive = 1083  # SynthRoad training pairs; MSRS has as many
    seed: Count = 0
    device: str = "cpu"
    workers: Count = (
        0  # processes that read all training pairs ahead; 0: each is read when a step asks for it
    )

    # --- networks, Sec. 3.6
    form: Form = "network"  # F; or Exp. V's I_f = w_a I_a + w_b I_b
    width: Positive = 16  # channels per modality of F and G, a multiple of 8
    blocks: Positive = 2  # Restormer blocks per stage of F and G

    # --- Algorithm 1
    L: Positive = 50  # epochs
    M: Positive = 200  # meta-steps per epoch
    N: Positive | None = None  # fusion steps per epoch; None: the whole training set once
    batch: Positive = 2  # pairs per step
    crop: Positive = 256  # px, side of the square that F's loss sees (released; the paper: not given)
    task_size: Size | None = None  # px, whole pairs resized for T (released); None: F's crops
    partition: Variant = "paper"  # Sec. 3.3: disjoint subsets, or the released consecutive batches
    fusion_phase: FusionPhase = "own"  # lines 12 to 16; "outer": F moves in the outer update (Exp. IV)
    snapshots: Count = 0  # epochs between copies of F and G kept in the run folder; 0: the last ones only

    # --- L_f, Eq. (1) to (3), and what else moves F
    w: Weights = "learned"  # by G; or half (Exp. I); controls: oracle, given, shuffled, frozen
    w_from: str | None = None  # G.safetensors whose weights are "given" or "shuffled"
    alpha: Weight = 1.0  # weight of the gradient term; 0: Exp. II
    intensity: Variant = "paper"  # Eq. (2), or the weights squared as released
    gradient: Variant = "paper"  # Eq. (3) on gradient strengths, or signed and per direction
    fusion_weight: Weight = 1.0  # of L_f in the loss that moves F
    task_weight: Weight = 0.0  # of L_t in it; 1: Exp. III

    # --- steps; learning rates per step
    method: Method = "forward"  # how far ahead the meta-gradient looks, see `tdfusion.meta.meta_gradient`
    damping: Rate = 1e-3  # of the method "gauss_newton" alone
    eta_I: Rate = 0.5  # of the method "image" alone
    eta_F: Rate = 1e-4  # Eq. (8), Adam
    eta_T: Rate = 1e-4  # Eq. (9), Adam
    eta_G: Rate = 1e-4  # Eq. (6)
    eta_F_prime: Rate = 1e-4  # Eq. (4); not given: the learning rate of F, as released
    eta_T_prime: Weight = 1e-4  # Eq. (5); not given: the learning rate of T, as released
    G_update: GUpdate = "adam"  # Sec. 4.1; "gradient" is Eq. (6) as printed, "normalised" is released
    eps_G: Rate = 1e-16  # Adam's epsilon for G, whose gradient (1e-13 to 1e-10) the usual 1e-8 would swallow
    T_prime_update: TUpdate = "gradient"  # Eq. (5), or one step of T's own Adam, as released
    decay_every: Count = 0  # epochs between decays of eta_F and eta_T; 0: never
    decay_factor: Rate = 0.1
    swap: bool = False  # released: every batch doubled by the pairs with their modalities swapped
    loss_limit: Rate = 1e4  # a loss above it, or not finite, stops the run

    def __post_init__(self) -> None:
        if self.dataset != "custom":
            check_trainable(self.dataset, self.task)
        drawn = self.dataset != "custom" and find_layout(self.dataset).drawn
        if min(self.scene_size) < self.crop and drawn:
            raise InputError(f"crop = {self.crop} px is larger than scene_size = {self.scene_size}")
        if self.width % 8:
            raise InputError(f"width = {self.width}: the 8 heads of attention need a multiple of 8")
        if (self.w_from is not None) != (self.w in ("given", "shuffled")):
            raise InputError(
                f'w = {self.w!r}, w_from = {self.w_from!r}: "given" and "shuffled" take a file of G'
            )
        if self.w == "oracle" and not (drawn or self.dataset == "custom"):
            raise InputError(f"w = 'oracle': {self.dataset} has no known optimum, SynthRoad has")
        if not (self.fusion_weight or self.task_weight):
            raise InputError("fusion_weight = task_weight = 0: nothing would move F")
        if self.fusion_phase == "outer" and not self.learns_w:
            raise InputError(f"fusion_phase = 'outer': w = {self.w!r} has no outer update to move F in")
        if self.form == "mix" and (self.w != "learned" or self.fusion_weight):
            raise InputError(
                "form = 'mix': I_f is the mix by G's own w, trained by L_t: w learned, fusion_weight 0"
            )

    @property
    def learns_w(self) -> bool:
        """Whether there are meta-steps: G learns, and not as a part of F (Exp. V)."""
        return self.w == "learned" and self.form == "network"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``config.json``."""
        return dataclasses.asdict(self)


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
    # Algorithm 1 with its look ahead taken in the image: what this book advises (Sec. 4.4), not what the paper has.
    "image": {"method": "image"},
}
ADVISED = "image"  # of `VARIANTS`, where a command or a notebook is asked for none

# Table 3. Exp. IV is read in two ways, since the paper leaves open by which loss F moves in the outer update.
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "full": {},
    "I": {"w": "half"},
    "II": {"alpha": 0.0},
    "III": {"task_weight": 1.0},
    "IV-L_f": {"fusion_phase": "outer"},
    "IV-L_t": {"fusion_phase": "outer", "fusion_weight": 0.0, "task_weight": 1.0},
    "V": {"form": "mix", "fusion_weight": 0.0, "task_weight": 1.0},
}


def make_config(
    preset: str = "smoke", variant: str | None = "paper", experiment: str = "full", **settings: Any
) -> TrainConfig:
    """A `TrainConfig` from a preset, a variant and a row of Table 3; ``settings`` override all three.

    A preset sets the scale and wins over the variant where both speak (the number of epochs). ``None``
    for a setting means "as the preset has it", so that a notebook can list every parameter; for the variant,
    `ADVISED`, or the paper's for a row of its Table 3.

    Raises:
        InputError: unknown preset, variant, experiment or setting (the nearest name is suggested), or a
            value out of its range.

    Example:
        >>> config = make_config("paper", "released", dataset="FMB")
        >>> config.L, config.M, config.intensity, config.task_size
        (40, 200, 'released', (300, 400))
        >>> make_config(alhpa=0.5)
        Traceback (most recent call last):
        tdfusion.errors.InputError: unknown setting "alhpa"; did you mean "alpha"?
    """
    if variant is None:
        variant = ADVISED if experiment == "full" else "paper"
    for what, name, known in (
        ("preset", preset, PRESETS), ("variant", variant, VARIANTS), ("experiment", experiment, EXPERIMENTS),
    ):  # fmt: skip
        if name not in known:
            raise InputError(f'unknown {what} "{name}"; choose one of {", ".join(known)}')
    check_names(settings, (field.name for field in dataclasses.fields(TrainConfig)))
    given = without_none(settings)
    if variant == "released" and preset == "paper":
        name = given.get("dataset", TrainConfig.dataset)
        given = {"task_size": None if name == "custom" else find_layout(name).task_size} | given
    return TrainConfig(**(VARIANTS[variant] | PRESETS[preset] | EXPERIMENTS[experiment] | given))
