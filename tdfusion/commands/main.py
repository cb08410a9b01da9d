"""The ``tdfusion`` command. Heavy imports wait until a subcommand runs, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import sys

from tdfusion import __version__
from tdfusion.commands.convert import add_convert_command
from tdfusion.commands.data import add_data_command
from tdfusion.commands.downstream import add_downstream_command
from tdfusion.commands.evaluate import add_compare_command, add_evaluate_command
from tdfusion.commands.export import add_export_command
from tdfusion.commands.fuse import add_fuse_command, open_device
from tdfusion.commands.settings import read_settings
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
    add_fuse_command(commands)
    _add_train(commands)
    add_evaluate_command(commands)
    add_compare_command(commands)
    add_downstream_command(commands)
    add_data_command(commands)
    add_convert_command(commands)
    add_export_command(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction) -> None:
    from tdfusion.config import EXPERIMENTS, PRESETS, TASKS, VARIANTS
    from tdfusion.data.layouts import labelled

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
        "--variant",
        choices=VARIANTS,
        help="image: G learns by a step in the image itself, which served the task where the answer is known (Sec. "
        "4.4 of the book; default); paper: as printed (default for a row of its Table 3); released: its code",
    )
    train.add_argument(
        "--experiment",
        choices=EXPERIMENTS,
        help="row of the paper's Table 3: I w = 1/2, II no gradient term, III L_t in F's loss too, IV no fusion "
        "phase (F moves in the outer update, by L_f or by L_t), V the mix w_a I_a + w_b I_b as F (default: full)",
    )
    train.add_argument(
        "--dataset",
        metavar="NAME",
        help=f"{', '.join(labelled())}, or the TOML file of your own (default: SynthRoad)",
    )
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

    settings = read_settings(arguments.set)
    given = {name: getattr(arguments, name) for name in ("dataset", "task", "root", "seed", "device")}
    clash = settings.keys() & given.keys()
    if clash:
        raise InputError(f"--set {clash.pop()}: has an option of its own; use that")
    if arguments.resume:
        from tdfusion.runs.folder import stored_config

        if arguments.preset or arguments.variant or arguments.experiment:
            raise InputError(
                "--resume keeps the settings of the run; leave out --preset, --variant and --experiment"
            )
        return stored_config(arguments.out, **given, **settings)
    return make_config(
        arguments.preset or "smoke", arguments.variant, arguments.experiment or "full", **given, **settings
    )


def _train(arguments: argparse.Namespace) -> int:
    config = train_config(arguments)

    from tdfusion.evaluate.networks import evaluate_network
    from tdfusion.runs.memory import keep_freed_memory
    from tdfusion.train import Trainer

    keep_freed_memory()
    open_device(config.device)
    trainer = Trainer(config)
    if not trainer.run(arguments.out, resume=arguments.resume, minutes=arguments.minutes):
        print(f"stopped in epoch {trainer.epoch} of {config.L}; --resume goes on from {arguments.out}")
        return 75  # EX_TEMPFAIL: not done yet, ask again
    if arguments.scored and trainer.processes.first:
        try:
            scores = evaluate_network(trainer.F, trainer.batches.test_pairs(), limit=arguments.scored)
        except InputError as error:  # no reason to call the training a failure
            print(f"tdfusion: the run is done, but not scored: {error}", file=sys.stderr)
        else:
            scores.to_csv(f"{arguments.out}/metrics.csv")
            print(scores.table())
    print(f"run folder: {arguments.out}")
    return 0
