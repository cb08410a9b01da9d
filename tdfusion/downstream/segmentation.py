"""SegFormer-B0 retrained by transformers' own Trainer, and scored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from tdfusion.data.images import write_png
from tdfusion.data.layouts import find_layout
from tdfusion.downstream.config import DownstreamConfig
from tdfusion.downstream.prepare import Prepared
from tdfusion.downstream.scores import Scores, confusion_matrix, segmentation_scores
from tdfusion.errors import InputError
from tdfusion.extras import extra
from tdfusion.files import write_text
from tdfusion.tasks.dense import class_weights
from tdfusion.tasks.segmentation import SegmentationTask
from tdfusion.weights import read_safetensors, write_safetensors

with extra("train", "segmentation"):
    from transformers import (
        PrinterCallback,
        SegformerForImageClassification,
        SegformerForSemanticSegmentation,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
    from transformers.utils import logging

_STATE_KEPT = 20  # how often a run writes its state; an interruption loses at most a part in so many
_OURS = (
    "output_dir", "num_train_epochs", "max_steps", "per_device_train_batch_size", "seed", "data_seed", "use_cpu",
    "save_strategy", "save_steps", "save_total_limit", "report_to", "push_to_hub", "disable_tqdm",
    "logging_strategy", "remove_unused_columns", "eval_strategy",
)  # fmt: skip


def check(config: DownstreamConfig, classes: tuple[str, ...]) -> None:
    """Build T, and everything that settings can make impossible, without training.

    Raises:
        InputError: the weights do not fit the network or the classes, or a setting is unknown.
    """
    build(config, len(classes))
    known = {f.name for f in dataclasses.fields(TrainingArguments)} - set(_OURS)
    for name in config.engine:
        if name not in known:
            raise InputError(
                f"engine: {name} is none of transformers' TrainingArguments, or is set by tdfusion"
            )


def build(config: DownstreamConfig, classes: int) -> SegmentationTask:
    """T from scratch by its seed, or from ``config.weights`` (see `tdfusion.downstream.run.retrain`).

    Raises:
        InputError: unknown settings of the network, or weights that do not fit.
    """
    torch.manual_seed(config.seed)
    try:
        task = SegmentationTask(classes, **config.network)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"network = {config.network}: no SegFormer can be built from it ({error})"
        ) from error
    if config.weights is None:
        return task
    path = Path(config.weights)
    if path.is_dir():
        _load_folder(task, path)
        return task
    if path.is_file():
        _check_classes(path, load_file(path).get("network.decode_head.classifier.weight"), classes)
    task.load_state_dict(read_safetensors(path, task.state_dict()))
    return task


def retrain(
    config: DownstreamConfig, prepared: Prepared, out: Path, progress: bool
) -> tuple[Scores, list[dict[str, Any]]]:
    """Train, score, write T and the predictions; the scores and a row of history per epoch."""
    train = _Images(prepared, "train", config.standardise, flip_seed=config.seed)
    T = build(config, len(prepared.classes))
    if config.class_weights:
        T.weight = class_weights(train.pixels(T.classes))
    model = _WithLoss(T)
    steps = -(-len(train) // config.batch) * config.epochs
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=config.device == "cpu",
        save_strategy="steps",
        save_steps=max(1, steps // _STATE_KEPT),
        save_total_limit=1,
        logging_strategy="epoch",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        **config.engine,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=train, callbacks=[_Bar(progress)])
    trainer.remove_callback(PrinterCallback)
    with _only_errors():
        trainer.train(resume_from_checkpoint=_last_checkpoint(out / "checkpoints"))
    history = [row for row in trainer.state.log_history if "loss" in row]
    write_safetensors(
        out / "T.safetensors", T, {"task": "segmentation", "classes": json.dumps(prepared.classes)}
    )
    write_text(out / "T.json", T.network.config.to_json_string())
    return evaluate(T, prepared, config, out if config.predictions else None, progress), history


@torch.no_grad()
def evaluate(
    T: SegmentationTask,
    prepared: Prepared,
    config: DownstreamConfig,
    out: Path | None,
    progress: bool = False,
) -> Scores:
    """mAcc and mIoU of T on the test images; with ``out``, label maps in ``out/predictions``."""
    images, layout = _Images(prepared, "test", config.standardise), find_layout(config.dataset)
    classes = len(prepared.classes)
    counts = np.zeros((classes, classes), dtype=np.int64)
    T.eval()
    device = next(T.parameters()).device
    for index, name in enumerate(
        tqdm(images.names, desc="score", unit="image", disable=not progress, dynamic_ncols=True)
    ):
        row = images[index]
        guess = T.predict(row["images"][None].to(device))[0].cpu()  # (H, W)
        counts += confusion_matrix(guess.numpy(), row["labels"].numpy(), classes)
        if out is not None:
            write_png(out / "predictions" / f"{name}.png", guess[None].float() / 255)
    return segmentation_scores(
        counts, prepared.classes, dataset=layout.name, source=prepared.source, seed=config.seed,
        images=len(images), protocol=config.protocol, background=layout.background("segmentation"), fold=config.fold,
    )  # fmt: skip


class _Images(Dataset):
    """Prepared images (1, H, W) and masks (H, W); mirrored or not by (seed, epoch, index) alone."""

    def __init__(
        self, prepared: Prepared, split: str, standardise: bool, *, flip_seed: int | None = None
    ) -> None:
        self.prepared, self.split, self.standardise = prepared, split, standardise
        self.names = prepared.names[split]
        self.flip_seed = flip_seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers see the next epoch too

    def set_epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name = self.names[index]
        with Image.open(self.prepared.image(self.split, name)) as image:
            x = torch.from_numpy(np.array(image, dtype=np.float32))[None] / 255  # (1, H, W)
        y = self._mask(name)  # (H, W)
        if self.standardise:
            x = (x - x.mean()) / (x.std() + 1e-6)
        if self.flip_seed is not None:
            draw = np.random.default_rng([self.flip_seed, int(self._epoch), index])
            if draw.random() < 0.5:
                x, y = x.flip(-1), y.flip(-1)
        return {"images": x, "labels": y}

    def pixels(self, classes: int) -> Tensor:
        """How many pixels each class has, (classes,)."""
        return sum(torch.bincount(self._mask(name).flatten(), minlength=classes) for name in self.names)

    def _mask(self, name: str) -> Tensor:
        with Image.open(self.prepared.label(self.split, name)) as mask:
            return torch.from_numpy(np.array(mask, dtype=np.int64))


class _WithLoss(nn.Module):
    """T and its loss in one call, as Trainer wants it: cross-entropy over all classes."""

    def __init__(self, task: SegmentationTask) -> None:
        super().__init__()
        self.task = task

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.task.logits(images)  # (B, classes, H, W)
        return {"loss": nnf.cross_entropy(logits, labels, self.task.weight), "logits": logits}


class _Bar(TrainerCallback):
    """One tqdm bar over all steps."""

    def __init__(self, progress: bool) -> None:
        self.progress = progress
        self.bar: tqdm | None = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, desc="train", unit="step",
            disable=not self.progress, dynamic_ncols=True,
        )  # fmt: skip

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.bar.close()


@contextmanager
def _only_errors() -> Iterator[None]:
    """Trainer remarks on the file system's clock whenever it replaces a checkpoint."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; Trainer writes its state last, so one cut short has none."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def _load_folder(task: SegmentationTask, path: Path) -> None:
    """Weights of a local SegFormer in transformers' format; nothing is fetched."""
    try:
        kind = json.loads((path / "config.json").read_text()).get("architectures") or ["none"]
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: no config.json of a transformers model in it ({error})") from error
    known = {c.__name__: c for c in (SegformerForImageClassification, SegformerForSemanticSegmentation)}
    if kind[0] not in known:
        raise InputError(f"{path}: holds a {kind[0]}; expected {' or '.join(known)}")
    found = known[kind[0]].from_pretrained(path, local_files_only=True)
    ours, theirs = task.network.segformer.state_dict(), found.segformer.state_dict()
    first = "encoder.patch_embeddings.0.proj.weight"
    first = next((name for name in theirs if name.endswith(first)), next(iter(theirs)))
    if theirs[first].shape[1] == 3:
        theirs[first] = theirs[first].sum(1, keepdim=True)  # (width, 1, k, k): as three equal channels
    for name, tensor in ours.items():
        if name not in theirs or theirs[name].shape != tensor.shape:
            shape = tuple(theirs[name].shape) if name in theirs else "missing"
            raise InputError(f"{path}: {name} is {shape}, expected {tuple(tensor.shape)}: another SegFormer")
    if isinstance(found, SegformerForSemanticSegmentation):
        head = found.decode_head.state_dict()
        _check_classes(path, head["classifier.weight"], task.classes)
        try:
            task.network.decode_head.load_state_dict(head)
        except RuntimeError as error:
            raise InputError(f"{path}: another decoder than this network's ({error})") from error
    task.network.segformer.load_state_dict(theirs)


def _check_classes(path: Path, classifier: Tensor | None, classes: int) -> None:
    if classifier is not None and classifier.shape[0] != classes:
        raise InputError(
            f"{path}: weights for {classifier.shape[0]} classes, but this data set has {classes}; "
            "give weights of an encoder alone, or none"
        )
