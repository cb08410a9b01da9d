"""Every setting of one retraining of T (Sec. 4.3), on one screen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from tdfusion.config import TaskName
from tdfusion.data.layouts import check_trainable
from tdfusion.data.splits import named_folds
from tdfusion.downstream.protocols import SEGFORMERS, find_protocol
from tdfusion.errors import InputError
from tdfusion.settings import STRICT, Count, Positive, Size, check_names, in_words, without_none

ALIASES = {"ir": "infrared", "vi": "visible"}


@in_words
@dataclass(frozen=True, kw_only=True, config=STRICT)
class DownstreamConfig:
    """What is retrained, on which images, for how long. Defaults are the paper's, as far as it gives them.

    The paper says: SegFormer and YOLOv8 as backbones, retrained for each method for 300 epochs. It does not
    say which of their sizes, from which weights, at which image size, with which optimiser, batch or
    augmentation. Ours: the lightest of each, as in its Sec. 3.6, from scratch; everything else is the
    engine's default unless ``engine`` says otherwise.

    T after the last epoch is scored. No epoch is picked by its score, because the data sets have no
    validation split and the test split must not choose.
    """

    # --- what is trained, on what
    task: TaskName = "segmentation"
    dataset: str = "SynthRoad"
    protocol: str = (
        "paper"  # which T, on which pairs, and the mean over classes: `tdfusion.downstream.protocols`
    )
    fold: Count | None = None  # the one that is scored, where the protocol has folds
    root: str | None = None  # folder of the data set; SynthRoad needs none
    source: str = "infrared"  # infrared, visible, mean, max, oracle, a folder of fused images, or a file of F
    stretch: bool = True  # F's images on the full range, as the released code saves them
    seed: Count = 0  # of T's weights and of the order and augmentation of the images
    data_seed: Count = 0  # of the synthetic scenes
    device: str = "cpu"  # "cpu", "cuda" (every visible GPU that the engine takes), "mps"
    partial: bool = False  # open what is complete of a data set where files are missing

    # --- scale
    epochs: Positive = 300  # Sec. 4.3
    batch: Positive = 16  # not given
    size: Size | None = None  # px, H W: images resized for T; None: as they are
    train_pairs: Positive | None = (
        None  # only the first ones; None: all (of drawn ones as many as the row says)
    )
    test_pairs: Positive | None = None

    # --- T and its engine
    network: dict[str, Any] = Field(default_factory=dict)  # settings of SegformerConfig beside B0's
    weights: str | None = None  # T starts from these (see `retrain`); None: from scratch
    class_weights: bool = False  # segmentation: cross-entropy weighted by 1 / sqrt(share of the class)
    standardise: bool = False  # segmentation: T sees every image with mean 0 and deviation 1
    engine: dict[str, Any] = Field(default_factory=dict)  # TrainingArguments or ultralytics, by their names
    predictions: bool = False  # keep what T says on the test images

    def __post_init__(self) -> None:
        layout = check_trainable(self.dataset, self.task)
        if not str(self.dataset).endswith(".toml"):
            object.__setattr__(self, "dataset", layout.name)
        _check_fold(self.protocol, self.fold, layout.name)
        object.__setattr__(self, "source", ALIASES.get(self.source, self.source))
        if self.network and self.task == "detection":
            raise InputError("network: settings of SegFormer; detection has YOLOv8n as it is")

    def departs(self) -> tuple[str, ...]:
        """Where this run is not what the sentence of its protocol says, in words; empty where it is."""
        network = SEGFORMERS[find_protocol(self.protocol).segformer] if self.task == "segmentation" else {}
        found = {
            "another network": self.network != network,
            "not from scratch": self.weights is not None,
            f"the first {self.train_pairs} training pairs": self.train_pairs is not None,
            f"the first {self.test_pairs} test pairs": self.test_pairs is not None,
        }
        return tuple(words for words, so in found.items() if so)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``config.json``."""
        return dataclasses.asdict(self)


_FAST = {"learning_rate": 5e-3, "weight_decay": 0.01, "warmup_steps": 0.2}
_FAST_YOLO = {
    "optimizer": "AdamW",
    "lr0": 3e-3,
    "nbs": 8,  # a step per batch: the default gathers 64 images, which small sets hardly have
    "warmup_epochs": 1,
    "mosaic": 0.0,
    "scale": 0.2,
    "translate": 0.05,
}
_PAPER = {"learning_rate": 6e-5, "weight_decay": 0.01, "warmup_steps": 0.05}  # SegFormer's own paper

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    # Does it run? Seconds on one core. The scores mean nothing.
    "smoke": {
        "segmentation": {
            "epochs": 2, "batch": 8, "size": (64, 64), "train_pairs": 16, "test_pairs": 8,
            "protocol": "tiny", "class_weights": True, "standardise": True, "engine": _FAST,
        },
        "detection": {
            "epochs": 1, "batch": 8, "size": (64, 64), "train_pairs": 8, "test_pairs": 4, "engine": _FAST_YOLO,
        },
    },
    # The scale of this book's table on SynthRoad: under a minute a run on one core.
    "small": {
        "segmentation": {
            "epochs": 6, "batch": 8, "size": (64, 64), "train_pairs": 480, "test_pairs": 120,
            "protocol": "tiny", "class_weights": True, "standardise": True, "engine": _FAST,
        },
        "detection": {
            "epochs": 8, "batch": 8, "size": (128, 128), "train_pairs": 240, "test_pairs": 120,
            "engine": _FAST_YOLO,
        },
    },
    # Sec. 4.3. Hours on a GPU.
    "paper": {"segmentation": {"engine": _PAPER}, "detection": {}},
}  # fmt: skip


def make_downstream_config(preset: str = "smoke", **settings: Any) -> DownstreamConfig:
    """A `DownstreamConfig` from a preset; ``settings`` override it, and None means "as the preset has it".

    Raises:
        InputError: unknown preset or setting (the nearest name is suggested), or a value out of its range.
    """
    if preset not in PRESETS:
        raise InputError(f'unknown preset "{preset}"; choose one of {", ".join(PRESETS)}')
    check_names(settings, (f.name for f in dataclasses.fields(DownstreamConfig)))
    given = without_none(settings)
    task = given.get("task", "segmentation")
    if task not in get_args(TaskName):
        raise InputError(f'task = "{task}": choose one of {", ".join(get_args(TaskName))}')
    settings = PRESETS[preset][task] | given
    if task == "segmentation":
        network = SEGFORMERS[find_protocol(settings.get("protocol", DownstreamConfig.protocol)).segformer]
        settings = {"network": network} | settings
    return DownstreamConfig(**settings)


def first_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """The first setting in which two configurations differ, in words; None where they agree."""
    for name in ours:
        if ours[name] != theirs.get(name):
            return f"{name} = {theirs.get(name)!r} there, {ours[name]!r} here"
    return None


def _check_fold(protocol: str, fold: int | None, dataset: str) -> None:
    folds = find_protocol(protocol).folds
    if folds is None:
        if fold is not None:
            raise InputError(f"fold = {fold}: protocol {protocol} has no folds")
        return
    whose = named_folds(folds)
    if dataset != whose.dataset:
        raise InputError(f"protocol {protocol}: its folds are of {whose.dataset}, not of {dataset}")
    if fold is None or fold >= whose.folds:
        raise InputError(f"fold = {fold!r}: protocol {protocol} has folds 0 to {whose.folds - 1}; score each")
