"""Object detection as the task T: YOLOv8n of ultralytics, its own loss as L_t (Sec. 3.2).

The only module that imports ultralytics, and only when the first `DetectionTask` is built.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import logging
import math
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as nnf
from PIL import Image
from torch import Tensor, nn

from tdfusion.data.pair import Batch
from tdfusion.errors import InputError
from tdfusion.extras import extra

GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}  # weights of the three parts of the loss, ultralytics' defaults
STRIDE = 32  # px of the image per cell of YOLOv8's coarsest map
PADDING = 114 / 255  # the gray with which ultralytics itself fills images up


class DetectionTask(nn.Module):
    """T for detection: YOLOv8n from scratch, one input channel.

    Images whose sides are no multiple of 32 px are filled up at the bottom and on the right with gray
    (114 / 255), so that boxes keep their coordinates.

    Args:
        classes: number of classes; detection has no background class (M3FD 6, LLVIP 1).

    Raises:
        InputError: fewer than one class.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        if classes < 1:
            raise InputError(f"classes = {classes}: a detector needs at least one class")
        import_ultralytics()
        from ultralytics.nn.tasks import DetectionModel
        from ultralytics.utils import ROOT, YAML

        # The packaged file itself, not its name: ultralytics would prefer a file of that name in the
        # working folder.
        layout = YAML.load(ROOT / "cfg" / "models" / "v8" / "yolov8.yaml")
        layout |= {"scale": "n", "yaml_file": "yolov8n.yaml", "nc": classes}
        self.classes = classes
        self.network = DetectionModel(layout, ch=1, nc=classes, verbose=False)
        self.network.args = SimpleNamespace(**GAINS)
        self.network.model[-1].dynamic = True  # no anchors kept from a call with another type or device

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        r"""L_t: ultralytics' v8DetectionLoss, divided by the batch size by which it is multiplied.

        $L_t = 7.5\, L_{box} + 0.5\, L_{cls} + 1.5\, L_{dfl}$: CIoU loss, binary cross-entropy and
        distribution focal loss, each summed over all cells of all images of the batch and divided by the
        batch's sum of target scores (at least 1). This is a mean over what is detected, so it does not grow
        with the batch size. Without any box only $L_{cls}$ is left.

        Target scores, and the weight alpha inside CIoU, depend on the predictions, but ultralytics takes them
        as constants: the gradient is not that of finite differences of L_t, except without boxes.

        L_t may rise while T learns. A box counts by how well it is found already, and a new network's boxes are
        120 px wide or more, so it hardly sees objects of few pixels at first (T alone on SynthRoad scenes of
        64x64 px, batch 2, Adam 1e-4, seed 0: L_t 0.16 at the start, 1.4 after 200 steps, 2.5 after 300).

        Args:
            I_f: fused images (B, 1, H, W) in [0, 1]; L_t has their dtype.
            batch: ``boxes`` holds B tensors (n, 5), rows ``class x1 y1 x2 y2`` in pixels.

        Raises:
            InputError: the batch has no boxes (an image without objects has a (0, 5) tensor), a class is
                not one of this task's, or a single image of at most 32x32 px in training mode.
        """
        if batch.boxes is None:
            raise InputError(f"{', '.join(batch.names)}: no detection boxes, which this task trains on")
        I_f = _fill_up(I_f)
        if self.training and I_f.shape == (1, 1, STRIDE, STRIDE):
            raise InputError(
                f"{batch.names[0]}: one image of at most {STRIDE}x{STRIDE} px is too little for batch norm; "
                f"use a larger crop or batch"
            )
        targets = self._targets(batch, I_f)
        # A new criterion per call: it keeps a device, strides and bins, which a replaced network may not share.
        criterion = self.network.init_criterion()
        predictions = self.network(I_f)
        with _default_dtype(I_f.dtype):
            parts, _ = criterion(predictions, targets)  # (3,): box, cls, dfl, each times the batch size
        return parts.sum() / I_f.shape[0]

    @torch.no_grad()
    def predict(self, I_f: Tensor, confidence: float = 0.25, iou: float = 0.7) -> list[Tensor]:
        """Detections by ultralytics' non-maximum suppression, in evaluation mode whatever the mode is.

        The defaults are those of ultralytics' own prediction. At most 300 boxes per image, one class per
        box, most confident first.

        Args:
            I_f: fused images (B, 1, H, W) in [0, 1].
            confidence: boxes of a lower one are left out, in [0, 1].
            iou: of two boxes of a class that overlap more, the less confident is left out, in [0, 1].

        Returns:
            B tensors (n, 6), rows ``class confidence x1 y1 x2 y2``, pixels inside the image.

        Raises:
            InputError: a threshold is outside [0, 1].
        """
        from ultralytics.utils.nms import non_max_suppression
        from ultralytics.utils.ops import clip_boxes

        for name, value in (("confidence", confidence), ("iou", iou)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} = {value}: expected a number from 0 to 1")
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            decoded, _ = self.network(_fill_up(I_f))  # (B, 4 + classes, cells): x y w h in px, scores
        finally:
            for module, mode in modes:
                module.training = mode
        # No time limit: ultralytics would leave out the rest of the batch after it.
        found = non_max_suppression(decoded, confidence, iou, max_time_img=math.inf)
        for rows in found:
            clip_boxes(rows[:, :4], I_f.shape[-2:])
        return [rows[:, [5, 4, 0, 1, 2, 3]].to(I_f.dtype) for rows in found]

    def _targets(self, batch: Batch, I_f: Tensor) -> dict[str, Tensor]:
        """The boxes as ultralytics' loss wants them: one list, centre and size as parts of the image's."""
        from ultralytics.utils.ops import xyxy2xywhn

        for name, boxes in zip(batch.names, batch.boxes, strict=True):
            if ((boxes[:, 0] < 0) | (boxes[:, 0] >= self.classes)).any():
                raise InputError(
                    f"{name}: box classes {sorted({int(c) for c in boxes[:, 0]})}, "
                    f"but this task has classes 0 to {self.classes - 1}"
                )
        height, width = I_f.shape[-2:]
        rows = torch.cat([boxes.to(I_f) for boxes in batch.boxes])  # (n, 5)
        image = torch.cat([I_f.new_full((len(boxes),), i) for i, boxes in enumerate(batch.boxes)])  # (n,)
        return {
            "batch_idx": image,
            "cls": rows[:, 0],
            "bboxes": xyxy2xywhn(rows[:, 1:], w=width, h=height),  # (n, 4)
        }


