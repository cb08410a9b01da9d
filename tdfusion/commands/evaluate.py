"""The commands ``tdfusion evaluate`` and ``tdfusion compare``; parsing them needs no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from tdfusion.data.splits import blocks_of
from tdfusion.errors import InputError
from tdfusion.evaluate.compare import compare
from tdfusion.evaluate.folders import evaluate_folders, named_folders
from tdfusion.evaluate.scores import BASELINES, Evaluation
from tdfusion.evaluate.tables import Format
from tdfusion.files import list_images
from tdfusion.metrics import CONVENTIONS, METRICS, TABLE


def add_evaluate_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion evaluate``."""
    parser = commands.add_parser(
        "evaluate",
        help="score folders of fused images: EN, SF, SCD, VIF, Qabf, SSIM, or more",
        description="Score the fused images of one or more methods against their sources, matched by file stem. "
        "Prints mean and standard deviation over images, with the baselines infrared, visible, mean and max; for "
        "several methods also their differences image by image, with 95 % intervals. Values are those of the "
        "paper's evaluator unless another convention is named.",
    )
    parser.add_argument("--ir", required=True, metavar="DIR", help="folder of infrared images")
    parser.add_argument(
        "--vi", required=True, metavar="DIR", help="folder of visible images, same file stems"
    )
    parser.add_argument(
        "--fused",
        required=True,
        nargs="+",
        metavar="DIR",
        help="folder of fused images, same file stems; one per method",
    )
    parser.add_argument(
        "--convention",
        default="paper",
        metavar="NAME",
        help=f"how the metrics are defined: {', '.join(CONVENTIONS)} (default paper)",
    )
    parser.add_argument("--csv", metavar="FILE", help="write a row per method and image")
    parser.add_argument("--json", metavar="FILE", help="write rows, means and settings, for tdfusion compare")
    parser.add_argument(
        "--groups",
        metavar="REGEX",
        help="also give means per group: what the expression matches in each stem, as (D|N)$ for day and night",
    )
    parser.add_argument(
        "--ir-range",
        default="auto",
        metavar="RANGE",
        help="how infrared files were scaled for fusion, as tdfusion fuse has it: auto (default), full, minmax, "
        "percentile, or LOW,HIGH (what fuse printed for a sequence)",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="pairs scored at once (default one per core)"
    )
    parser.add_argument(
        "--method",
        nargs="+",
        metavar="NAME",
        help="names in the table, one per folder (default the fused folders')",
    )
    parser.add_argument(
        "--against",
        metavar="NAME",
        help="method or baseline that differences are to (default the first of several methods)",
    )
    parser.add_argument(
        "--block",
        type=int,
        default=1,
        metavar="N",
        help="for frames of a sequence, which look alike: N neighbours count as one draw in the intervals of "
        "differences, in the order of the numbers in their names (default 1)",
    )
    parser.add_argument(
        "--match",
        choices=("none", "ir", "vi"),
        default="none",
        help="as in tdfusion fuse, for one view at two resolutions: ir resizes the visible image to the infrared "
        "one, vi the other way round; none (default) refuses pairs of two sizes",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=METRICS,
        metavar="NAME",
        help=f"what to measure, of {', '.join(TABLE)}, or all (default {', '.join(METRICS)}); MS-SSIM needs images of "
        "176 pixels a side",
    )
    parser.add_argument(
        "--format",
        choices=get_args(Format),
        default="markdown",
        help="of the printed table (default markdown); latex needs the package booktabs, csv has every digit",
    )
    parser.add_argument(
        "--dataset", default="", metavar="NAME", help="name of the data: MSRS, FMB, M3FD, LLVIP or your own"
    )
    parser.set_defaults(func=_run_evaluate)


def add_compare_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion compare``."""
    parser = commands.add_parser(
        "compare",
        help="set scores beside the paper's",
        description="Set the means of evaluated folders beside the rows of the paper's Table 1, or 3, and say what "
        "differs in data and scale.",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="JSON or CSV of tdfusion evaluate, or a folder with metrics.json or .csv",
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="name of the data where the file has none: MSRS, FMB, M3FD, LLVIP"
    )
    parser.add_argument(
        "--table",
        type=int,
        choices=(1, 3),
        default=1,
        help="the paper's table (default 1; 3 is the ablations)",
    )
    parser.set_defaults(func=_run_compare)


def _run_evaluate(arguments: argparse.Namespace) -> int:
    from tdfusion.runs.provenance import Provenance  # here: torch comes with it

    made = Provenance.begin()
    fused = named_folders(arguments.fused, arguments.method)
    known = (*BASELINES, *fused)
    if arguments.against and arguments.against not in known:  # before minutes of scoring
        raise InputError(f"--against {arguments.against}: no such method; choose {', '.join(known)}")
    if arguments.block < 1:
        raise InputError(f"--block {arguments.block}: give at least 1")
    if arguments.block > 1:
        blocks_of([path.stem for path in list_images(Path(arguments.ir))], arguments.block)
    evaluation = evaluate_folders(
        arguments.ir,
        arguments.vi,
        fused,
        arguments.convention,
        arguments.groups,
        arguments.workers,
        match=arguments.match,
        metrics=arguments.metrics,
        dataset=arguments.dataset,
        ir_range=arguments.ir_range,
    )
    if arguments.csv:
        evaluation.to_csv(arguments.csv)
    if arguments.json:
        evaluation.to_json(arguments.json, made.finish())
    about = f"convention {evaluation.convention.name}, mean ± standard deviation over images"
    if arguments.format != "csv":
        print(f"% {about}" if arguments.format == "latex" else f"{about}\n")
    print(evaluation.table(arguments.format, arguments.against, arguments.block))
    return 0


def _run_compare(arguments: argparse.Namespace) -> int:
    evaluations = [Evaluation.read(run) for run in arguments.runs]
    print(compare(evaluations, dataset=arguments.dataset, table=arguments.table))
    return 0
