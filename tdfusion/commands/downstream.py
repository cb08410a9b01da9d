"""The command ``tdfusion downstream``; parsing it needs no torch."""

from __future__ import annotations

import argparse
import dataclasses

from tdfusion.commands.settings import read_settings
from tdfusion.data.layouts import labelled
from tdfusion.downstream.config import PRESETS, DownstreamConfig, make_downstream_config
from tdfusion.downstream.protocols import PROTOCOLS
from tdfusion.errors import InputError

_SIZES = ("epochs", "batch", "train_pairs", "test_pairs")


def add_downstream_command(commands: argparse._SubParsersAction) -> None:
    """Define ``tdfusion downstream``."""
    parser = commands.add_parser(
        "downstream",
        help="retrain a task network on a method's images and score it: mAcc, mIoU, mAP50, mAP75",
        description="Retrain SegFormer-B0 or YOLOv8n on the training images of one source or method and score it on "
        "its test images, as in Sec. 4.3 of the paper. Leaves a run folder; --resume goes on with one that was "
        "interrupted.",
    )
    parser.add_argument(
        "--source", required=True, metavar="SOURCE",
        help="ir, vi, mean, max, oracle (SynthRoad alone), a folder of fused images named like the pairs, or a file "
        "of F's weights (.safetensors, .pth)",
    )  # fmt: skip
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="run folder; new or empty, unless --resume"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted run in --out")
    parser.add_argument("--task", choices=("segmentation", "detection"), default="segmentation")
    parser.add_argument(
        "--dataset",
        default="SynthRoad",
        metavar="NAME",
        help=f"{', '.join(labelled())}, or the TOML file of your own (default: SynthRoad)",
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data set (SynthRoad needs none)")
    parser.add_argument(
        "--preset", choices=PRESETS, default="smoke",
        help="scale: smoke (seconds, default), small (minutes), paper (300 epochs, a GPU)",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=PROTOCOLS,
        help="which SegFormer, which pairs, which classes are averaged (default: the preset's, tiny or paper)",
    )  # fmt: skip
    parser.add_argument(
        "--fold", type=int, metavar="K", help="the fold that is scored, where the protocol has some"
    )
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
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="any other setting of DownstreamConfig, e.g. --set standardise=true; engine.NAME=VALUE is one of "
        "transformers' TrainingArguments or of ultralytics, network.NAME=VALUE one of SegFormer (repeatable)",
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
    names = ("task", "dataset", "root", "source", "protocol", "fold", "seed", "device", "weights", *_SIZES)
    given = {name: getattr(arguments, name) for name in names}
    given["size"] = arguments.size and tuple(arguments.size)
    for switch in ("predictions", "partial"):
        given[switch] = getattr(arguments, switch) or None
    settings = read_settings(arguments.set)
    if clash := sorted(settings.keys() & given.keys()):
        raise InputError(f"--set {clash[0]}: has an option of its own; use that")
    preset = dataclasses.asdict(make_downstream_config(arguments.preset, **given))
    for name, entries in settings.items():
        if isinstance(entries, dict):  # on top of the preset's
            settings[name] = preset.get(name, {}) | entries
    return make_downstream_config(arguments.preset, **given, **settings)


def _run(arguments: argparse.Namespace) -> int:
    config = downstream_config(arguments)

    from tdfusion.downstream.run import retrain
    from tdfusion.runs.memory import keep_freed_memory

    keep_freed_memory()
    scores = retrain(config, arguments.out, resume=arguments.resume)
    departs = config.departs()
    print(PROTOCOLS[config.protocol].said(config.task) + (f" (but {', '.join(departs)})" if departs else ""))
    print(f"{scores.dataset}, {config.task} on {scores.source}, seed {config.seed}: {scores.said()}\n")
    print(scores.table())
    print(f"\nrun folder: {arguments.out}")
    return 0
