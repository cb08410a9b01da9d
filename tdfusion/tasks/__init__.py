"""Downstream tasks T: any module that turns fused images and labels into a scalar loss L_t."""

from __future__ import annotations

from typing import Protocol, get_args

from torch import Tensor, nn

from tdfusion.config import TaskName
from tdfusion.data.pair import Batch
from tdfusion.errors import InputError


class Task(Protocol):
    """What Algorithm 1 asks of T, a `torch.nn.Module`.

    Calling it gives the task loss L_t of Sec. 3.2 as a scalar tensor, differentiable in the fused images
    and in the module's parameters. Labels come with the batch. Buffers (batch norm) may change in
    training mode; the meta-step works on copies of them.
    """

    def __call__(self, I_f: Tensor, batch: Batch) -> Tensor:
        """I_f (B, 1, H, W) in [0, 1] and its batch's labels -> L_t, a scalar."""
        ...


def build_task(name: TaskName, classes: int) -> nn.Module:
    """T for a task by name, from scratch, with ``classes`` classes (background included, if there is one).

    Raises:
        InputError: unknown task, or the task refuses the number of classes.
    """
    if name == "segmentation":
        from tdfusion.tasks.segmentation import SegmentationTask  # transformers takes seconds to import

        return SegmentationTask(classes)
    if name == "detection":
        from tdfusion.tasks.detection import DetectionTask

        return DetectionTask(classes)
    raise InputError(f'unknown task "{name}"; choose one of {", ".join(get_args(TaskName))}')
