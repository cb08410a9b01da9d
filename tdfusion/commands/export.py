"""``tdfusion export``: F or G as an ONNX file, for programs without PyTorch."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from tdfusion import __version__
from tdfusion.errors import InputError


def add_export_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion export``."""
    parser = commands.add_parser(
        "export",
        help="write F (or G) as an ONNX file",
        description="Write the fusion network as an ONNX file for images of any size, and compare it with PyTorch in "
        "onnxruntime at five sizes; a file that differs by more than 1e-5 is not left. Takes about half a minute.",
    )
    parser.add_argument(
        "weights",
        nargs="?",
        metavar="WEIGHTS",
        help="as fuse --weights: a file, a run folder, a hub repository (default: the weights that tdfusion carries)",
    )
    parser.add_argument("--onnx", required=True, metavar="OUT.onnx", help="the file to write")
    parser.add_argument("--net", choices=("F", "G"), default="F", help="F (default), or G: w_a and w_b")
    parser.set_defaults(func=_export)


def _export(arguments: argparse.Namespace) -> int:
    import torch

    from tdfusion.export import OPSET, SIZES, export_onnx
    from tdfusion.models import FusionNet, LossNet
    from tdfusion.pretrained import BOX
    from tdfusion.weights import read_metadata

    out = Path(arguments.onnx)
    if out.suffix != ".onnx":
        raise InputError(f"{out}: the file to write must end in .onnx")
    kind = {"F": FusionNet, "G": LossNet}[arguments.net]
    net = kind.from_pretrained(arguments.weights)
    about = {"tdfusion": __version__, "torch": torch.__version__, "network": kind.__name__}
    source = BOX if arguments.weights is None else Path(arguments.weights)
    if (source / f"{kind.letter}.safetensors").is_file():
        source /= f"{kind.letter}.safetensors"
    about["source"] = source.name if source.is_file() else arguments.weights
    if source.is_file():
        about["source_sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
    if source.suffix == ".safetensors":
        about["commit"] = read_metadata(source).get("commit", "unknown")  # of the run
    largest = export_onnx(net, out, about)
    print(
        f"{out}: opset {OPSET}, {out.stat().st_size / 1e3:.0f} kB; largest difference from PyTorch at "
        f"{len(SIZES)} sizes {largest:.1e}"
    )
    return 0
