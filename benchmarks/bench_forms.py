"""A training step in several forms, equal in value: eager, compiled, CUDA graphs; writes results/bench_forms.csv.

Which form is the fastest depends on the device: run this first on a new one, then choose. Every form is a
process of its own; its meta-gradient of theta_G is compared with that of the eager form on the same pairs and
the same random numbers; `gradient_sensitivity.py` says how far rounding alone moves it. A form that fails is
reported with its reason.

    python -m benchmarks.bench_forms                         # this processor; compiling takes minutes
    python -m benchmarks.bench_forms --device cuda --sizes 256 --out results/bench_forms_cuda.csv
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch._inductor.config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from benchmarks.costs import both_steps, timed_steps
from benchmarks.measure import in_a_process
from tdfusion.config import TASKS, make_config
from tdfusion.meta import meta_gradient
from tdfusion.results import save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean
from tdfusion.train import Trainer

OUT = Path(__file__).resolve().parents[1] / "results" / "bench_forms.csv"
COUNTED_PX = 256  # side of the crops on which operations are counted
COMPILED = {"compiled": None, "CUDA graphs": "reduce-overhead"}  # form -> mode of torch.compile


class Dispatched(TorchDispatchMode):
    """Counts the operations that the host hands to the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count[str(func)] += 1
        return func(*args, **(kwargs or {}))


def build(task: str, size: int, method: str, device: str) -> Trainer:
    """A trainer at the paper's settings but for the size of crops; few scenes, since a step needs two."""
    return Trainer(
        make_config(
            "paper",
            task=task,
            scenes=16,
            M=2,
            scene_size=(size, size),
            crop=size,
            method=method,
            device=device,
        )
    )


def gradient(trainer: Trainer) -> np.ndarray:
    """dL_t / dtheta_G of the first meta-step, flat."""
    mtr, mts = (sets[: trainer.config.batch] for sets in trainer.batches.meta_sets(1))
    trainer.T.train()
    torch.manual_seed(0)  # dropout of T
    settings = trainer.meta_settings()
    del settings["loss_limit"]
    state, batch = trainer.state, trainer.batches.meta_batch(mtr, mts)
    found = meta_gradient(state.F, state.G, state.T, batch.mtr, batch.mts, **settings).theta_G
    return torch.cat([g.flatten() for g in found.values()]).double().cpu().numpy()


def measure_form(task: str, size: int, form: str, method: str, device: str, rounds: int) -> dict[str, object]:
    """One form, in its own process; where it cannot be done, the reason."""
    warnings.simplefilter("ignore")  # of the compiler's own parts
    keep_freed_memory()
    # the same dropout as eager, or no gradient could be compared
    torch._inductor.config.fallback_random = True
    try:
        trainer = build(task, size, method, device)
        start = time.perf_counter()
        if form != "eager":
            for network in (trainer.F, trainer.G, trainer.T):
                network.compile(mode=COMPILED[form])
        g = gradient(trainer)
        first = time.perf_counter() - start
        medians, memory = timed_steps(trainer, rounds, skipped=3)
    except Exception as error:  # a form that this device or compiler cannot do is a result too
        return {"fault": f"{type(error).__name__}: {error}".splitlines()[0][:200], "gradient": None}
    return {
        "meta_step_s": round(medians["meta"], 4),
        "fusion_step_s": round(medians["fusion"], 4),
        "first_s": round(first, 1),
        "peak_MB": round(memory),
        "gradient": g,
    }


def counted(task: str, size: int) -> dict[str, dict[str, float]]:
    """Operations and arithmetic of a meta-step and a fusion step; the same on any device."""
    trainer = build(task, size, "forward", "cpu")
    found = {}
    for phase, step in both_steps(trainer).items():
        step()  # the first one sets up
        with Dispatched() as host:
            step()
        with FlopCounterMode(display=False) as arithmetic:
            step()
        found[phase] = {
            "operations": sum(host.count.values()),
            "GFLOP": round(arithmetic.get_total_flops() / 1e9, 1),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 128], help="side of the crops, px")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=5)
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    forms = [("eager", "forward"), ("compiled", "forward")]
    if options.device.startswith("cuda"):
        forms.append(("CUDA graphs", "forward"))
    made, measured = Provenance.begin(device=options.device), []
    cases = [(t, s, *f) for t in options.tasks for s in options.sizes for f in forms]
    for task, size, form, method in tqdm(cases, unit="form"):
        found = in_a_process(measure_form, task, size, form, method, options.device, options.rounds)
        row = {"task": task, "crop_px": size, "form": form, "method": method} | found
        g = row.pop("gradient")
        if form == "eager" and method == "forward":
            reference = g
        if g is not None:
            distance = np.linalg.norm(g - reference) / np.linalg.norm(reference)
            row["distance_of_gradient"] = float(f"{distance:.1e}")
        measured.append(row)
        tqdm.write(json.dumps(row))
    save(
        options.out.stem,
        rows(measured, {task: counted(task, COUNTED_PX) for task in options.tasks}),
        what="median seconds per step at batch 2, pairs in memory; first_s: the first meta-gradient, with "
        "whatever is compiled; distance_of_gradient: relative, from the eager forward form; operations and "
        f"GFLOP of a step at {COUNTED_PX} px",
        command=command_line(),
        provenance=[made.finish()],
        settings={
            "threads": int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())),
            "faults": faults(measured),
        },
        folder=options.out.parent,
    )


def rows(measured: list[dict], counts: dict[str, dict]) -> Iterator[dict]:
    """For the results table: what was measured of every form, and what was counted of the eager one."""
    keys = ("task", "crop_px", "form", "method")
    for row in measured:
        if "fault" not in row:
            values = {name: v for name, v in row.items() if name not in keys}
            yield {"task": row["task"], "group": f"{row['crop_px']} px", "arm": arm(row), "values": values}
    for task, phases in counts.items():
        values = {f"{phase} {name}": v for phase, found in phases.items() for name, v in found.items()}
        yield {"task": task, "group": f"{COUNTED_PX} px", "arm": "eager, forward", "values": values}


def faults(measured: list[dict]) -> dict[str, str]:
    """What could not be done, and why."""
    return {
        f"{row['task']}, {row['crop_px']}, {arm(row)}": row["fault"] for row in measured if "fault" in row
    }


def arm(row: dict) -> str:
    return f"{row['form']}, {row['method'].replace('_', ' ')}"


if __name__ == "__main__":
    main()
