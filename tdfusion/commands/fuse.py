"""The command ``tdfusion fuse``; parsing it needs no torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tdfusion.errors import InputError
from tdfusion.files import VIDEO_SUFFIXES

RANGE_HELP = (
    "which values become black and white: auto (default: 8 bits in full; deeper files in full if they use more than "
    "half of their type's range, else by percentiles), full, minmax, percentile (0.5 to 99.5), or LOW,HIGH in the "
    "file's own units"
)


def add_fuse_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion fuse``."""
    fuse = commands.add_parser(
        "fuse",
        help="fuse infrared / visible pairs with trained weights",
        description="Fuse a pair of files, two folders matched by file name, or two videos. Images become 8-bit PNGs "
        "named after the infrared files. Colour of the visible image is kept. Pairs must be registered and of one "
        "size. A pair that cannot be fused is named in the end, and the exit status is 1; the others are done.",
    )
    fuse.add_argument(
        "--ir", required=True, metavar="PATH", help="infrared image, a folder of them, or a video"
    )
    fuse.add_argument(
        "--vi", required=True, metavar="PATH", help="visible image, a folder of them, or a video"
    )
    fuse.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="folder for the results, made if missing; of videos a file, .mp4 (H.264) or .mkv (lossless)",
    )
    fuse.add_argument(
        "--weights",
        metavar="FILE",
        help="F.safetensors or the folder of a training run, a .pth that the authors released "
        "(TDFusion_MSRS.pth ...), or a repository on the Hugging Face hub (default: the weights that tdfusion carries)",
    )
    fuse.add_argument("--device", default="cpu", help='"cpu" (default), "cuda", "cuda:1", "mps"')
    fuse.add_argument("--ir-range", default="auto", metavar="RANGE", help=f"of infrared files, {RANGE_HELP}")
    fuse.add_argument("--vi-range", default="auto", metavar="RANGE", help="the same of visible files")
    fuse.add_argument(
        "--range-over",
        choices=("image", "folder"),
        help="one range per image (default), or one over all images (default with --sequence and for videos)",
    )
    fuse.add_argument(
        "--sequence",
        action="store_true",
        help="the folders hold the frames of one sequence: one range, and one stretch of the results, for all",
    )
    fuse.add_argument("--page", type=int, metavar="N", help="page, from 1, of files that hold several")
    fuse.add_argument(
        "--stretch",
        choices=("minmax", "none"),
        default="minmax",
        help="minmax (default): stretch every result to the full range, as the released code does; "
        "none: keep F's values",
    )
    fuse.add_argument(
        "--match",
        choices=("none", "ir", "vi"),
        default="none",
        help="for one view at two resolutions, as in RoadScene: ir resizes the visible image to the infrared one, "
        "vi the other way round; none (default) refuses pairs of two sizes",
    )
    fuse.add_argument("--overwrite", action="store_true", help="fuse again where a result exists already")
    fuse.add_argument("--strict", action="store_true", help="stop at the first pair that cannot be fused")
    fuse.add_argument(
        "--no-check",
        action="store_true",
        help="do not warn of pairs that look misregistered (saves about 30 ms a pair)",
    )
    fuse.set_defaults(func=_fuse)


def _fuse(arguments: argparse.Namespace) -> int:
    from tdfusion.data.filepairs import Reading
    from tdfusion.runs.memory import keep_freed_memory

    keep_freed_memory()
    Reading(arguments.ir_range, arguments.vi_range)  # refuses a wrong range before anything is read
    settings = {
        "minmax": arguments.stretch == "minmax",
        "match": arguments.match,
        "ir_range": arguments.ir_range,
        "vi_range": arguments.vi_range,
        "overwrite": arguments.overwrite,
    }
    if arguments.range_over:
        settings["range_over"] = arguments.range_over
    if arguments.no_check:
        settings["warn"] = None
    videos = [Path(path).suffix.lower() in VIDEO_SUFFIXES for path in (arguments.ir, arguments.vi)]
    if videos[0] != videos[1]:
        raise InputError(
            f"{arguments.ir} and {arguments.vi}: one is a video; give two videos, files or folders"
        )
    return _fuse_video(arguments, settings) if all(videos) else _fuse_images(arguments, settings)


def _fuse_video(arguments: argparse.Namespace, settings: dict[str, Any]) -> int:
    from tdfusion.sequences import fuse_video

    F = _open_F(arguments)
    written = fuse_video(F, arguments.ir, arguments.vi, arguments.out, **settings)
    print(
        f"fused into {arguments.out}"
        if written
        else f"{arguments.out} exists already (--overwrite fuses it again)"
    )
    return 0


def _fuse_images(arguments: argparse.Namespace, settings: dict[str, Any]) -> int:
    from tdfusion.fusing import PairsFailed, fuse_files, match_pairs
    from tdfusion.sequences import fuse_sequence

    pairs = match_pairs(arguments.ir, arguments.vi, arguments.out)
    F = _open_F(arguments)
    run = fuse_sequence if arguments.sequence else fuse_files
    failed: tuple[str, ...] = ()
    try:
        written = run(F, pairs, page=arguments.page, strict=arguments.strict, **settings)
    except PairsFailed as error:
        written, failed = error.written, error.failed
        for sentence in failed:
            print(f"tdfusion: not fused: {sentence}", file=sys.stderr)
    kept = len(pairs) - len(written) - len(failed)
    kept_words = f"; {kept} existed already (--overwrite fuses them again)" if kept else ""
    failed_words = f"; {len(failed)} could not be fused and are named above" if failed else ""
    print(f"{len(written)} fused into {arguments.out}{kept_words}{failed_words}")
    return 1 if failed else 0


def _open_F(arguments: argparse.Namespace) -> Any:
    from tdfusion.models import FusionNet

    return FusionNet.from_pretrained(arguments.weights).to(open_device(arguments.device))


def open_device(name: str) -> Any:
    """The torch device of that name, tried.

    Raises:
        InputError: it cannot be used here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f'device "{name}" cannot be used: {reason}') from error
    return device
