"""F in onnxruntime beside F in PyTorch, on the CPU: seconds per pair, in turn, and the difference of the images.

PyTorch keeps freed memory (`tdfusion.runs.memory`), as the commands do. Each side runs in a process of its own, on
the same number of threads. Writes results/bench_export.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Call, Case, side_by_side
from tdfusion.export import OPSET, export_onnx
from tdfusion.files import write_text
from tdfusion.models import FusionNet
from tdfusion.runs.provenance import Stopwatch, provenance

ROOT = Path(__file__).resolve().parents[1]
OURS, THEIRS = "PyTorch", "onnxruntime"
FILE = "TDFUSION_BENCH_ONNX"  # where the processes find the exported network


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each, in turn (default 15)")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of each side (default 2)")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_export.json", metavar="FILE")
    arguments = parser.parse_args(argv)
    watch = Stopwatch()
    cases = [Case("forward", side, *arguments.size, arguments.threads, kept=True) for side in (OURS, THEIRS)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FILE] = str(Path(folder) / "F.onnx")
        export_onnx(network(), os.environ[FILE], sizes=[(1, 64, 80)])
        *_, found = side_by_side(cases, build, arguments.rounds)
    ours, theirs = (np.array(found[case].seconds) for case in cases)
    quartiles = lambda values: np.percentile(values, (25, 50, 75)).round(4).tolist()  # noqa: E731
    difference = np.abs(found[cases[0]].values["I_f"] - found[cases[1]].values["I_f"]).max()
    report = {
        "what": "F forward on one random pair; both sides in turn, each in a process of its own",
        "size": list(arguments.size),
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "opset": OPSET,
        "seconds_quartiles": {OURS: quartiles(ours), THEIRS: quartiles(theirs)},
        "peak_MB": {case.side: round(found[case].peak) for case in cases},
        "times_faster_quartiles": quartiles(ours / theirs),
        "largest_difference": float(difference),
        "provenance": provenance(watch, onnxruntime=version("onnxruntime"), load_average=os.getloadavg()),
    }
    write_text(arguments.out, json.dumps(report, indent=2) + "\n")
    print(json.dumps({name: value for name, value in report.items() if name != "provenance"}, indent=2))


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
