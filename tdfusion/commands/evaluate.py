"""The commands ``tdfusion evaluate`` and ``tdfusion compare``; parsing them needs no torch."""

from __future__ import annotations

import argparse

from tdfusion.evaluate.compare import compare
from tdfusion.evaluate.folders import evaluate_folder
from tdfusion.evaluate.scores import Evaluation
from tdfusion.metrics import CONVENTIONS


def add_evaluate_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion evaluate``."""
    parser = commands.add_parser(
        "evaluate",
        help="score a folder of fused images: EN, SF, SCD, VIF, Qabf, SSIM",
        description="Score fused images against their sources, matched by file stem. Prints mean and standard "
        "deviation over images, with the baselines infrared, visible, mean and max. Values are those of the paper's "
        "evaluator unless another convention is named.",
    )
    parser.add_argument("--ir", required=True, metavar="DIR", help="folder of infrared images")
    parser.add_argument(
        "--vi", required=True, metavar="DIR", help="folder of visible images, same file stems"
    )
    parser.add_argument(
        "--fused", required=True, metavar="DIR", help="folder of fused images, same file stems"
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
        "--workers", type=int, metavar="N", help="pairs scored at once (default one per core)"
    )
    parser.add_argument("--method", metavar="NAME", help="name in the table (default the fused folder's)")
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
    evaluation = evaluate_folder(
        arguments.ir,
        arguments.vi,
        arguments.fused,
        arguments.convention,
        arguments.groups,
        arguments.workers,
        method=arguments.method,
        dataset=arguments.dataset,
    )
    if arguments.csv:
        evaluation.to_csv(arguments.csv)
    if arguments.json:
        evaluation.to_json(arguments.json, made.finish())
    print(f"convention {evaluation.convention.name}, mean ± standard deviation over images\n")
    print(evaluation.table())
    return 0


def _run_compare(arguments: argparse.Namespace) -> int:
    evaluations = [Evaluation.read(run) for run in arguments.runs]
    print(compare(evaluations, dataset=arguments.dataset, table=arguments.table))
    return 0
