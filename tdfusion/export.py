"""F and G as ONNX files: any batch and image size, checked against PyTorch before the file is left."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tdfusion.errors import InputError
from tdfusion.extras import extra
from tdfusion.files import whole_file

OPSET = 18  # of the standard ONNX operators
TOLERANCE = 1e-5  # the largest difference from PyTorch, on images in [0, 1]
SIZES = ((1, 64, 80), (1, 41, 57), (3, 33, 128), (1, 255, 99), (1, 480, 640))  # B, H, W that are compared
OUTPUTS = {"FusionNet": ("I_f",), "LossNet": ("w_a", "w_b")}


def export_onnx(
    net: nn.Module,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int, int]] = SIZES,
    tolerance: float = TOLERANCE,
) -> float:
    """Write a network of two images as ONNX, whole or not at all, once onnxruntime agrees with PyTorch.

    The file has the inputs ``I_a`` and ``I_b``, float32 (B, 1, H, W) in [0, 1] with B, H and W free.

    Args:
        net: F, G or any module of two such images; on the CPU, in eval mode.
        path: the file to write.
        metadata: kept in the file, as ``InferenceSession.get_modelmeta().custom_metadata_map``.
        outputs: names of what it returns; None takes those of F (``I_f``) and G (``w_a``, ``w_b``).
        sizes: (B, H, W) at which random images are compared.
        tolerance: the largest difference that is accepted.

    Returns:
        The largest difference from PyTorch over all sizes.

    Raises:
        InputError: onnx, onnxruntime or onnxscript is missing; or onnxruntime differs by more than
            ``tolerance``, and then no file is written.
    """
    with extra("export", "the export to ONNX"):
        import onnx  # noqa: F401 (torch.onnx needs both)
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401

    path = Path(path)
    names = tuple(outputs or OUTPUTS[type(net).__name__])
    axes = {0: torch.export.Dim("B"), 2: torch.export.Dim("H"), 3: torch.export.Dim("W")}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message="# The axis name")  # I_a and I_b share their sizes
        program = torch.onnx.export(
            net,
            (torch.rand(2, 1, 64, 80), torch.rand(2, 1, 64, 80)),  # none may be 1: that would be kept fixed
            input_names=["I_a", "I_b"],
            output_names=list(names),
            dynamic_shapes=(axes, axes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    for part in (*program.model.graph, *program.model.graph.all_nodes()):
        part.metadata_props.clear()  # stack traces of this machine
    program.model.metadata_props.update(metadata or {})
    with whole_file(path) as part:
        program.save(part, external_data=False)
        largest = largest_difference(net, part, sizes)
        if not largest <= tolerance:
            raise InputError(
                f"{path}: not written, onnxruntime differs from PyTorch by {largest:.1e}, more than {tolerance:.0e}"
            )
    return largest


@torch.no_grad()
def largest_difference(net: nn.Module, file: Path, sizes: Sequence[tuple[int, int, int]] = SIZES) -> float:
    """Largest absolute difference between onnxruntime and PyTorch on random images; NaN where a value is."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    draw = torch.Generator().manual_seed(0)
    differences = []
    for B, H, W in sizes:
        I_a, I_b = torch.rand(2, B, 1, H, W, generator=draw)
        ours = net(I_a, I_b)
        theirs = session.run(None, {"I_a": I_a.numpy(), "I_b": I_b.numpy()})
        for mine, other in zip(ours if isinstance(ours, tuple) else (ours,), theirs, strict=True):
            differences.append(np.abs(mine.numpy() - other).max())
    return float(np.max(differences))  # NaN stays NaN