def _fill_up(I_f: Tensor) -> Tensor:
    """(B, 1, H, W) filled up with gray at the bottom and right, to multiples of 32 px."""
    height, width = I_f.shape[-2:]
    return nnf.pad(I_f, (0, -width % STRIDE, 0, -height % STRIDE), value=PADDING)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """ultralytics' loss keeps boxes and results in torch's default type, which would round a float64 L_t."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@functools.cache
def import_ultralytics() -> None:
    """Import ultralytics such that it neither phones home nor changes this process.

    Switched off, in this process and those that it starts:

    - the network: the online check at import, usage events, error reports, update checks
      (``YOLO_OFFLINE``), uploads to its platform (``ULTRALYTICS_API_KEY`` is removed). Nothing is
      downloaded, since only its packaged files are used;
    - installing packages and system libraries on demand (``YOLO_AUTOINSTALL``);
    - the settings file in the home folder: ``YOLO_CONFIG_DIR`` is a temporary folder, removed at exit.
      In it every switch is off: ``sync`` and the trackers that ultralytics would log to;
    - its messages below warnings.

    Put back as it was: ``torch.save``, ``PIL.Image.open`` (which would install a reader on an unreadable
    image), print options, warning filters, and the environment (``OMP_NUM_THREADS=1`` would slow down every
    process started later).

    Where the process has imported ultralytics before, its settings change in memory alone; its file stays.
    """
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    os.environ.pop("ULTRALYTICS_API_KEY", None)
    imported_before = "ultralytics" in sys.modules
    if not imported_before:
        os.environ["YOLO_CONFIG_DIR"] = folder = tempfile.mkdtemp(prefix="tdfusion-ultralytics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        with (
            mock.patch.dict(os.environ, YOLO_VERBOSE="false"),
            mock.patch.object(torch, "save", torch.save),
            mock.patch.object(torch, "set_printoptions"),
            mock.patch.object(Image, "open", Image.open),
            np.printoptions(),
            warnings.catch_warnings(),
            extra("detection", "detection"),
        ):
            importlib.import_module("ultralytics.nn.tasks")
        logger = logging.getLogger("ultralytics")
        for level in (logger, *logger.handlers):
            level.setLevel(logging.WARNING)
    from ultralytics.utils import SETTINGS

    off = {name: False for name, value in SETTINGS.items() if value is True} | {"api_key": ""}
    if imported_before:
        dict.update(SETTINGS, off)
    else:
        SETTINGS.update(off)
