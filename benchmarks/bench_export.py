"""F in onnxruntime beside F in PyTorch, on the CPU: seconds per pair, in turn, and the difference of the images.

PyTorch keeps freed memory (`tdfusion.runs.memory`), as the commands do. Each side runs in a process of its own, on
the same number of threads. Writes results/bench_export.csv.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Call, Case, side_by_side
from tdfusion.export import OPSET, export_onnx
from tdfusion.models import FusionNet
from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

OUT = Path(__file__).resolve().parents[1] / "results" / "bench_export.csv"
OURS, THEIRS = "PyTorch", "onnxruntime"
FILE = "TDFUSION_BENCH_ONNX"  # where the processes find the exported network


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each, in turn (default 15)")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of each side (default 2)")
    add_result_options(parser, OUT)
    arguments = parser.parse_args(argv)
    require_clean(arguments.out, arguments.allow_dirty)
    made = Provenance.begin(onnxruntime=version("onnxruntime"), load_average=os.getloadavg()[0])
    cases = [Case("forward", side, *arguments.size, arguments.threads, kept=True) for side in (OURS, THEIRS)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FILE] = str(Path(folder) / "F.onnx")
        export_onnx(network(), os.environ[FILE], sizes=[(1, 64, 80)])
        *_, found = side_by_side(cases, build, arguments.rounds)
    ours, theirs = (np.array(found[case].seconds) for case in cases)
    difference = np.abs(found[cases[0]].values["I_f"] - found[cases[1]].values["I_f"]).max()
    group = "{}x{}".format(*arguments.size)
    rows = [
        {
            "arm": case.side,
            "group": group,
            "values": quartiles("seconds", found[case].seconds) | {"peak_MB": found[case].peak},
        }
        for case in cases
    ]
    both = quartiles("times_faster", ours / theirs) | {"largest_difference": float(difference)}
    save(
        arguments.out.stem,
        [*rows, {"group": group, "values": both}],
        what="F forward on one random pair; both sides in turn, each in a process of its own",
        command=command_line(),
        provenance=[made.finish()],
        settings={"threads": arguments.threads, "rounds": arguments.rounds, "opset": OPSET},
        folder=arguments.out.parent,
    )
    print(f"onnxruntime is {both['times_faster']:.2f} times as fast as PyTorch; difference {difference:.0e}")


def quartiles(name: str, values: Sequence[float]) -> dict[str, float]:
    """A median and its quartiles as three metrics."""
    low, middle, high = np.percentile(values, (25, 50, 75)).round(4).tolist()
    return {name: middle, f"{name}, lower quartile": low, f"{name}, upper quartile": high}


def network() -> FusionNet:
    """F of the paper's size with random weights: speed does not depend on them."""
    torch.manual_seed(0)
    return FusionNet().eval()


def build(case: Case) -> Call:
    """What is timed, in the case's process."""
    I_a, I_b = torch.rand(2, 1, 1, case.height, case.width, generator=torch.Generator().manual_seed(0))
    if case.side == OURS:
        F = network()

        @torch.no_grad()
        def call() -> dict[str, np.ndarray]:
            return {"I_f": F(I_a, I_b).numpy()}

        return call
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = case.threads
    session = InferenceSession(os.environ[FILE], options, providers=["CPUExecutionProvider"])
    images = {"I_a": I_a.numpy(), "I_b": I_b.numpy()}
    return lambda: {"I_f": session.run(None, images)[0]}


if __name__ == "__main__":
    main()
