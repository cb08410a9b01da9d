"""Ultralytics' detection trainer with our network, our data file and nothing that reaches out.

Imported by `tdfusion.downstream.detection` alone, after `import_ultralytics`; with several GPUs ultralytics
imports it in each of its processes, which is why it gets everything it needs from its settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
from ultralytics.utils import DEFAULT_CFG, RANK, YAML, callbacks

from tdfusion.errors import InputError
from tdfusion.files import write_text
from tdfusion.tasks.detection import DetectionTask
from tdfusion.weights import read_safetensors, write_safetensors

FINAL = "final.json"


class RetrainingTrainer(DetectionTrainer):
    """YOLOv8n with one input channel, scored once: after its last epoch.

    Left in ``save_dir`` then: ``final.json`` (average precision per class), ``T.safetensors`` (the weights that
    were scored: ultralytics' running average of them), and ``predictions.json`` where wanted.
    """

    def __init__(
        self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks=None
    ) -> None:
        threads = torch.get_num_threads()
        with mock.patch.object(callbacks, "add_integration_callbacks"):  # loggers, and their platform
            super().__init__(cfg, overrides, _callbacks)
        torch.set_num_threads(threads)

    def get_dataset(self) -> dict[str, Any]:
        """The data file as `tdfusion.downstream.detection` wrote it; ultralytics' own reader fetches a font."""
        return YAML.load(self.args.data)

    def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> nn.Module:
        task = DetectionTask(self.data["nc"])
        if weights is not None:  # an interrupted run
            task.network.load_state_dict(weights.float().state_dict())
        elif self.data["weights"]:
            task.load_state_dict(read_safetensors(Path(self.data["weights"]), task.state_dict()))
        return task.network

    def get_validator(self) -> RecordingValidator:
        return RecordingValidator(
            self.test_loader, save_dir=self.save_dir, args=dict(vars(self.args)), _callbacks=self.callbacks
        )

    def _build_train_pipeline(self) -> None:
        super()._build_train_pipeline()
        for split, loader in (("train", self.train_loader), ("test", self.test_loader)):
            taken, given = len(loader.dataset), self.data["images"][split]
            if taken != given:
                raise InputError(
                    f"{self.data['path']}: ultralytics takes {taken} of {given} {split} images; mend the others"
                )

    def validate(self) -> tuple[dict[str, float] | None, float | None]:
        found = super().validate()
        if RANK in (-1, 0) and self.epoch + 1 >= self.epochs:
            self._write_final()
        return found

    def save_model(self) -> bool:
        """Not after the last epoch, whose results are written: there would be nothing left to resume."""
        return self.epoch + 1 < self.epochs and super().save_model()

    def final_eval(self) -> None:
        """Done already, by `validate`."""

    def _write_final(self) -> None:
        metrics = self.validator.metrics
        ap = {int(c): list(map(float, row)) for c, row in zip(metrics.ap_class_index, metrics.box.all_ap)}
        objects = [int(n) for n in metrics.nt_per_class]
        task = DetectionTask(self.data["nc"])
        task.network.load_state_dict(self.ema.ema.state_dict())
        about = {"task": "detection", "classes": json.dumps(list(self.data["names"].values()))}
        write_safetensors(self.save_dir / "T.safetensors", task, about)
        if self.data["predictions"]:
            write_text(self.save_dir / "predictions.json", json.dumps(self.validator.found))
        final = {"ap": ap, "objects": objects, "images": self.validator.seen}
        write_text(self.save_dir / FINAL, json.dumps(final))


class RecordingValidator(DetectionValidator):
    """Keeps what it scores: name -> rows ``class confidence x1 y1 x2 y2`` in pixels of the image."""

    def init_metrics(self, model: nn.Module) -> None:
        super().init_metrics(model)
        self.found: dict[str, list[list[float]]] = {}

    def update_metrics(self, preds: list[dict[str, Tensor]], batch: dict[str, Any]) -> None:
        for index, pred in enumerate(preds):
            about = self._prepare_batch(index, batch)
            scaled = self.scale_preds(self._prepare_pred(pred), about)
            rows = torch.cat([scaled["cls"][:, None], scaled["conf"][:, None], scaled["bboxes"]], dim=1)
            self.found[Path(about["im_file"]).stem] = [[round(v, 5) for v in row] for row in rows.tolist()]
        super().update_metrics(preds, batch)
