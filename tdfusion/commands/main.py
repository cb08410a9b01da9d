"""The ``tdfusion`` command. Heavy imports wait until a subcommand runs, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from tdfusion import __version__
from tdfusion.commands.data import add_data_command
from tdfusion.commands.downstream import add_downstream_command
from tdfusion.commands.evaluate import add_compare_command, add_evaluate_command
from tdfusion.errors import InputError, TrainingError


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 unusable input, 130 interrupted."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        return arguments.func(arguments)
    except InputError as error:
        print(f"tdfusion: error: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"tdfusion: training stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"tdfusion: interrupted {stop}".rstrip(), file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser with all subcommands; each sets ``func``, which takes the namespace."""
    parser = argparse.ArgumentParser(
        prog="tdfusion",
        description="Task-driven image fusion with a learnable fusion loss: fuse, train, score.",
    )
    parser.add_argument("--version", action="version", version=f"tdfusion {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_fuse(commands)
    _add_train(commands)
    add_evaluate_command(commands)
    add_compare_command(commands)
    add_downstream_command(commands)
    add_data_command(commands)
    return parser


def _add_fuse(commands: argparse._SubParsersAction) -> None:
    fuse = commands.add_parser(
        "fuse",
        help="fuse infrared / visible pairs with trained weights",
        description="Fuse a pair of files, or two folders matched by file name, into 8-bit PNGs named after the "
        "infrared files. Colour of the visible image is kept. Pairs must be registered and of one size.",
    )
    fuse.add_argument("--ir", required=True, metavar="PATH", help="infrared image, or a folder of them")
    fuse.add_argument("--vi", required=True, metavar="PATH", help="visible image, or a folder of them")
    fuse.add_argument("--out", required=True, metavar="DIR", help="folder for the results, made if missing")
    fuse.add_argument(
        "--weights",
        required=True,
        metavar="FILE",
        help="F.safetensors of a training run here, or a .pth that the authors released (TDFusion_MSRS.pth ...)",
    )
    fuse.add_argument("--device", default="cpu", help='"cpu" (default), "cuda", "cuda:1", "mps"')
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
    fuse.set_defaults(func=_fuse)


def _fuse(arguments: argparse.Namespace) -> int:
    from tdfusion.fuse import fuse_files, match_pairs
    from tdfusion.models import FusionNet
    from tdfusion.runs.memory import keep_freed_memory

    keep_freed_memory()
    pairs = match_pairs(arguments.ir, arguments.vi, arguments.out)
    F = FusionNet.from_file(arguments.weights).to(_device(arguments.device))
    written = fuse_files(
        F, pairs, minmax=arguments.stretch == "minmax", match=arguments.match, overwrite=arguments.overwrite
    )
    kept = len(pairs) - len(written)
    kept_words = f"; {kept} existed already (--overwrite fuses them again)" if kept else ""
    print(f"{len(written)} fused into {arguments.out}{kept_words}")
    return 0


def _add_train(commands: argparse._SubParsersAction) -> None:
    from tdfusion.config import DATASETS, PRESETS, TASKS, VARIANTS

    train = commands.add_parser(
        "train",
        help="train F, G and T by Algorithm 1",
        description="Train by Algorithm 1 and leave a run folder: config, history, checkpoint, provenance, F and "
        "G, and the six metrics on test pairs. Ctrl-C leaves a checkpoint; --resume goes on from it. Several "
        "processes (accelerate launch -m tdfusion train ...) share every batch.",
    )
    train.add_argument(
        "--out", required=True, metavar="DIR", help="run folder; new or empty, unless --resume"
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out; its settings are kept, only --root, --device, --set workers=N, "
        "and --set L=N for more epochs may be given anew",
    )
    train.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="stop with a checkpoint after N minutes, exit status 75 (resume later)",
    )
    train.add_argument("--preset", choices=PRESETS, help="scale (default: smoke, under a minute)")
    train.add_argument(
        "--variant", choices=VARIANTS, help="the paper as printed (default), or its released code"
    )
    train.add_argument("--dataset", choices=DATASETS, help="default: SynthRoad")
    train.add_argument("--task", choices=TASKS, help="default: segmentation")
    train.add_argument("--root", metavar="DIR", help="folder of the data set (SynthRoad needs none)")
    train.add_argument("--seed", type=int, help="default: 0")
    train.add_argument("--device", help='"cpu" (default), "cuda", ...')
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of TrainConfig, e.g. --set alpha=0.1 --set M=50 (repeatable)",
    )
    train.add_argument(
        "--scored",
        type=int,
        default=50,
        metavar="N",
        help="test pairs scored at the end (default: 50; 0: none)",
    )
    train.set_defaults(func=_train)


def train_config(arguments: argparse.Namespace):
    """The settings that a command line of ``tdfusion train`` asks for."""
    from tdfusion.config import make_config

    settings = dict(_setting(text) for text in arguments.set)
    given = {name: getattr(arguments, name) for name in ("dataset", "task", "root", "seed", "device")}
    clash = settings.keys() & given.keys()
    if clash:
        raise InputError(f"--set {clash.pop()}: has an option of its own; use that")
    if arguments.resume:
        from tdfusion.runs.folder import stored_config

        if arguments.preset or arguments.variant:
            raise InputError("--resume keeps the settings of the run; leave out --preset and --variant")
        return stored_config(arguments.out, **given, **settings)
    return make_config(arguments.preset or "smoke", arguments.variant or "paper", **given, **settings)


def _train(arguments: argparse.Namespace) -> int:
    config = train_config(arguments)

    from tdfusion.evaluate.networks import evaluate_network
    from tdfusion.runs.memory import keep_freed_memory
    from tdfusion.train import Trainer

    keep_freed_memory()
    _device(config.device)
    trainer = Trainer(config)
    if not trainer.run(arguments.out, resume=arguments.resume, minutes=arguments.minutes):
        print(f"stopped in epoch {trainer.epoch} of {config.L}; --resume goes on from {arguments.out}")
        return 75  # EX_TEMPFAIL: not done yet, ask again
    if arguments.scored and trainer.processes.first:
        try:
            scores = evaluate_network(trainer.F, trainer.supply.test_pairs(), limit=arguments.scored)
        except InputError as error:  # no reason to call the training a failure
            print(f"tdfusion: the run is done, but not scored: {error}", file=sys.stderr)
        else:
            scores.to_csv(f"{arguments.out}/metrics.csv")
            print(scores.table())
    print(f"run folder: {arguments.out}")
    return 0


def _setting(text: str) -> tuple[str, object]:
    """``alpha=0.1`` -> ("alpha", 0.1), by the type of the setting."""
    from tdfusion.config import TrainConfig

    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text}: expected NAME=VALUE")
    types = {field.name: str(field.type) for field in dataclasses.fields(TrainConfig)}
    annotation = types.get(name, "str")
    try:
        if annotation.startswith("int"):
            return name, int(value)
        if annotation == "float":
            return name, float(value)
        if annotation.startswith("tuple"):
            return name, tuple(int(side) for side in value.split(","))
    except ValueError as error:
        raise InputError(f"--set {text}: {name} is {annotation}") from error
    if annotation == "bool":
        if value not in ("true", "false"):
            raise InputError(f"--set {text}: {name} is true or false")
        return name, value == "true"
    return name, value


def _device(name: str):
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f'device "{name}" cannot be used: {reason}') from error
    return device
