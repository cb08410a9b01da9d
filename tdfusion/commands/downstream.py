"""The command ``tdfusion downstream``; parsing it needs no torch."""

from __future__ import annotations

import argparse
import json

from tdfusion.downstream.config import PRESETS, DownstreamConfig, make_downstream_config
from tdfusion.errors import InputError

_SIZES = ("epochs", "batch", "train_pairs", "test_pairs")


def add_downstream_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion downstream``."""
    parser = commands.add_parser(
        "downstream",
        help="retrain a task network on a method's images and score it: mAcc, mIoU, mAP50, mAP75",
        description="Retrain SegFormer-B0 or YOLOv8n on the training images of one source or method and score it on "
        "its test images, as in Sec. 4.3 of the paper. Leaves a run folder; called again with the same settings it "
        "goes on where it was interrupted.",
    )
    parser.add_argument(
        "--source", required=True, metavar="SOURCE",
        help="ir, vi, mean, max, oracle (SynthRoad alone), a folder of fused images named like the pairs, or a file "
        "of F's weights (.safetensors, .pth)",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="DIR", help="run folder: new, or of the same run")
    parser.add_argument("--task", choices=("segmentation", "detection"), default="segmentation")
    parser.add_argument(
        "--dataset", default="SynthRoad", metavar="NAME", help="SynthRoad, MSRS, FMB, M3FD, LLVIP"
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data set (SynthRoad needs none)")
    parser.add_argument(
        "--preset", choices=PRESETS, default="smoke",
        help="scale: smoke (seconds, default), small (minutes), paper (300 epochs, a GPU)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help='"cpu" (default), "cuda", "mps"')
    for name in _SIZES:
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, metavar="N", help="in place of the preset's"
        )
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="images resized for the task network"
    )
    parser.add_argument(
        "--weights", metavar="PATH", help="the task network starts from these, not from scratch"
    )
    parser.add_argument(
        "--engine", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of transformers' TrainingArguments or of ultralytics, by its name there (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--predictions", action="store_true", help="keep what the task network says of the test images"
    )
    parser.add_argument(
        "--partial", action="store_true", help="take what is complete where files are missing"
    )
    parser.set_defaults(func=_run)


def downstream_config(arguments: argparse.Namespace) -> DownstreamConfig:
    """The settings that a command line asks for."""
    names = ("task", "dataset", "root", "source", "seed", "device", "weights", *_SIZES)
    given = {name: getattr(arguments, name) for name in names}
    given["size"] = arguments.size and tuple(arguments.size)
    for switch in ("predictions", "partial"):
        given[switch] = getattr(arguments, switch) or None
    config = make_downstream_config(arguments.preset, **given)
    if not arguments.engine:
        return config
    engine = config.engine | dict(_setting(text) for text in arguments.engine)
    return make_downstream_config(arguments.preset, **given, engine=engine)


def _setting(text: str) -> tuple[str, object]:
    """``lr0=0.01`` -> ("lr0", 0.01); what is no JSON is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--engine {text}: expected NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _run(arguments: argparse.Namespace) -> int:
    config = downstream_config(arguments)

    from tdfusion.downstream.run import retrain
    from tdfusion.runs.memory import keep_freed_memory

    keep_freed_memory()
    scores = retrain(config, arguments.out)
    print(f"{config.dataset}, {config.task} on {scores.source}, seed {config.seed}: {scores.said()}\n")
    print(scores.table())
    print(f"\nrun folder: {arguments.out}")
    return 0
