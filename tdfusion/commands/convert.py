"""``tdfusion convert``: the authors' ``.pth`` files as safetensors."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from tdfusion.errors import InputError


def add_convert_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion convert``."""
    parser = commands.add_parser(
        "convert",
        help="turn a .pth of F that the authors released into safetensors",
        description="Read a .pth file of F that the authors released (TDFusion_MSRS.pth, ReFusion_IVIF.pth ...) and "
        "write the same weights as safetensors under this library's names: a file that can hold no code. Its "
        "metadata name the source and its SHA-256.",
    )
    parser.add_argument("source", metavar="FILE.pth", help="the authors' file")
    parser.add_argument("out", metavar="OUT.safetensors", help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
    parser.set_defaults(func=_convert)


def _convert(arguments: argparse.Namespace) -> int:
    from tdfusion.models import FusionNet
    from tdfusion.weights import write_safetensors

    source, out = Path(arguments.source), Path(arguments.out)
    if out.suffix != ".safetensors":
        raise InputError(f"{out}: the file to write must end in .safetensors")
    if out.exists() and not arguments.overwrite:
        raise InputError(f"{out}: exists already (--overwrite replaces it)")
    F = FusionNet.from_released(source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    write_safetensors(out, F, {"source": source.name, "source_sha256": digest})
    print(f"{out}: {sum(p.numel() for p in F.parameters()):,} parameters of {source.name}")
    return 0
