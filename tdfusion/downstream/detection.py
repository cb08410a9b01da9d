"""YOLOv8n retrained by ultralytics' own trainer, and scored by its own non-maximum suppression and mAP.

The network has one input channel, as T has in Algorithm 1: fused images are gray, and three equal channels
would only repeat them (they would be needed for weights pretrained on colour, which are not used).
"""

from __future__ import annotations

import csv
import difflib
import json
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import load_file
from tqdm.auto import tqdm

from tdfusion.data.layouts import find_layout
from tdfusion.downstream.config import DownstreamConfig
from tdfusion.downstream.prepare import Prepared
from tdfusion.downstream.scores import Scores, detection_scores
from tdfusion.errors import InputError
from tdfusion.tasks.detection import STRIDE, DetectionTask, import_ultralytics
from tdfusion.weights import read_safetensors

_LEAST = 64  # px: below, one image alone would have a single cell, too little for batch norm
_DEFAULT_SIDE = 640  # px, ultralytics' own
_OURS = (
    "task", "mode", "model", "data", "epochs", "batch", "seed", "device", "project", "name", "exist_ok",
    "save_dir", "resume", "pretrained", "val", "plots", "verbose", "save", "patience", "time", "split",
)  # fmt: skip


def check(config: DownstreamConfig, classes: tuple[str, ...]) -> None:
    """Everything that settings can make impossible, without training.

    Raises:
        InputError: the weights do not fit YOLOv8n or the classes, or a setting is unknown or cannot be.
    """
    if config.size is not None and max(config.size) < _LEAST:
        raise InputError(f"size = {config.size}: detection needs images of at least {_LEAST} px")
    if config.weights is not None:
        path = Path(config.weights)
        if path.is_file() and path.suffix == ".safetensors":
            _check_classes(path, len(classes))
        read_safetensors(path, DetectionTask(len(classes)).state_dict())
    import_ultralytics()
    from ultralytics.utils import DEFAULT_CFG_DICT

    for name in config.engine:
        if name not in DEFAULT_CFG_DICT or name in _OURS:
            near = difflib.get_close_matches(name, set(DEFAULT_CFG_DICT) - set(_OURS), n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise InputError(f"engine: {name} is no setting of ultralytics, or is set by tdfusion{hint}")
    if config.engine.get("amp") not in (None, False, "bf16", "fp32"):
        raise InputError('engine: amp = True would download a network to test; give "bf16" or False')


def retrain(
    config: DownstreamConfig, prepared: Prepared, out: Path, progress: bool
) -> tuple[Scores, list[dict[str, Any]]]:
    """Train, score, write T and the predictions; the scores and a row of history per epoch."""
    import_ultralytics()
    from tdfusion.downstream.yolo import FINAL, RetrainingTrainer

    folder = out / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "weights" / "last.pt"
    settings = _settings(config, prepared, folder)
    if last.is_file():
        settings["resume"] = str(last)
    trainer = RetrainingTrainer(overrides=settings)
    with tqdm(desc="train", unit="step", disable=not progress, dynamic_ncols=True) as bar:
        trainer.add_callback("on_train_batch_end", lambda _: bar.update())
        trainer.add_callback("on_train_start", lambda t: bar.reset(total=len(t.train_loader) * _left(t)))
        trainer.train()
    (folder / "T.safetensors").replace(out / "T.safetensors")
    final = json.loads((folder / FINAL).read_text())
    if config.predictions:
        (folder / "predictions.json").replace(out / "predictions.json")
    scores = detection_scores(
        {int(c): ap for c, ap in final["ap"].items()}, final["objects"], prepared.classes,
        dataset=find_layout(config.dataset).name, source=prepared.source, seed=config.seed,
        images=final["images"], protocol=config.protocol, fold=config.fold,
    )  # fmt: skip
    with (folder / "results.csv").open(newline="") as stream:
        rows = [{k.strip(): float(v) for k, v in row.items() if k} for row in csv.DictReader(stream)]
    return scores, [{k: v for k, v in row.items() if k == "epoch" or k.startswith("train/")} for row in rows]


def _left(trainer: Any) -> int:
    return trainer.epochs - trainer.start_epoch


def _settings(config: DownstreamConfig, prepared: Prepared, folder: Path) -> dict[str, Any]:
    """Ultralytics' settings of this run; its data file is written beside its checkpoints."""
    from ultralytics.utils import YAML

    about = folder / "data.yaml"
    YAML.save(
        about,
        {
            "path": str(prepared.root.resolve()),
            "train": str((prepared.root / "images" / "train").resolve()),
            "val": str((prepared.root / "images" / "test").resolve()),
            "names": dict(enumerate(prepared.classes)),
            "nc": len(prepared.classes),
            "channels": 1,
            "images": {split: len(names) for split, names in prepared.names.items()},
            "weights": config.weights and str(Path(config.weights).resolve()),
            "predictions": config.predictions,
        },
    )
    return {
        "task": "detect",
        "mode": "train",
        "model": "yolov8n.yaml",  # a name for its records; `RetrainingTrainer` builds the network
        "data": str(about.resolve()),
        "epochs": config.epochs,
        "batch": config.batch,
        "imgsz": _side(config, prepared),
        "seed": config.seed,
        "device": config.device if config.device in ("cpu", "mps") else _gpus(config.device),
        "save_dir": str(folder.resolve()),
        "exist_ok": True,
        "pretrained": False,
        "val": False,  # only after the last epoch: the test images must not choose one
        "patience": 0,
        "plots": False,
        "verbose": False,
        "amp": False,
        **config.engine,
    }


def _side(config: DownstreamConfig, prepared: Prepared) -> int:
    """Side of the square that images are fitted into: their longer side, a multiple of 32 px."""
    if config.size is None:
        with Image.open(prepared.image("train", prepared.names["train"][0])) as image:
            longest = min(max(image.size), _DEFAULT_SIDE)
    else:
        longest = max(config.size)
    return -(-longest // STRIDE) * STRIDE


def _gpus(device: str) -> str:
    """``cuda`` -> all visible GPUs as ultralytics lists them, ``cuda:1`` -> ``1``."""
    import torch

    if ":" in device:
        return device.partition(":")[2]
    return ",".join(map(str, range(torch.cuda.device_count()))) or "0"


def _check_classes(path: Path, classes: int) -> None:
    last = [t for name, t in load_file(path).items() if ".cv3.0.2.weight" in name]
    if last and last[0].shape[0] != classes:
        raise InputError(
            f"{path}: weights for {last[0].shape[0]} classes, but this data set has {classes}; give others, or none"
        )
